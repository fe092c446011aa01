"""Estimates the milliseconds of one inference on a box from the costs of its operators."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from edge.core.terms import Kernels
from trainer.device_latency.cost_table import CostTable
from trainer.device_latency.operator_work import OperatorWork


@dataclass(frozen=True, slots=True)
class OperatorCost:
    """One operator and its milliseconds on one thread; None when the table has no price for it."""

    work: OperatorWork
    milliseconds: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """The latency of a network on `box`.

    `milliseconds` is the sum over the operators with a price. It is a lower bound when `unknown`
    names operators without one.
    """

    box: str
    provenance: str
    operators: tuple[OperatorCost, ...]
    milliseconds: float
    spread: float
    unknown: tuple[str, ...]

    @property
    def open(self) -> bool:
        """Whether an operator with multiply-adds has no price: then the estimate says little."""
        return any(
            operator.milliseconds is None and operator.work.multiply_adds
            for operator in self.operators
        )

    @property
    def low(self) -> float:
        """The lower end of the range, in milliseconds."""
        return self.milliseconds / (1 + self.spread)

    @property
    def high(self) -> float:
        """The upper end of the range, in milliseconds, when all operators have a price."""
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
    """Sums the costs of the operators. More work never lowers the sum."""
    operators, total, missing = [], costs.invoke_us / 1000, Counter[str]()
    error_ms = 0.0  # by which the sum may be wrong
    for work in works:
        price = costs.price(kernels, work)
        if price is None:
            missing[f"{(work.operator or work.kind).lower()} ({work.dtype})"] += 1
            operators.append(OperatorCost(work, None))
            continue
        taken = price.microseconds(work) / 1000
        total += taken
        error_ms += taken * costs.spread_of(kernels, work.dtype)
        operators.append(OperatorCost(work, taken))
    unknown = tuple(
        name if count == 1 else f"{count} × {name}" for name, count in sorted(missing.items())
    )
    return Estimate(
        costs.box,
        costs.provenance,
        tuple(operators),
        total,
        error_ms / total if total else 0.0,
        unknown,
    )


def format_ms(value: float) -> str:
    """Milliseconds with three digits: 0.123, 1.23, 12.3, 123."""
    digits = 3 if value < 1 else 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}"
