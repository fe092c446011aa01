"""The values of the history: a question, a remembered verdict, a bar of a trend, statistics."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from edge.config import HistoryConfig
from edge.core.errors import EdgeInspectError
from edge.storage.outbox.sqlite import Kind

BINS = 20  # of a score histogram; bin n counts scores from n/20 to below (n+1)/20


class HistoryError(EdgeInspectError):
    """The history cannot be opened, read or written; the sentence names the file and the fix.

    kind: as in `OutboxError`.
    """

    def __init__(self, text: str, kind: Kind = "permanent") -> None:
        super().__init__(text)
        self.kind: Kind = kind


def history_path(outbox: Path) -> Path:
    """The history that belongs to an outbox: `history.db` beside `outbox.db`."""
    name = "history.db" if outbox.name == "outbox.db" else f"{outbox.stem}.history.db"
    return outbox.with_name(name)


class HistoryBody(NamedTuple):
    """A `result` body as the outbox stored it.

    pass_sample: the rate of `archive.pass_sample` that was in force.
    base: of a verdict from a damaged file: its key minus its number; None: a new verdict.
    """

    body: bytes
    pass_sample: float = 0.0
    base: int | None = None


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which verdicts. None: any.

    since, until: of `captured_at`, seconds since the epoch; from the first to before the second.
    label: the model's label.
    part: the trigger's part id.
    recipe: the number of the recipe.
    limit: at most this number of verdicts.
    before_seq: only verdicts older than the row of this `HistoryRow.seq`; for the next page.
    """

    since: float | None = None
    until: float | None = None
    camera: str | None = None
    verdict: str | None = None
    label: str | None = None
    part: str | None = None
    recipe: int | None = None
    limit: int | None = None
    before_seq: int | None = None


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """A remembered verdict.

    seq: its place in the history, which rises with each verdict. It is the body's `seq`, unless
        the outbox was deleted and counted from 1 again.
    body: the `result` body without `replayed`.
    received_ms: when the verdict was made, milliseconds since the epoch.
    doubtful: the clock had jumped back, so its times may be wrong.
    pass_sample: the rate of `archive.pass_sample` that was in force.
    """

    seq: int
    body: dict[str, Any]
    received_ms: int
    doubtful: bool = False
    pass_sample: float = 0.0


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """The verdicts of one kind in one span of time, from the minute aggregates.

    at: begin of the span, seconds since the epoch.
    scores: the histogram of scores, `BINS` counts.
    latency_ms, latency_max_ms: from capture to verdict, mean and longest.
    """

    at: float
    camera: str
    recipe: int | None
    verdict: str
    label: str | None
    count: int
    scores: tuple[int, ...]
    latency_ms: float
    latency_max_ms: float


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """max_bytes, max_age_s: the budget of the file; 0 bytes turn the history off. pass_sample: the
    rate of `archive.pass_sample` in force."""

    max_bytes: int = 200 * 2**20
    max_age_s: float = 90 * 86400.0
    pass_sample: float = 0.0

    @classmethod
    def of(cls, config: HistoryConfig, pass_sample: float = 0.0) -> Self:
        """As config.yaml says."""
        return cls(int(config.max_mb * 2**20), config.max_age_d * 86400.0, pass_sample)


@dataclass(frozen=True, slots=True)
class HistoryStats:
    """What health reports of the history. Counters start with this process.

    rows: remembered verdicts.
    bytes: of the file and SQLite's log.
    oldest: when the oldest was captured, seconds since the epoch; None: there is none.
    not_remembered: verdicts that came while the disk refused and memory was full.
    damaged: how often the file was set aside.
    salvaged: verdicts saved from damaged files.
    fault: why nothing is written, with what to do; empty: all is well.
    """

    rows: int = 0
    bytes: int = 0
    oldest: float | None = None
    not_remembered: int = 0
    damaged: int = 0
    salvaged: int = 0
    fault: str = ""
