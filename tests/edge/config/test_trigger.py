"""`trigger`, `view` and `outputs` in config.yaml: valid and invalid combinations."""

from pathlib import Path

import pytest
import yaml

from edge.config import CameraConfig, Config, load_config
from edge.config.loader import parse_config
from edge.core.errors import ConfigError
from tests.conftest import ConfigText


def parse(camera: str, source: str = "test:") -> Config:
    """A configuration with one camera of these keys."""
    text = (
        f"station: s\nmodel: {{path: m}}\ncameras:\n  - {{id: a, source: '{source}', {camera}}}\n"
    )
    return parse_config(text, "config.yaml", Path("/etc/edge-inspect"))


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        ("{kind: hand}", "trigger.kind"),
        ("{kind: interval}", "interval needs every_s"),
        ("{kind: gpio}", "gpio needs pin"),
        ("{kind: gpio, pin: 28}", "less than or equal to 27"),
        ("{kind: request, pin: 4}", "pin does nothing for a request trigger"),
        ("{kind: continuous, frames: 2}", "frames does nothing for a continuous trigger"),
        ("{delay_ms: 5}", "delay_ms does nothing for a continuous trigger"),
        ("{kind: request, delay_ms: 500, deadline_ms: 500}", "leaves no time before deadline_ms"),
        ("{kind: request, rule: mean}", "rule does nothing for a single frame"),
        ("{kind: request, frames: 3, rule: k_of_n}", "k and rule: k_of_n go together"),
        ("{kind: request, frames: 3, k: 2}", "k and rule: k_of_n go together"),
        ("{kind: request, frames: 2, rule: k_of_n, k: 3}", "k 3 of 2 frames cannot be"),
        ("{kind: request, queue: -1}", "greater than or equal to 0"),
        ("{kind: request, queue: 12, frames: 5}", "65 pictures wait in memory; at most 64"),
        ("{kind: presence, area: [0.5, 0, 0.6, 1]}", "fractions inside the picture"),
        ("{kind: presence, every_s: 1}", "every_s does nothing for a presence trigger"),
        ("{kind: folder}", "needs a folder: source"),
    ],
)
def test_keys_of_a_trigger_fit_its_kind(trigger: str, words: str) -> None:
    """A key without effect, or with an impossible value, is an error at its place."""
    with pytest.raises(ConfigError, match=r"^config\.yaml:4:") as caught:
        parse(f"trigger: {trigger}")
    assert words in str(caught.value)


def test_items_bring_their_parts_themselves() -> None:
    """A folder: or replay: source takes no trigger but its own."""
    with pytest.raises(ConfigError, match="needs no trigger"):
        parse("trigger: {kind: request}", "replay:x")
    assert parse("trigger: {kind: folder}", "folder:x").cameras[0].trigger.kind == "folder"


def test_a_view_is_checked_where_it_stands() -> None:
    """A region that no picture has is named with its line."""
    with pytest.raises(ConfigError, match=r"config\.yaml:4:.*reaches past the picture"):
        parse("view: {region: [0.5, 0.5, 0.6, 0.5]}")


def test_outputs_have_pins() -> None:
    """`pass` is a key of outputs, and a camera without pins has none."""
    outputs = parse("outputs: {pass: 17, fail: 27, busy: 22}").cameras[0].outputs
    assert outputs.pins == {"pass": 17, "fail": 27, "busy": 22}
    assert CameraConfig.read({"id": "a", "source": "test:"}).outputs.pins == {}


@pytest.mark.parametrize(
    "camera",
    [
        {},
        {"trigger": {"kind": "request", "frames": 3, "rule": "k_of_n", "k": 2}},
        {"trigger": {"kind": "gpio", "pin": 4}, "outputs": {"pass": 5}},
        {"trigger": {"kind": "presence"}, "view": {"rotate": 90}},
        {"view": {"regions": [{"id": "l", "region": [0, 0, 9, 9]}], "verdict": "worst"}},
    ],
)
def test_what_is_shown_is_a_config_again(
    camera: dict[str, object],
    tmp_path: Path,
    config_text: ConfigText,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`config show` prints a file that means the same."""
    from edge.cli.config import show

    model = tmp_path / "m.tflite"
    model.touch()
    values = {
        "station": "s",
        "model": {"path": str(model)},
        "cameras": [{"id": "a", "source": "test:", **camera}],
    }
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(yaml.safe_dump(values))
    show(first)
    second.write_text(capsys.readouterr().out)
    assert load_config(second) == load_config(first)
