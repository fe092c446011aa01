"""Milliseconds of one inference on a box, from what the operators do and what they cost there."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from edge.core.terms import Kernels
from trainer.device_latency.cost_table import CostTable
from trainer.device_latency.operator_work import OperatorWork


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """One operator and its milliseconds, one thread; None where the box has no figure of it."""

    work: OperatorWork
    milliseconds: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a network takes on `box`. `milliseconds` is the sum of what there are figures of, and
    so only the least that it takes when `unknown` names operators that there are none of."""

    box: str
    provenance: str
    operators: tuple[OperatorCost, ...]
    milliseconds: float
    spread: float
    unknown: tuple[str, ...]

    @property
    def open(self) -> bool:
        """Whether multiply-adds are among what there is no figure of: then nearly all is open."""
        return any(
            operator.milliseconds is None and operator.work.multiply_adds
            for operator in self.operators
        )

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
                f"at least {format_ms(self.low)} ms on {self.box}, how much more is not known: "
                f"there is no figure of {names}"
            )
        low, high = format_ms(self.low), format_ms(self.high)
        return f"{format_ms(self.milliseconds)} ms ({low} to {high}) on {self.box}"


def estimate(
    works: Iterable[OperatorWork], costs: CostTable, kernels: Kernels = "quickest"
) -> Estimate:
    """Sums what the operators cost. It never falls when one has more to do."""
    operators, total, missing = [], costs.invoke_us / 1000, Counter[str]()
    away = 0.0  # milliseconds by which the sum may be wrong
    for work in works:
        price = costs.price(kernels, work)
        if price is None:
            missing[f"{(work.operator or work.kind).lower()} ({work.dtype})"] += 1
            operators.append(OperatorCost(work, None))
            continue
        taken = price.microseconds(work) / 1000
        total += taken
        away += taken * costs.spread_of(kernels, work.dtype)
        operators.append(OperatorCost(work, taken))
    unknown = tuple(
        name if count == 1 else f"{count} × {name}" for name, count in sorted(missing.items())
    )
    return Estimate(
        costs.box,
        costs.provenance,
        tuple(operators),
        total,
        away / total if total else 0.0,
        unknown,
    )


def format_ms(value: float) -> str:
    """Milliseconds with three figures: 0.123, 1.23, 12.3, 123."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"
