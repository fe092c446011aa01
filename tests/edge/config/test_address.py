"""Hosts, bind addresses and camera addresses: what to write instead of a URL."""

from pathlib import Path

import pytest

from edge.config import Config
from edge.config.loader import parse_config
from edge.core.errors import ConfigError

GOOD = "station: s\nmodel: {path: m}\ncameras: [{id: a, source: 'test:'}]\n"


def config_of(text: str) -> Config:
    """A text without mistakes."""
    return parse_config(text, "config.yaml", Path("/cfg"))


def sentence_of(text: str) -> str:
    """The only sentence about a text."""
    with pytest.raises(ConfigError) as caught:
        config_of(text)
    (sentence,) = caught.value.problems
    return sentence


@pytest.mark.parametrize(
    ("host", "lines"),
    [
        ("mqtt://broker:1883", "host: broker, port: 1883"),
        ("tcp://10.0.0.1", "host: 10.0.0.1"),
        ("mqtts://broker.plant:8883/", "host: broker.plant, port: 8883, tls: {}"),
        ("wss://broker/mqtt", "host: broker, transport: websockets, tls: {}"),
        ("mqtt://line1:s3cret@broker", "host: broker, username and password_file"),
        ("line1:s3cret@broker:1883", "host: broker, port: 1883, username and password_file"),
        ("broker:1883", "host: broker, port: 1883"),
        ("[::1]:1883", 'host: "::1", port: 1883'),
        ("[fe80::1]", 'host: "fe80::1"'),
        ("broker/path", "host: broker"),
    ],
)
@pytest.mark.parametrize("place", ["mqtt: {{host: '{}'}}", "mqtt: {{standby: [{{host: '{}'}}]}}"])
def test_a_host_is_a_name_alone(host: str, lines: str, place: str) -> None:
    """The sentence says what to write instead, and shows no password."""
    sentence = sentence_of(GOOD + place.format(host) + "\n")
    assert sentence.endswith(f"must be a host name or IP address alone; write {lines}")
    assert "s3cret" not in sentence


@pytest.mark.parametrize("host", ["two words", "a,b", "-", "1883", "http://", "b roker:1"])
def test_what_is_no_host(host: str) -> None:
    """The sentence gives an example."""
    assert "must be a host name or IP address" in sentence_of(f"{GOOD}mqtt: {{host: '{host}'}}\n")


@pytest.mark.parametrize(
    "host",
    ["broker", "broker.plant.example.", "10.0.0.1", "::1", "fe80::1%eth0", "my_broker", "b1"],
)
def test_hosts_that_work(host: str) -> None:
    """Names and addresses, with underscores and zones."""
    assert config_of(f"{GOOD}mqtt: {{host: '{host}'}}\n").mqtt.host == host


@pytest.mark.parametrize("bind", ["0.0.0.0", "192.0.2.7", "::", "box.plant", "::ffff:10.0.0.1"])
def test_a_reachable_server_needs_a_token(bind: str, tmp_path: Path) -> None:
    """Without one the sentence names the lines to add; with one, or switched off, it is right."""
    web = f"web: {{enabled: true, bind: '{bind}'"
    sentence = sentence_of(f"{GOOD}{web}}}\n")
    assert sentence.startswith("config.yaml:4:1: web: ")
    assert "token_file: /etc/edge-inspect/web-token" in sentence
    assert "bind: 127.0.0.1" in sentence
    (tmp_path / "token").write_text("t")
    assert config_of(f"{GOOD}{web}, token_file: {tmp_path / 'token'}}}\n").web.bind == bind
    assert not config_of(f"{GOOD}{web.replace('true', 'false')}}}\n").web.enabled


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "::ffff:127.0.0.1"])
def test_loopback_needs_no_token(bind: str) -> None:
    """Only programs of this box reach it."""
    assert config_of(f"{GOOD}web: {{enabled: true, bind: '{bind}'}}\n").web.bind == bind


def test_a_bind_address_with_a_port() -> None:
    """As other programs take it."""
    assert "write bind: 0.0.0.0, port: 80" in sentence_of(f"{GOOD}web: {{bind: '0.0.0.0:80'}}\n")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("rtsp://u:a/b@host/x", "a password with / ? # or @ belongs into credentials_file"),
        ("rtsp://u:a#b@host/x", "credentials_file"),
        ("rtsp://u:a?b@host/x", "credentials_file"),
        ("http://", "needs a host, or host:port, right behind the slashes"),
        ("http://host:port/", "needs a host, or host:port, right behind the slashes"),
        ("http://u%3Ap%40host/x", "needs a host, or host:port, right behind the slashes"),
        ("http://host:0/x", "has the port 0; a port is a number from 1 to 65535"),
        ("rtsp://[::1]:65536/x", "has the port 65536; a port is a number from 1 to 65535"),
        ("http://host:123456789/x", "has the port 123456789"),
        ("http://host\\@p/x", "needs a host, or host:port, right behind the slashes"),
        ("http:host/x", "must begin with http://"),
        ("http://h/a b", "holds a space; write %20"),
    ],
)
def test_a_camera_address_that_libraries_divide_otherwise(source: str, words: str) -> None:
    """It is refused, and its parts are not shown."""
    text = GOOD.replace("'test:'", f"'{source}'")
    sentence = sentence_of(text)
    assert words in sentence
    assert "u:" not in sentence


@pytest.mark.parametrize(
    "source", ["http://[fe80::1%eth0]:81/x", "rtsp://u:p%2Fq@h:554/a?b=c#d", "https://h"]
)
def test_camera_addresses_that_work(source: str) -> None:
    """IPv6 addresses, and passwords with escapes."""
    assert config_of(GOOD.replace("'test:'", f"'{source}'")).cameras[0].source == source
