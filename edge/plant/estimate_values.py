"""The escape and the false-reject rate as values: counts, intervals and printed sentences."""

from dataclasses import dataclass
from typing import Any

LOOK_NEXT = "edge-inspect history --why sample --unlabelled"  # lists the pictures to look at


@dataclass(frozen=True, slots=True)
class LabelledPass:
    """A passed part of the random sample that a person judged; `rate` was the sampling rate."""

    rate: float
    defective: bool


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """The parts of one verdict, and how many of them a person called good and defective."""

    parts: int = 0
    good: int = 0
    defective: int = 0

    @property
    def looks(self) -> int:
        """The number of parts that a person judged."""
        return self.good + self.defective


@dataclass(frozen=True, slots=True)
class RateInterval:
    """A rate, 0 to 1, with its 95 % interval."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Goal:
    """So many more looks lower the upper limit to `upper`, if they find defects as before."""

    looks: int
    upper: float


@dataclass(frozen=True, slots=True)
class Escapes:
    """The escape rate; `share` is None when too little is known.

    - `passes`: the passes that the estimate is of, judged at a sampling rate above 0.
    - `unsampled`: passes judged at the rate 0; the estimate says nothing of them.
    - `unseen`: passes of `passes` at rates of which hardly any picture was looked at. The upper
      limit counts them as defective.
    - `looks`, `found`: sampled passes that a person judged, and the defective ones of them.
    - `goal`: more looks that halve the upper limit; None when no number does.
    """

    share: RateInterval | None
    passes: int
    unsampled: int
    unseen: int
    looks: int
    found: int
    goal: Goal | None


@dataclass(frozen=True, slots=True)
class FalseRejects:
    """The false-reject rate; `share` is None when too little is known."""

    share: RateInterval | None
    failed: LabelCounts


@dataclass(frozen=True, slots=True)
class Estimate:
    """Both rates. `missing` has a sentence for each thing that would have to be known."""

    escapes: Escapes
    false_rejects: FalseRejects
    missing: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For `estimate --json` and `health`."""
        escapes, rejects = self.escapes, self.false_rejects
        goal = escapes.goal
        return {
            "escape_rate": _share_json(escapes.share),
            "passes": escapes.passes,
            "passes_unsampled": escapes.unsampled,
            "passes_unseen": escapes.unseen,
            "looks": escapes.looks,
            "defective": escapes.found,
            "next": None if goal is None else {"looks": goal.looks, "upper": _rounded(goal.upper)},
            "false_reject_rate": _share_json(rejects.share),
            "failed": rejects.failed.parts,
            "failed_looks": rejects.failed.looks,
            "failed_good": rejects.failed.good,
            "missing": list(self.missing),
        }

    def sentences(self) -> list[str]:
        """The lines for a terminal."""
        escapes, rejects = self.escapes, self.false_rejects
        lines = []
        if (found := escapes.share) is not None:
            lines.append(
                f"escapes        at most {percent(found.high)} of the passed parts are defective "
                f"(estimate {percent(found.rate)}, 95 % interval {percent(found.low)} to "
                f"{percent(found.high)}; {escapes.found:,} in {escapes.looks:,} looks, for "
                f"{escapes.passes:,} passes)"
            )
            if escapes.goal is not None:
                lines.append(
                    f"               {escapes.goal.looks:,} more looks for "
                    f"{percent(escapes.goal.upper)}: {LOOK_NEXT}"
                )
        if (found := rejects.share) is not None:
            lines.append(
                f"false rejects  {percent(found.rate)} of the good parts fail (95 % interval "
                f"{percent(found.low)} to {percent(found.high)}; {rejects.failed.good:,} of "
                f"{rejects.failed.looks:,} failed parts that were looked at are good)"
            )
        return lines + [f"missing        {sentence}" for sentence in self.missing]


def _share_json(share: RateInterval | None) -> dict[str, float] | None:
    if share is None:
        return None
    return {"rate": _rounded(share.rate), "low": _rounded(share.low), "high": _rounded(share.high)}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")


def percent(share: float) -> str:
    """A share in per cent with two significant digits."""
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"
