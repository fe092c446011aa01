"""How far a candidate that judges along agrees with the active version. Pure."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import Field

from edge.core.percentiles import percentile
from edge.core.record import Items, Model
from edge.core.text import one_line
from edge.core.verdict import Outcome
from edge.plant.beta_quantile import beta_quantile

_TAIL = 0.025  # of each side of a 95 % interval
_TIMES = 1000  # the latest inference times that count

Count = Annotated[int, Field(ge=0)]


class Agreement(Model):
    """The share of equal verdicts, 0 to 1, with its 95 % interval of Clopper and Pearson."""

    share: float
    low: float
    high: float

    @classmethod
    def of(cls, same: int, judged: int) -> Self | None:
        """None before the first part."""
        if not judged:
            return None
        low = beta_quantile(_TAIL, same, judged - same + 1) if same else 0.0
        high = beta_quantile(1 - _TAIL, same + 1, judged - same) if same < judged else 1.0
        return cls(share=same / judged, low=low, high=high)

    def __str__(self) -> str:
        return (
            f"{_percent(self.share)} of the verdicts are the same "
            f"(95 % interval {_percent(self.low)} to {_percent(self.high)})"
        )


class Flip(Model):
    """So many parts that both versions judge otherwise."""

    active: Outcome
    candidate: Outcome
    parts: Count


class InferenceTimes(Model):
    """Of the latest parts, in milliseconds; None before the first."""

    p50: float | None = None
    p95: float | None = None

    @classmethod
    def of(cls, times: Sequence[float]) -> Self:
        """Rounded to the microsecond."""
        if not times:
            return cls()
        return cls(p50=round(percentile(times, 50), 3), p95=round(percentile(times, 95), 3))

    def __str__(self) -> str:
        return "–" if self.p50 is None else f"{self.p50:.1f} / {self.p95:.1f} ms"


class ShadowReport(Model):
    """A candidate that judges along.

    - `name`, `version`, `sha256`: of the candidate; `by`: who asked.
    - `since`: RFC 3339; all figures are of the parts from then on. They begin anew with another
      active version, another config.yaml, and a restart.
    - `active`: SHA-256 of the version that it is compared with; None before the first part.
    - `skipped`: parts that it did not judge, because the line needed the processor.
    - `fault`: why it does not judge; None: it does.
    """

    name: str
    version: str
    sha256: str
    by: str
    since: str
    active: str | None = None
    judged: Count = 0
    skipped: Count = 0
    agreement: Agreement | None = None
    flips: Items[Flip] = ()
    inference_ms: InferenceTimes = InferenceTimes()
    active_inference_ms: InferenceTimes = InferenceTimes()
    fault: str | None = None

    @property
    def title(self) -> str:
        """`name@version`."""
        return one_line(f"{self.name}@{self.version}")

    def lines(self) -> list[str]:
        """For a terminal."""
        first = (
            f"{self.title} ({self.sha256[:12]}) judges along since {self.since}, asked by "
            f"{one_line(self.by)}: {self.judged:,} parts, {self.skipped:,} skipped"
        )
        if self.fault is not None:
            return [first, f"  it does not judge: {one_line(self.fault)}"]
        if self.agreement is None:
            return [first]
        flips = [f"{one.parts:,} {one.active} → {one.candidate}" for one in self.flips]
        times = f"{self.inference_ms}; active version: {self.active_inference_ms}"
        return [
            first,
            f"  {self.agreement}",
            f"  {', '.join(flips) or 'no verdict differs'}",
            f"  inference p50 / p95: {times}",
        ]


@dataclass(slots=True)
class ShadowCounts:
    """What was compared since `since`, RFC 3339. Not thread-safe."""

    since: str
    active: str | None = None
    judged: int = 0
    skipped: int = 0
    flips: Counter[tuple[Outcome, Outcome]] = field(default_factory=Counter)
    times: deque[float] = field(default_factory=lambda: deque(maxlen=_TIMES))
    active_times: deque[float] = field(default_factory=lambda: deque(maxlen=_TIMES))

    def add(
        self,
        active: tuple[Outcome, float | None],
        candidate: tuple[Outcome, float | None],
    ) -> None:
        """A part: both verdicts, each with its inference time in milliseconds."""
        self.judged += 1
        if active[0] != candidate[0]:
            self.flips[active[0], candidate[0]] += 1
        for (_, ms), times in ((active, self.active_times), (candidate, self.times)):
            if ms is not None:
                times.append(ms)

    def report(
        self, *, name: str, version: str, sha256: str, by: str, fault: str | None
    ) -> ShadowReport:
        """The figures so far, those that pass now first."""
        flips = sorted(self.flips.items(), key=lambda item: (item[0][1] != "pass", -item[1]))
        return ShadowReport(
            name=name,
            version=version,
            sha256=sha256,
            by=by,
            since=self.since,
            active=self.active,
            judged=self.judged,
            skipped=self.skipped,
            agreement=Agreement.of(self.judged - self.flips.total(), self.judged),
            flips=tuple(Flip(active=a, candidate=c, parts=n) for (a, c), n in flips),
            inference_ms=InferenceTimes.of(self.times),
            active_inference_ms=InferenceTimes.of(self.active_times),
            fault=fault,
        )


def _percent(share: float) -> str:
    return f"{share * 100:.2f} %"
