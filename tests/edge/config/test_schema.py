"""The typed values of config.yaml: ranges, rules between keys, hash, masking."""

from pathlib import Path

import pytest

from edge.config import Config
from edge.config.loader import parse_config
from edge.core.errors import ConfigError
from tests.conftest import ConfigText

MINIMAL = "station: s\nmodel: {path: m.tflite}\ncameras: [{id: a, source: 'test:'}]\n"


def parse(extra: str = "") -> Config:
    """A minimal configuration with more lines."""
    return parse_config(MINIMAL + extra, "config.yaml", Path("/etc/edge-inspect"))


def test_only_station_model_and_camera_are_needed() -> None:
    """Every other key has the default of the contract."""
    config = parse()
    assert (config.mqtt.host, config.mqtt.effective_port, config.mqtt.prefix) == (
        "127.0.0.1",
        1883,
        "inspection",
    )
    assert (config.web.enabled, config.web.bind, config.web.port) == (False, "127.0.0.1", 8080)
    assert config.health.interval_s == 10
    assert config.mqtt.version == "auto"
    assert config.topic == "inspection/s"


@pytest.mark.parametrize(
    ("written", "share"),
    [("0.5%", 0.005), ("'0.5 %'", 0.005), ("100%", 1.0), ("0%", 0.0), ("0.25", 0.25), ("1", 1.0)],
)
def test_a_share_may_be_a_percentage(written: str, share: float) -> None:
    """People think of a sample in percent."""
    archive = parse(f"archive: {{enabled: true, pass_sample: {written}}}").archive
    assert archive.rate_in_force == pytest.approx(share, abs=0)


def test_values_are_frozen() -> None:
    """A configuration cannot be changed."""
    with pytest.raises(ValueError, match="frozen"):
        parse().station = "other"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("decision: {reject_at: 1.01}", "less than or equal to 1"),
        ("decision: {reject_at: -0.01}", "greater than or equal to 0"),
        ("decision: {reject_at: .nan}", "finite"),
        ("decision: {reject_at: 0.5, review_from: 0.6}", "review_from 0.6 is above reject_at 0.5"),
        ("decision: {deadline_ms: 0}", "greater than or equal to 1"),
        ("mqtt: {port: 0}", "greater than or equal to 1"),
        ("mqtt: {port: 65536}", "less than or equal to 65535"),
        ("mqtt: {port: '1883'}", "whole number"),
        ("mqtt: {port: 1883.5}", "whole number"),
        ("mqtt: {embedded: 'yes'}", "true or false"),
        ("mqtt: {embedded: true, version: '5'}", "embedded broker speaks plain MQTT 3.1.1"),
        ("mqtt: {embedded: true, tls: {}}", "embedded broker speaks plain MQTT 3.1.1"),
        ("mqtt: {prefix: a/+/b}", "part of a topic"),
        ("mqtt: {prefix: ''}", "mqtt.prefix"),
        ("mqtt: {version: 4}", "'auto', '5' or '3.1.1'"),
        ("mqtt: {host: ''}", "mqtt.host"),
        ("outbox: {max_mb: 0}", "greater than or equal to 0.1"),
        ("outbox: {max_age_h: 0}", "greater than 0"),
        ("archive: {keep: [bad]}", "'pass', 'review', 'fail' or 'error'"),
        ("web: {port: 99999}", "65535"),
        ("health: {interval_s: 0.1}", "0.5"),
        ("log: {level: loud}", "'debug', 'info', 'warning' or 'error'"),
        ("log: loud", "keys and values"),
    ],
)
def test_out_of_range_is_refused_with_the_value(extra: str, words: str) -> None:
    """A value out of its range or type is refused, and the sentence says which range."""
    with pytest.raises(ConfigError) as caught:
        parse(extra)
    (sentence,) = caught.value.problems
    assert sentence.startswith("config.yaml:4:")
    assert words in sentence


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        ("{source: usb0}", "must be v4l2:"),
        ("{source: 'picamera:'}", "add the device"),
        ("{source: 'rtsp://cam', fps: 5}", "fps does nothing for a rtsp: source"),
        ("{source: 'replay:x', trust: {}}", "trust does nothing for a replay: source"),
        ("{source: 'test:', trust: {max_age_s: 0}}", "greater than 0"),
        ("{source: 'test:', controls: {gain: 1}}", "controls does nothing for a test: source"),
        ("{source: 'v4l2:'}", "add the device"),
        ("{source: 'test:', rate: 5}", "rate does nothing for a test: source"),
        ("{source: 'replay:x', fps: 5}", "fps does nothing for a replay: source"),
        ("{source: 'folder:x', timeout_s: 5}", "timeout_s does nothing for a folder: source"),
        ("{source: 'replay:x', rate: 0}", "greater than 0"),
        ("{source: 'replay:x', rate: fast}", "cameras[0].rate"),
        ("{source: 'replay:x', loop: 0}", "greater than or equal to 1"),
        ("{source: 'test:', frozen_after: 1}", "greater than or equal to 2"),
    ],
)
def test_camera_keys_fit_their_source(camera: str, words: str) -> None:
    """A key without effect for its source is an error."""
    body = camera.removeprefix("{").removesuffix("}")
    text = f"station: s\nmodel: {{path: m}}\ncameras: [{{id: a, {body}}}]\n"
    with pytest.raises(ConfigError, match=r"^config\.yaml:3:") as caught:
        parse_config(text, "config.yaml", Path("/"))
    assert words in str(caught.value)


@pytest.mark.parametrize("station", ["a/b", "a+b", "#"])
def test_station_is_one_topic_level(station: str, config_text: ConfigText) -> None:
    """A station's name becomes a topic level, so it holds no MQTT special characters."""
    with pytest.raises(ConfigError, match="station: must not be empty or hold"):
        parse_config(config_text(station=station), "config.yaml", Path("/"))


def test_number_five_is_version_5() -> None:
    """`version: 5`, which YAML reads as a number, is the version that was meant."""
    assert parse("mqtt: {version: 5}").mqtt.version == "5"


def test_tls_has_its_own_port() -> None:
    """With TLS the default port is 8883, and an explicit port wins."""
    assert parse("mqtt: {tls: {}}").mqtt.effective_port == 8883
    assert parse("mqtt: {tls: {}, port: 1884}").mqtt.effective_port == 1884


def test_client_key_and_certificate_go_together() -> None:
    """A certificate without its key is refused."""
    with pytest.raises(ConfigError, match="cert and key go together"):
        parse(f"mqtt: {{tls: {{cert: {__file__}}}}}")


def test_hash_changes_with_the_values_only() -> None:
    """Comments and the order of keys change no hash; a value does."""
    assert parse("# a comment\n").hash == parse().hash
    assert parse("mqtt: {host: 127.0.0.1}").hash == parse().hash
    assert parse("mqtt: {host: 127.0.0.2}").hash != parse().hash
