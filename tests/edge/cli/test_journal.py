"""`edge-inspect journal`: what was changed, and whether the chain is whole."""

import json
from pathlib import Path

import pytest

from edge.__main__ import main
from edge.storage import Journal
from tests.conftest import WriteConfig


@pytest.fixture
def config(write_config: WriteConfig, tmp_path: Path) -> Path:
    """A box with three changes."""
    journal = Journal(tmp_path / "state" / "journal.jsonl", lambda: 1_790_000_000.0)
    journal.add("recipe", "mqtt: anna", None, {"number": 7, "name": "cap"}, "top")
    journal.add("recipe", "mqtt: plc", {"number": 7, "name": "cap"}, {"number": 9, "name": None})
    journal.add("config", "reload", "aaa", "bbb", "config.yaml")
    return write_config()


def test_each_change_is_a_line(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """When, what, from which to which, and who."""
    assert main(["journal", "-c", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        "recipe top: none → 7 cap  (mqtt: anna)",
        "recipe: 7 cap → 9 (not in config.yaml)  (mqtt: plc)",
        "config config.yaml: aaa → bbb  (reload)",
    ]
    assert main(["journal", "--json", "-c", str(config)]) == 0
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["kind"] for one in entries] == ["recipe", "recipe", "config"]


def test_verify(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole chain is exit code 0; a changed line is named, exit code 1."""
    assert main(["journal", "verify", "-c", str(config)]) == 0
    assert "3 entries since 2026-09-21T14:13:20.000Z, the chain is whole" in capsys.readouterr().out
    path = tmp_path / "state" / "journal.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("anna", "otto"), encoding="utf-8")
    assert main(["journal", "verify", "-c", str(config)]) == 1
    assert "journal.jsonl:2: does not follow the line before it" in capsys.readouterr().err


def test_a_box_without_changes(
    write_config: WriteConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """No journal yet: nothing is printed, and nothing is wrong."""
    config = str(write_config())
    assert main(["journal", "-c", config]) == 0
    assert capsys.readouterr().out == ""
    assert main(["journal", "verify", "-c", config]) == 0
    assert "0 entries, the chain is whole" in capsys.readouterr().out
