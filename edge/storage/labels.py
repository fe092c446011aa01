"""What people say of parts: `labels.jsonl` beside the outbox, one JSON line for each action.

The file is append-only. A label is never overwritten: a later one counts, and an undo is a line
too. Each line is on the disk before its call returns. A damaged line costs that line only. Several
processes may append: each takes the file's lock.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from edge.core.errors import RefusedError
from edge.core.messages import to_json
from edge.core.text import one_line

log = logging.getLogger(__name__)

SCHEMA = "edge-inspect/label/1"
_MODE = 0o660  # the group that may use the local socket may label


@dataclass(frozen=True, slots=True)
class Label:
    """A person's label of the part of one verdict, and the facts of that verdict.

    The facts outlive history and picture, so that the estimate needs neither.

    - `at`: RFC 3339, when it was said; `by`: who said it.
    - `pass_sample`: the sampling rate that was in force for the picture; `sampled`: whether the
      picture was kept as part of the random sample.
    - `model`: the sha256 of the model that judged.
    """

    id: str
    label: str
    at: str
    by: str
    note: str | None = None
    verdict: str | None = None
    score: float | None = None
    camera: str | None = None
    part: str | None = None
    captured_at: str | None = None
    pass_sample: float | None = None
    sampled: bool = False
    model: str | None = None


@dataclass(frozen=True, slots=True)
class LabelAction:
    """One line of the file. `what`: `label`, `undo` or `export`; `label` only for the first."""

    what: str
    at: str
    by: str
    note: str | None
    label: str | None


class Labels:
    """All labels of a box. Safe between threads and processes.

    Each query first reads the lines appended since the last one, also by another process.
    """

    def __init__(self, path: Path) -> None:
        """Opens nothing yet; the first label creates the file."""
        self.path = path
        self.damaged = 0  # lines that cannot be read
        self._lock = threading.Lock()
        self._file = (0, 0)  # device and inode of the file that was read
        self._offset = 0
        self._given: dict[str, list[Label]] = {}  # by verdict; the last one counts
        self._actions: dict[str, list[LabelAction]] = {}
        self._unexported: set[str] = set()

    @classmethod
    def beside(cls, outbox: Path) -> Self:
        """The labels of an outbox."""
        return cls(outbox.with_name("labels.jsonl"))

    def prepare(self) -> None:
        """Creates the file, so that a member of the group can label while the daemon is stopped."""
        try:
            with self._lock, self._opened():
                pass
        except RefusedError as error:
            log.warning("labels: %s", error)

    def add(self, labels: Sequence[Label]) -> None:
        """Appends all of them, or none. Raises RefusedError."""
        self._append([_line(asdict(label)) for label in labels])

    def undo(self, ids: Sequence[str], *, at: str, by: str, note: str | None = None) -> list[Label]:
        """Takes back the label of each verdict; the one before it counts again. Returns the labels
        taken back. Raises RefusedError for a verdict without a label, and then changes nothing."""
        taken = []
        for name in ids:
            label = self.of(name)
            if label is None:
                raise RefusedError(f"{name}: has no label; there is nothing to undo")
            taken.append(label)
        self._append(
            [_line({"id": name, "label": None, "at": at, "by": by, "note": note}) for name in ids]
        )
        return taken

    def mark_exported(self, ids: Sequence[str], *, at: str, by: str, note: str) -> None:
        """The pictures of these verdicts were exported with their labels, to the place `note`.
        Raises RefusedError."""
        self._append(
            [
                _line({"id": name, "exported": True, "at": at, "by": by, "note": note})
                for name in ids
            ]
        )

    def of(self, name: str) -> Label | None:
        """The label of a verdict that counts."""
        with self._lock:
            self._read()
            given = self._given.get(name)
            return given[-1] if given else None

    def actions(self, name: str) -> tuple[LabelAction, ...]:
        """All that was done with the label of a verdict, in order."""
        with self._lock:
            self._read()
            return tuple(self._actions.get(name, ()))

    def all(self) -> list[Label]:
        """The labels that count, in the order in which their verdicts were first labelled."""
        with self._lock:
            self._read()
            return [given[-1] for given in self._given.values() if given]

    def protected(self, name: str) -> bool:
        """Whether the verdict has a label that was not exported yet: its picture goes last."""
        with self._lock:
            with contextlib.suppress(RefusedError):
                self._read()
            return name in self._unexported

    def _append(self, lines: Sequence[bytes]) -> None:
        if not lines:
            return
        with self._lock, self._opened() as file:
            try:
                size = os.lseek(file, 0, os.SEEK_END)
                torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
                data = (b"\n" if torn else b"") + b"".join(lines)
                try:
                    _write(file, data)
                    os.fsync(file)
                except OSError:
                    os.ftruncate(file, size)  # all or nothing
                    raise
            except OSError as error:
                raise RefusedError(
                    f"{self.path}: cannot be written ({error.strerror}), nothing is labelled; make "
                    "room, or check the disk and the file's owner"
                ) from error

    @contextmanager
    def _opened(self) -> Iterator[int]:
        """The file, locked against other processes, for appending."""
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            try:
                file = os.open(self.path, flags)
            except FileNotFoundError:
                file = self._created(flags)
        except OSError as error:
            raise RefusedError(self._refusal(error)) from error
        try:
            self._check_kind(file)
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
        finally:
            os.close(file)

    def _created(self, flags: int) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, flags | os.O_CREAT, _MODE)
        if os.fstat(file).st_uid == os.geteuid():
            os.fchmod(file, _MODE)  # the umask may have removed bits
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return file

    def _read(self) -> None:
        """Reads the appended lines. Raises RefusedError for a file that is not ours to read."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            with os.fdopen(os.open(self.path, flags), "rb") as opened:
                status = self._check_kind(opened.fileno())
                if (status.st_dev, status.st_ino) != self._file or status.st_size < self._offset:
                    self._forget()  # another file, or one that a person has shortened
                    self._file = status.st_dev, status.st_ino
                opened.seek(self._offset)
                for line in opened:
                    if not line.endswith(b"\n"):
                        break  # another process is writing it, or died; the next append ends it
                    self._offset += len(line)
                    self._take(line)
        except FileNotFoundError:
            self._forget()
        except OSError as error:
            raise RefusedError(self._refusal(error)) from error

    def _forget(self) -> None:
        self._file, self._offset, self.damaged = (0, 0), 0, 0
        self._given, self._actions, self._unexported = {}, {}, set()

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            found = _parsed(line)
            name, at, by, note = found["id"], str(found["at"]), str(found["by"]), found["note"]
            given = self._given.get(name, [])
            if found.get("exported"):
                self._unexported.discard(name)
                action = LabelAction("export", at, by, note, None)
            elif found["label"] is None:
                self._given[name] = given[:-1]
                if not self._given[name]:
                    self._unexported.discard(name)
                action = LabelAction("undo", at, by, note, None)
            else:
                label = Label(**{key: found[key] for key in _KEYS if key in found})
                self._given[name] = [*given, label]
                self._unexported.add(name)
                action = LabelAction("label", at, by, note, label.label)
            self._actions.setdefault(name, []).append(action)
        except (ValueError, KeyError, TypeError, RecursionError):
            self.damaged += 1

    def _check_kind(self, file: int) -> os.stat_result:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError(f"{self.path}: must be a regular file of labels; move it away")
        return status

    def _refusal(self, error: OSError) -> str:
        return (
            f"{self.path}: cannot be opened ({error.strerror}); check its owner and that it is no "
            "link, or label through the running daemon"
        )


_KEYS = tuple(one.name for one in fields(Label))


def _write(file: int, data: bytes) -> None:
    if os.write(file, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _parsed(line: bytes) -> dict[str, Any]:
    """Raises ValueError, KeyError or TypeError for a damaged line, and one of another version."""
    found: dict[str, Any] = json.loads(line)
    if found["schema"] != SCHEMA:
        raise ValueError(found["schema"])
    return found


def _line(entry: dict[str, Any]) -> bytes:
    return to_json({"schema": SCHEMA, **entry}) + b"\n"


def label_problem(label: str) -> str | None:
    """Why a text cannot be a label; None when it can. `export` makes a folder of each label."""
    if not label or label != label.strip() or len(label) > 64:
        return "a label has 1 to 64 characters, without spaces around them"
    if "/" in label or "\\" in label or label.startswith("."):
        return (
            f"the label {one_line(label)} holds / or \\, or begins with a dot; choose another, "
            "because `export` makes a folder of it"
        )
    return None
