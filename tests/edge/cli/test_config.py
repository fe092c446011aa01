"""`config schema` and `config show`."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from edge.__main__ import main
from edge.config import load_config
from tests.conftest import WriteConfig

ROOT = Path(__file__).parents[3]


def schema(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    """What `config schema` prints."""
    assert main(["config", "schema"]) == 0
    loaded: dict[str, object] = json.loads(capsys.readouterr().out)
    return loaded


def test_schema_is_json_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """`config schema` prints a valid JSON Schema."""
    jsonschema.Draft202012Validator.check_schema(schema(capsys))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"mqtt": {"version": 5}},
        {"mqtt": {"version": "3.1.1", "port": 1884, "tls": {}}},
        {"mqtt": {"embedded": True}, "web": {"enabled": True, "port": 9090}},
        {"cameras": [{"id": "a", "source": "replay:x", "rate": 2, "loop": 3}]},
        {"cameras": [{"id": "a", "source": "replay:x", "rate": "max"}]},
        {"decision": {"reject_at": 1, "review_from": 0.5}},
        {"archive": {"enabled": True, "keep": ["pass", "error"]}, "log": {"level": "debug"}},
    ],
)
def test_schema_accepts_what_the_daemon_accepts(
    sections: dict[str, object],
    write_config: WriteConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A configuration that loads is valid by the schema, so an editor shows no false mistake."""
    path = write_config(**sections)
    load_config(path)
    jsonschema.validate(yaml.safe_load(path.read_text()), schema(capsys))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sections",
    [{"mqtt": {"port": "x"}}, {"extra": 1}, {"station": None}, {"station": "a/b"}],
)
def test_schema_refuses_what_the_daemon_refuses(
    sections: dict[str, object],
    write_config: WriteConfig,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrong type, an unknown key and a missing key are mistakes by the schema too."""
    path = write_config(**sections)
    assert main(["config", "show", "-c", str(path)]) == 2
    capsys.readouterr()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(path.read_text()), schema(capsys))


def test_show_prints_effective_values_without_passwords(
    write_config: WriteConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """`config show` prints defaults too, is itself a config.yaml, and masks passwords."""
    path = write_config(cameras=[{"id": "a", "source": "rtsp://u:s3cret@cam/1?key=s3cret"}])
    assert main(["config", "show", "-c", str(path)]) == 0
    out = capsys.readouterr().out
    shown = yaml.safe_load(out)
    assert "s3cret" not in out
    assert shown["cameras"][0]["source"] == "rtsp://cam/1"
    assert shown["mqtt"]["prefix"] == "inspection"


def test_shown_config_loads_again(
    write_config: WriteConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `config show` prints can be used as config.yaml."""
    path = write_config()
    before = load_config(path).hash
    assert main(["config", "show", "-c", str(path)]) == 0
    assert load_config(write_config(capsys.readouterr().out)).hash == before


def test_every_mistake_is_a_line_on_stderr(
    write_config: WriteConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two mistakes are two lines on stderr, exit code 2, no traceback."""
    path = write_config(mqtt={"port": 0}, log={"level": "loud"})
    assert main(["config", "show", "-c", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 2
    assert "Traceback" not in captured.err


def test_the_config_in_the_root_loads() -> None:
    """The commented config.yaml that comes with edge-inspect is without mistakes."""
    load_config(ROOT / "config.yaml")
