"""Parts that were accepted and have no stored verdict yet, noted where `kill -9` does not reach.

A file of lines, one written for each part and one for each of its verdicts: the kernel keeps what
was written though the process dies at once. It is never flushed to a disk, since a trigger must not
wait for one; so a power cut loses it. Where systemd gives a runtime directory, it is in memory.
"""

import contextlib
import errno
import json
import logging
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.delivery.message import rfc3339
from edge.part import Part
from edge.verdict import Verdict

log = logging.getLogger(__name__)

_ENOUGH = 1 << 20  # bytes; past it the file is written anew, with what is open only

Key = tuple[str, int, str]  # camera, number, time of the trigger: no two parts have the same


@dataclass(slots=True)
class OpenPart:
    """What is known of a part. `since` is a number of the outbox: verdicts on this part have a
    higher one. `verdicts` is how many it gets. `told` are the regions whose verdicts are stored."""

    part: Part
    since: int
    verdicts: int = 1
    told: set[str | None] = field(default_factory=set)


class OpenParts:
    """Safe between threads. Never raises for what the file system refuses: a part is judged all
    the same, `fault` says what is missing."""

    def __init__(self, path: Path, verdicts_of: Callable[[str], int]) -> None:
        """`path` need not exist; it is made with the first part. `verdicts_of(camera)` is how many
        verdicts a part of a camera gets that is accepted now."""
        self.fault = ""
        self._path, self._verdicts_of = path, verdicts_of
        self._lock = threading.Lock()
        self._open = {_key(one.part): one for one in _read(path) if not self._is_done(one)}
        self._last = max((one.since for one in self._open.values()), default=0)
        self._file: int | None = None
        self._size = 0

    def left(self) -> list[OpenPart]:
        """The parts that are open: before any is noted, those that the last process left."""
        with self._lock:
            return [
                OpenPart(one.part, one.since, one.verdicts, set(one.told))
                for one in self._open.values()
            ]

    def note(self, part: Part) -> None:
        """A part was accepted. When this returns, the kernel has it."""
        with self._lock:
            one = OpenPart(part, self._last, self._verdicts_of(part.camera))
            self._open[_key(part)] = one
            self._append([_opened(one)])

    def stored(self, verdicts: Sequence[Verdict], numbers: Sequence[int]) -> None:
        """Verdicts were committed under these numbers of the outbox."""
        with self._lock:
            self._last = max([self._last, *numbers])
            self._tell((_key(v.trigger), v.region) for v in verdicts if v.trigger is not None)

    def told(self, bodies: Iterable[bytes]) -> None:
        """Bodies that the outbox holds: what they tell of an open part was stored, though the
        process died before it could note so."""
        with self._lock:
            if self._open:
                self._tell(found for body in bodies if (found := _of_body(body)) is not None)

    def close(self) -> None:
        """Ends the writing; with nothing open the file goes."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
            if not self._open:
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)

    def _tell(self, found: Iterable[tuple[Key, str | None]]) -> None:
        lines = []
        for key, region in found:
            one = self._open.get(key)
            if one is None:
                continue
            one.told.add(region)
            lines.append(_line({"told": key, "region": region}))
            if self._is_done(one):
                del self._open[key]
        if lines:
            self._append(lines)

    def _is_done(self, one: OpenPart) -> bool:
        return len(one.told) >= one.verdicts

    def _append(self, lines: list[bytes]) -> None:
        try:
            if self._file is None or self._size > _ENOUGH:
                self._begin()
                return  # written anew, with all that is open
            data = b"".join(lines)
            _write(self._file, data)
            self._size += len(data)
        except OSError as error:
            self._refused(error)

    def _begin(self) -> None:
        """Writes the file anew, whole or not at all, and leaves it open."""
        half = self._path.with_name(f"{self._path.name}.new")
        lines = []
        for one in self._open.values():
            lines.append(_opened(one))
            lines += [_line({"told": _key(one.part), "region": name}) for name in one.told]
        data = b"".join(lines)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(half, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            _write(file, data)
            half.replace(self._path)
        except OSError:
            os.close(file)
            raise
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = file, len(data)
        self.fault = ""

    def _refused(self, error: OSError) -> None:
        if not self.fault:
            log.error(
                "%s: open parts cannot be noted (%s); should the daemon be killed they get no "
                "verdict; make room, or check the folder's owner",
                self._path,
                error.strerror or error,
            )
        self.fault = error.strerror or str(error)
        if self._file is not None:  # what is half written is of no use: begin anew next time
            os.close(self._file)
            self._file = None


def _write(file: int, data: bytes) -> None:
    """All of it in one go, so that a process that is killed leaves whole lines."""
    if os.write(file, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _key(part: Part) -> Key:
    return part.camera, part.number, rfc3339(part.at)


def _line(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode() + b"\n"


def _opened(one: OpenPart) -> bytes:
    part = one.part
    return _line(
        {
            "open": [part.camera, part.number, part.at],
            "kind": part.kind,
            "name": part.name,
            "transaction": part.transaction,
            "frames": part.frames,
            "since": one.since,
            "verdicts": one.verdicts,
        }
    )


def _of_body(body: bytes) -> tuple[Key, str | None] | None:
    try:
        said = json.loads(body)
        trigger = said["trigger"]
        if trigger is None:
            return None
        return (said["camera"], trigger["number"], trigger["at"]), said["region"]
    except (ValueError, KeyError, TypeError):
        return None  # of another version: it tells nothing of an open part


def _read(path: Path) -> list[OpenPart]:
    """What a process left there that was killed. A line that is torn is passed over: its part was
    never answered, or has its verdict twice with the reason in the second."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    found: dict[Key, OpenPart] = {}
    for line in lines:
        try:
            said = json.loads(line)
            if "open" in said:
                one = _reopened(said)
                found[_key(one.part)] = one
            else:
                camera, number, at = said["told"]
                found[camera, number, at].told.add(said["region"])
        except (ValueError, KeyError, TypeError):
            continue
    return list(found.values())


def _reopened(said: Mapping[str, Any]) -> OpenPart:
    camera, number, at = said["open"]
    part = Part(
        camera=str(camera),
        number=int(number),
        kind=said["kind"],
        name=said["name"],
        transaction=said["transaction"],
        at=float(at),
        tick=0.0,  # of a clock that may have begun anew since
        due=0.0,
        latest=0.0,
        until=0.0,
        frames=int(said["frames"]),
    )
    return OpenPart(part, int(said["since"]), int(said["verdicts"]))
