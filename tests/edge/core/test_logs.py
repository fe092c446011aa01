"""The log: readable in a terminal, with priorities under systemd."""

import contextlib
import logging
import os
import sys
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


def _fail(text: str) -> None:
    raise ValueError(text)


def test_journal_lines_carry_their_priority(capsys: pytest.CaptureFixture[str]) -> None:
    """Under systemd every line, those of a traceback too, starts with its priority."""
    set_up_logging("info", {"JOURNAL_STREAM": "8:1"})
    try:
        _fail("one\n<0>forged")
    except ValueError:
        logging.getLogger("edge.x").exception("first")
    logging.getLogger("edge.x").info("third")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "<3>first"
    assert all(line.startswith("<3>  ") for line in lines[1:-1])
    assert lines[-3:] == ["<3>  ValueError: one", "<3>  <0>forged", "<6>third"]


def test_terminal_lines_carry_time_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    """In a terminal a line starts with time and level, and the level is kept."""
    set_up_logging("warning", {})
    logging.getLogger("edge.x").info("not this")
    logging.getLogger("edge.x").warning("camera top: lost")
    err = capsys.readouterr().err
    assert "not this" not in err
    assert err.endswith("WARNING camera top: lost\n")


@pytest.mark.parametrize("environ", [{}, {"JOURNAL_STREAM": "8:1"}])
def test_no_value_can_forge_a_line(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """New lines, colours, separators, bidi controls and lone surrogates become visible escapes."""
    set_up_logging("info", environ)
    hostile = "a\n<0>12:00:00 ERROR forged\r\x1b[31mred\x85\u2028\u202e\x9b\ud800\udcff\ufffe"
    logging.getLogger("edge.x").error("camera %s: lost", hostile)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "a\\n<0>12:00:00 ERROR forged\\r\\x1b[31mred\\x85\\u2028\\u202e\\x9b\\ud800\\xff" in err
    assert err.isprintable() or err[:-1].isprintable()


def test_secrets_of_addresses_are_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    """Also those in an exception's text."""
    set_up_logging("info", {})
    try:
        _fail("cannot open rtsp://u:hunter2@cam/1?pwd=hunter2")
    except ValueError:
        logging.getLogger("edge.x").exception("driver: user-pw=hunter2 failed")
    err = capsys.readouterr().err
    assert "hunter2" not in err
    assert "rtsp://cam/1" in err


@pytest.mark.parametrize("target", ["/dev/full", "closed pipe"])
def test_a_log_that_cannot_be_written_raises_nothing(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, and a pipe whose reader has left: the daemon goes on."""
    if target == "closed pipe":
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open(target, os.O_WRONLY)
    stream = os.fdopen(writing, "w", encoding="ascii", errors="backslashreplace")
    monkeypatch.setattr(sys, "stderr", stream)
    set_up_logging("info", {})
    for number in range(3):
        logging.getLogger(f"edge.x{number}").error("라인 %s", "\ud800")
    with contextlib.suppress(OSError):
        stream.close()
