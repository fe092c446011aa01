"""The log: readable in a terminal, with priorities under systemd."""

import logging
from collections.abc import Iterator

import pytest

from edge.core.logs import set_up_logging


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_journal_lines_carry_their_priority(capsys: pytest.CaptureFixture[str]) -> None:
    """Under systemd every line, those of a traceback too, starts with its priority."""
    set_up_logging("info", {"JOURNAL_STREAM": "8:1"})
    logging.getLogger("edge.x").error("first\nsecond")
    logging.getLogger("edge.x").info("third")
    assert capsys.readouterr().err == "<3>first\n<3>second\n<6>third\n"


def test_terminal_lines_carry_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    """In a terminal a line starts with time and level, and the level is kept."""
    set_up_logging("warning", {})
    logging.getLogger("edge.x").info("not this")
    logging.getLogger("edge.x").warning("camera top: lost")
    err = capsys.readouterr().err
    assert "not this" not in err
    assert err.endswith("WARNING camera top: lost\n")
