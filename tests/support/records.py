"""A box's records for tests: a history in memory, kept pictures and labels in a folder."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.config import ArchiveConfig
from edge.core.clock import Clock
from edge.core.ids import uuid7
from edge.core.messages import rfc3339, stored_body, to_json
from edge.core.verdict import Outcome
from edge.plant import RecordsService
from edge.storage import HistoryQuery, HistoryReader, HistoryRow, Labels
from edge.storage.history.records import HistorySettings
from edge.storage.history.writer import HistoryWriter
from tests.support.verdicts import a_verdict, an_error

NOON = 1_796_040_000.0  # 2026-11-30T12:00:00Z


class FakeHistory:
    """The history in memory."""

    def __init__(self) -> None:
        self.rows: list[HistoryRow] = []  # the oldest first

    def verdicts(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """Newest first."""
        found = [row for row in reversed(self.rows) if _fits(row, query)]
        yield from found[: query.limit]

    def by_id(self, name: str) -> HistoryRow | None:
        """The verdict with this id."""
        return next((row for row in self.rows if row.body["id"] == name), None)

    def by_prefix(self, prefix: str, limit: int = 2) -> list[HistoryRow]:
        """The verdicts whose ids begin so."""
        found = [row for row in self.rows if _digits(row).startswith(prefix)]
        return found[:limit]

    def passes_by_sample_rate(
        self, since: float, until: float, model_sha256: str | None = None
    ) -> dict[float, int]:
        """How many `pass` verdicts were made at each sampling rate."""
        rows = self._between(since, until, model_sha256)
        return Counter(row.pass_sample for row in rows if row.body["verdict"] == "pass")

    def counts_by_verdict(
        self, since: float, until: float, model_sha256: str | None = None
    ) -> dict[str, int]:
        """How many verdicts there were of each kind."""
        return Counter(row.body["verdict"] for row in self._between(since, until, model_sha256))

    def _between(self, since: float, until: float, model: str | None) -> list[HistoryRow]:
        return [
            row
            for row in self.rows
            if since <= _at(row) < until
            and model in (None, row.body["model"] and row.body["model"]["sha256"])
        ]


class FileHistory(HistoryReader):
    """The rows of a `FakeHistory`, read from a file that the daemon's writer has written."""

    def __init__(self, path: Path, source: FakeHistory) -> None:
        super().__init__(path)
        self._file, self._source = path, source
        self._written: list[HistoryRow] = []

    def verdicts(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """Newest first."""
        self._write()
        return super().verdicts(query)

    def by_id(self, name: str) -> HistoryRow | None:
        """The verdict with this id."""
        self._write()
        return super().by_id(name)

    def by_prefix(self, prefix: str, limit: int = 2) -> list[HistoryRow]:
        """The verdicts whose ids begin so."""
        self._write()
        return super().by_prefix(prefix, limit)

    def passes_by_sample_rate(
        self, since: float, until: float, model_sha256: str | None = None
    ) -> dict[float, int]:
        """How many `pass` verdicts were made at each sampling rate."""
        self._write()
        return super().passes_by_sample_rate(since, until, model_sha256)

    def _write(self) -> None:
        if self._written == self._source.rows:
            return
        for file in self._file.parent.glob(f"{self._file.name}*"):
            file.unlink()
        write_history(self._file, self._source.rows)
        self._written = list(self._source.rows)


def write_history(path: Path, rows: Sequence[HistoryRow]) -> None:
    """Writes a history file as the daemon does."""
    at = rows[-1].received_ms / 1000 if rows else NOON
    writer = HistoryWriter(path, HistorySettings(), Clock(now=lambda: at))
    for row in rows:
        writer.adopt(HistorySettings(pass_sample=row.pass_sample))
        writer.add(to_json(row.body))
    writer.close()
    writer.run()


def _digits(row: HistoryRow) -> str:
    return str(row.body["id"]).replace("-", "")


def _at(row: HistoryRow) -> float:
    return datetime.fromisoformat(row.body["captured_at"]).timestamp()


def _fits(row: HistoryRow, query: HistoryQuery) -> bool:
    wanted = {name: getattr(query, name) for name in ("camera", "verdict", "label", "part")}
    return (
        all(value in (None, row.body[name]) for name, value in wanted.items())
        and (query.since is None or _at(row) >= query.since)
        and (query.until is None or _at(row) < query.until)
        and (query.before_seq is None or row.seq < query.before_seq)
    )


@dataclass
class RecordsOfABox:
    """Verdicts that a test adds, and the service over them."""

    folder: Path
    history: FakeHistory = field(default_factory=FakeHistory)
    clock: list[float] = field(default_factory=lambda: [NOON])

    def __post_init__(self) -> None:
        self.archive = ArchiveConfig(enabled=True, path=self.folder / "archive")
        self.labels = Labels(self.folder / "labels.jsonl")

    def service(
        self,
        history: FakeHistory | FileHistory | None = None,
        skipped_samples: int | None = None,
    ) -> RecordsService:
        """The commands over these records. `history`: from a file instead. `skipped_samples`: that
        the daemon counted."""
        return RecordsService(
            history or self.history,
            self.labels,
            lambda: self.archive,
            lambda: "ok",
            lambda: self.clock[0],
            skipped_samples=lambda: skipped_samples,
        )

    def judge(
        self,
        outcome: Outcome,
        *,
        ago_s: float = 60.0,
        pass_sample: float = 0.0,
        doubtful: bool = False,
        **changes: Any,
    ) -> str:
        """Remembers a verdict that was made `ago_s` seconds before noon. Returns its id."""
        at = NOON - ago_s
        score = {"pass": 0.1, "review": 0.5, "fail": 0.9, "error": None}[outcome]
        made = an_error if outcome == "error" else a_verdict
        values: dict[str, Any] = {
            "id": uuid7(int(at * 1000) + 30),
            "captured_at": at,
            "verdict": outcome,
            **({} if score is None else {"score": score}),
            **({"label": "ok"} if outcome == "pass" else {}),
            **changes,
        }
        verdict = made(**values)
        seq = len(self.history.rows) + 1
        body = json.loads(stored_body(verdict, seq))
        self.history.rows.append(HistoryRow(seq, body, int(at * 1000) + 30, doubtful, pass_sample))
        return verdict.id

    def keep(
        self,
        name: str,
        why: str = "verdict",
        *,
        frames: int = 1,
        pass_sample: float = 0.0,
        record: bool = True,
    ) -> Path:
        """Keeps pictures of a remembered verdict. Returns the first one's path."""
        row = self.history.by_id(name)
        assert row is not None
        body = {key: value for key, value in row.body.items() if key != "seq"}
        day = datetime.fromtimestamp(row.received_ms / 1000, UTC).date().isoformat()
        folder = self.archive.path / day
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{body['verdict']}-{body['camera']}-{name}"
        files = [f"{stem}.png" if n == 1 else f"{stem}.{n}.png" for n in range(1, frames + 1)]
        for number, file in enumerate(files):
            pixels = np.full((48, 64, 3), 40 * number, np.uint8)
            done, data = cv2.imencode(".png", pixels)
            assert done
            (folder / file).write_bytes(data.tobytes())
        if record:
            frame = {"seq": 7, "captured_at": rfc3339(NOON), "encoding": "png"}
            text = json.dumps(
                {
                    "schema": "edge-inspect/evidence/1",
                    "result": body,
                    "why": [why],
                    "pass_sample": pass_sample,
                    "view": None,
                    "frames": [{"file": file, **frame} for file in files],
                    "judged_on": {"machine": "x86_64"},
                }
            )
            (folder / f"{stem}.json").write_text(text, encoding="utf-8")
        return folder / files[0]

    def forget(self, name: str) -> None:
        """The budget of the history removes a verdict."""
        self.history.rows = [row for row in self.history.rows if row.body["id"] != name]

    def with_archive(self, **values: Any) -> None:
        """Changes the section `archive`, as a reload does."""
        self.archive = self.archive.replace(**values)
