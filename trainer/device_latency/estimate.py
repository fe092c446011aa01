"""Milliseconds of one inference on a box, from what the operators do and what they cost there."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from edge.terms import Kernels
from trainer.device_latency.cost_table import Figures
from trainer.device_latency.operator_work import Work


@dataclass(frozen=True, slots=True)
class Part:
    """One operator and its milliseconds, one thread; None where the box has no figure of it."""

    work: Work
    milliseconds: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a network takes on `box`. `milliseconds` is the sum of what there are figures of, and
    so only the least that it takes when `unknown` names operators that there are none of."""

    box: str
    whence: str
    parts: tuple[Part, ...]
    milliseconds: float
    spread: float
    unknown: tuple[str, ...]

    @property
    def open(self) -> bool:
        """Whether multiply-adds are among what there is no figure of: then nearly all is open."""
        return any(part.milliseconds is None and part.work.multiply_adds for part in self.parts)

    @property
    def low(self) -> float:
        """Quicker than this it is hardly."""
        return self.milliseconds / (1 + self.spread)

    @property
    def high(self) -> float:
        """Slower than this it is hardly, if all its operators are known."""
        return self.milliseconds * (1 + self.spread)

    def __str__(self) -> str:
        if self.unknown:
            names = ", ".join(self.unknown)
            return (
                f"at least {ms(self.low)} ms on {self.box}, how much more is not known: "
                f"there is no figure of {names}"
            )
        return f"{ms(self.milliseconds)} ms ({ms(self.low)} to {ms(self.high)}) on {self.box}"


def estimate(works: Iterable[Work], figures: Figures, kernels: Kernels = "quickest") -> Estimate:
    """Sums what the operators cost. It never falls when one has more to do."""
    parts, total, missing = [], figures.invoke_us / 1000, Counter[str]()
    away = 0.0  # milliseconds by which the sum may be wrong
    for work in works:
        price = figures.price(kernels, work)
        if price is None:
            missing[f"{(work.operator or work.kind).lower()} ({work.dtype})"] += 1
            parts.append(Part(work, None))
            continue
        taken = price.microseconds(work) / 1000
        total += taken
        away += taken * figures.spread_of(kernels, work.dtype)
        parts.append(Part(work, taken))
    unknown = tuple(
        name if count == 1 else f"{count} × {name}" for name, count in sorted(missing.items())
    )
    return Estimate(
        figures.box, figures.whence, tuple(parts), total, away / total if total else 0.0, unknown
    )


def ms(value: float) -> str:
    """Milliseconds with three figures: 0.123, 1.23, 12.3, 123."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"
