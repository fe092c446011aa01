"""The write-ahead journal of accepted parts without a stored verdict. It survives `kill -9`.

It has one line for each part, and one for each of its verdicts. The kernel keeps them when the
process dies. The file is never flushed, because a trigger must not wait for a disk; a power cut
loses it. It is in memory where systemd provides a runtime directory.
"""

import contextlib
import errno
import json
import logging
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from edge.core.messages import rfc3339
from edge.core.part import Part
from edge.core.verdict import Verdict

log = logging.getLogger(__name__)

Key = tuple[str, int, str]  # camera, number, time of the trigger: unique for a part


@dataclass(slots=True)
class OpenPart:
    """A part and its progress.

    since: a number of the outbox; verdicts on this part have higher numbers.
    verdicts: the number of verdicts that it gets.
    stored_regions: the regions whose verdicts are stored.
    """

    part: Part
    since: int
    verdicts: int = 1
    stored_regions: set[str | None] = field(default_factory=set)

    @property
    def is_done(self) -> bool:
        """Whether all its verdicts are stored."""
        return len(self.stored_regions) >= self.verdicts


class PartJournal:
    """Safe between threads. Never raises when the file system refuses: the part is still judged,
    and `fault` has the reason."""

    def __init__(self, path: Path, *, compact_bytes: int = 1 << 20) -> None:
        """Reads the file of the last process.

        path: created with the first part.
        compact_bytes: past this size the file is rewritten with open parts only.
        """
        self.fault = ""
        self.path, self._compact_bytes = path, compact_bytes
        self._lock = threading.Lock()
        self._open = {_key(one.part): one for one in _read(path) if not one.is_done}
        self._last = max((one.since for one in self._open.values()), default=0)
        self._file: int | None = None
        self._size = 0

    @classmethod
    def beside(cls, outbox: Path, runtime_directory: str | None) -> Self:
        """The journal of an outbox: in systemd's runtime directory, else beside the outbox. That
        directory is in memory and outlives a restart of the service."""
        name = f"{outbox.name}.parts"
        if runtime_directory:
            return cls(Path(runtime_directory.split(":")[0]) / name)
        return cls(outbox.with_name(name))

    def still_open(self) -> list[OpenPart]:
        """The open parts; before the first `note`, those of the last process."""
        with self._lock:
            return [
                OpenPart(one.part, one.since, one.verdicts, set(one.stored_regions))
                for one in self._open.values()
            ]

    def note(self, part: Part, verdicts: int) -> None:
        """A part was accepted, which gets this number of verdicts. The kernel has the line when
        this returns."""
        with self._lock:
            one = OpenPart(part, self._last, verdicts)
            self._open[_key(part)] = one
            self._append([_opened_line(one)])

    def stored(self, verdicts: Sequence[Verdict], numbers: Sequence[int]) -> None:
        """Verdicts were committed under these numbers of the outbox."""
        with self._lock:
            self._last = max([self._last, *numbers])
            self._close_regions(
                (_key(v.trigger), v.region) for v in verdicts if v.trigger is not None
            )

    def mark_stored(self, bodies: Iterable[bytes]) -> None:
        """These bodies are in the outbox. The last process may have died before it noted them."""
        with self._lock:
            if self._open:
                self._close_regions(
                    found for body in bodies if (found := _of_body(body)) is not None
                )

    def close(self) -> None:
        """Closes the file, and deletes it when no part is open."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None
            if not self._open:
                with contextlib.suppress(OSError):
                    self.path.unlink(missing_ok=True)

    def _close_regions(self, found: Iterable[tuple[Key, str | None]]) -> None:
        lines = []
        for key, region in found:
            one = self._open.get(key)
            if one is None:
                continue
            one.stored_regions.add(region)
            lines.append(_stored_line(key, region))
            if one.is_done:
                del self._open[key]
        if lines:
            self._append(lines)

    def _append(self, lines: list[bytes]) -> None:
        try:
            if self._file is None or self._size > self._compact_bytes:
                self._rewrite()  # the new file contains these lines, too
                return
            data = b"".join(lines)
            _write(self._file, data)
            self._size += len(data)
        except OSError as error:
            self._refused(error)

    def _rewrite(self) -> None:
        """Replaces the file by one with all open parts, atomically, and keeps it open."""
        new = self.path.with_name(f"{self.path.name}.new")
        lines = []
        for one in self._open.values():
            lines.append(_opened_line(one))
            lines += [_stored_line(_key(one.part), region) for region in one.stored_regions]
        data = b"".join(lines)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            _write(file, data)
            new.replace(self.path)
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
                self.path,
                error.strerror or error,
            )
        self.fault = error.strerror or str(error)
        if self._file is not None:  # it may end in a torn line: the next line starts a new file
            os.close(self._file)
            self._file = None


def _write(file: int, data: bytes) -> None:
    """Writes everything in one call, so that a killed process leaves whole lines."""
    if os.write(file, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _key(part: Part) -> Key:
    return part.camera, part.number, rfc3339(part.at)


def _line(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _stored_line(key: Key, region: str | None) -> bytes:
    return _line({"told": key, "region": region})  # `told`: a key of the file format


def _opened_line(one: OpenPart) -> bytes:
    part = one.part
    return _line(
        {
            "open": [part.camera, part.number, part.at],
            "kind": part.kind,
            "name": part.name,
            "transaction": part.transaction,
            "frames": part.frames,
            "recipe": part.recipe,
            "since": one.since,
            "verdicts": one.verdicts,
        }
    )


def _of_body(body: bytes) -> tuple[Key, str | None] | None:
    try:
        verdict = json.loads(body)
        trigger = verdict["trigger"]
        if trigger is None:
            return None
        return (verdict["camera"], trigger["number"], trigger["at"]), verdict["region"]
    except (ValueError, KeyError, TypeError):
        return None  # a body of another version: it names no open part


def _read(path: Path) -> list[OpenPart]:
    """The parts of a killed process. A torn line is skipped: its trigger was never answered, or its
    part gets a second verdict, which states the reason."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return []
    found: dict[Key, OpenPart] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            if "open" in entry:
                one = _reopened(entry)
                found[_key(one.part)] = one
            else:
                camera, number, at = entry["told"]
                found[camera, number, at].stored_regions.add(entry["region"])
        except (ValueError, KeyError, TypeError):
            continue
    return list(found.values())


def _reopened(entry: Mapping[str, Any]) -> OpenPart:
    camera, number, at = entry["open"]
    part = Part(
        camera=str(camera),
        number=int(number),
        kind=entry["kind"],
        name=entry["name"],
        transaction=entry["transaction"],
        at=float(at),
        tick=0.0,  # the monotonic clock may have restarted since
        due=0.0,
        latest=0.0,
        until=0.0,
        frames=int(entry["frames"]),
        recipe=entry.get("recipe"),  # a released version knows none
    )
    return OpenPart(part, int(entry["since"]), int(entry["verdicts"]))
