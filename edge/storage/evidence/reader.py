"""Reads the kept pictures and their records, while the daemon runs and when it is stopped."""

import contextlib
import os
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Protocol

from edge.core.regular_file import read_regular, regular_status
from edge.core.verdict import OUTCOMES
from edge.storage.evidence.files import age_of, day_folders
from edge.storage.evidence.names import (
    PICTURES,
    EvidenceName,
    day_of,
    id_time_ms,
    picture_name,
    read_name,
    stem_of,
)
from edge.storage.evidence.record import EvidenceRecord, read_record

_SLACK_S = 3600  # between the day of a folder and the time in an id


class RecordSource(Protocol):
    """Where kept pictures come from; `EvidenceReader` is the real part."""

    def find(self, verdict_id: str) -> EvidenceRecord | None:
        """The record of the verdict with this id; None: there is none."""
        ...

    def records(
        self, since: float | None = None, until: float | None = None
    ) -> Iterator[EvidenceRecord]:
        """All that is kept, the oldest first. `since`, `until`: seconds since the epoch."""
        ...


class EvidenceReader:
    """Reads files only, and locks nothing. A picture may disappear at any moment: then `read` of
    its record raises OSError."""

    def __init__(self, path: Path) -> None:
        """`path`: the archive, or one of its folders."""
        self._path = path

    def find(
        self, verdict_id: str, cameras: Collection[str] | None = None
    ) -> EvidenceRecord | None:
        """The record of the verdict with this id; None: there is none.

        cameras: all that have pictures; then no folder is read. None: not known.
        """
        with contextlib.suppress(ValueError, OverflowError):
            for folder in self._by_likelihood(id_time_ms(verdict_id) / 1000):
                for name in _names_of(folder, verdict_id, cameras):
                    if (record := _read(folder, name)) is not None:
                        return record
        return None

    def ids(self, prefix: str) -> Iterator[str]:
        """The ids that begin so, in no order."""
        for folder in self._folders():
            yield from (name.id for name in _pictures(folder) if name.id.startswith(prefix))

    def records(
        self, since: float | None = None, until: float | None = None
    ) -> Iterator[EvidenceRecord]:
        """All that is kept, the oldest folder first and in it by time.

        since, until: seconds since the epoch, compared with the time in the id, which is that of
        the verdict; `until` is not included.
        """
        for folder in self._folders():
            for name in sorted(_pictures(folder), key=lambda one: one.id):
                if since is not None and name.time_ms < since * 1000:
                    continue
                if until is not None and name.time_ms >= until * 1000:
                    continue
                if (record := _read(folder, name)) is not None:
                    yield record

    def newest_first(self) -> Iterator[EvidenceRecord]:
        """All that is kept, the newest folder first and in it by time. The pictures of earlier
        versions, which have no folder of a day, come last."""
        *days, root = self._folders()
        for folder in (*reversed(days), root):
            for name in sorted(_pictures(folder), key=lambda one: one.id, reverse=True):
                if (record := _read(folder, name)) is not None:
                    yield record

    def _folders(self) -> list[Path]:
        days = sorted((self._path / name for name in day_folders(self._path)), key=age_of)
        return [*days, self._path]

    def _by_likelihood(self, at: float) -> list[Path]:
        """The folders, those of the days around `at` first. Raises ValueError, OverflowError."""
        times = [datetime.fromtimestamp(at + slack, UTC) for slack in (0, -_SLACK_S, _SLACK_S)]
        days = [time.date().isoformat() for time in times]
        folders = [*(self._path / name for name in day_folders(self._path)), self._path]
        return sorted(folders, key=lambda folder: day_of(folder.name) not in days)


def _names_of(
    folder: Path, verdict_id: str, cameras: Collection[str] | None
) -> Iterator[EvidenceName]:
    """The verdict's own picture in a folder."""
    if cameras is None:
        yield from (name for name in _pictures(folder) if name.id == verdict_id)
        return
    for camera, verdict, suffix in product(cameras, OUTCOMES, PICTURES):
        name = picture_name(stem_of(verdict, camera, verdict_id), 1, suffix)
        if regular_status(folder / name) is not None and (found := read_name(name)) is not None:
            yield found


def _pictures(folder: Path) -> Iterator[EvidenceName]:
    """The verdicts' own pictures in a folder, in no order; none when it cannot be read."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            name = read_name(entry.name)
            if name is not None and name.is_picture and entry.is_file(follow_symlinks=False):
                yield name


def _read(folder: Path, name: EvidenceName) -> EvidenceRecord | None:
    """The record of a picture; None when the budget has removed both by now."""
    try:
        data = read_regular(folder / f"{name.stem}.json")
    except FileNotFoundError:
        data = None
        if not (folder / f"{name.stem}.{name.suffix}").exists():
            return None
    except OSError:
        data = b""
    return read_record(folder, name, data)
