"""Standard output and standard error of the commands. Writing to them never ends in a traceback."""

import io
import os
import sys
import traceback
from collections.abc import Callable
from typing import TextIO

from edge.core.errors import EXIT_NO, EdgeInspectError
from edge.core.redaction import redact
from edge.core.text import one_line


def prepare_output() -> None:
    """Makes both streams usable in every environment. Call it first.

    - A closed descriptor is opened on /dev/null; otherwise the next file, such as the outbox,
      would get its number, and each line of the log would be written into it.
    - Both streams take every character, in any locale: JSON is UTF-8.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    if sys.stdout is None:
        sys.stdout = _stream(1)
    if sys.stderr is None:
        sys.stderr = _stream(2)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def write_error(sentence: str) -> None:
    """One line on stderr. Raises nothing: a full disk or a closed pipe must not hide the exit
    code."""
    try:
        sys.stderr.write(f"{one_line(redact(sentence))}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        _discard(sys.stderr)


def write_errors(error: EdgeInspectError) -> None:
    """The error, one sentence a line."""
    for sentence in error.sentences:
        write_error(sentence)


def write_traceback(error: BaseException) -> None:
    """The traceback of a bug on stderr, without secrets and forged lines."""
    for line in traceback_lines(error):
        write_error(line)


def traceback_lines(error: BaseException) -> list[str]:
    """The lines of a traceback. The exception's text cannot add a line that looks like another."""
    *frames, last = traceback.format_exception(error)
    return [*"".join(frames).splitlines(), *last.rstrip("\n").split("\n")]


class OutputError(Exception):
    """Standard output takes no more. `why` is None when its reader has left, as in `… | head`."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.why = None if isinstance(error, BrokenPipeError) else error.strerror


def write_output(text: str) -> None:
    """Writes to stdout at once. Raises OutputError."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        raise OutputError(error) from None


def finish_output(run: Callable[[], int]) -> int:
    """The exit code of a command, after its last output is written; 1 when that fails."""
    code = EXIT_NO
    try:
        code = run()
        write_output("")
    except OutputError as error:
        _discard(sys.stdout)
        if error.why is not None:
            write_error(f"the output cannot be written ({error.why}); write it to another place")
        return code or EXIT_NO
    return code


def _stream(number: int) -> TextIO:
    return open(number, "w", encoding="utf-8", closefd=False)


def _discard(stream: TextIO) -> None:
    """Sends the rest to /dev/null; otherwise Python reports the same failure at exit."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):
        return
