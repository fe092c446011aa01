"""The latency budget: the longest inference on a box, and the networks that meet it."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.core.terms import Kernels
from trainer.device_latency.cost_table import PUBLISHED, CostTable, find_cost_table
from trainer.device_latency.estimate import Estimate, estimate, format_ms
from trainer.device_latency.operator_work import OperatorWork

THIS_MACHINE = "this"
SIDES = (64, 96, 128, 160, 192, 224)  # input sizes to list, pixels
# From the highest accuracy to the lowest: docs/training.md.
BY_ACCURACY = ("pretrained", "compact", "pretrained-small", "baseline")

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LatencyBudget:
    """The longest inference, and the costs of the box that runs it.

    `target` is in milliseconds; None when the user asks for the estimate only. With
    `measured_here` the box is this machine, which times finished models.
    """

    costs: CostTable
    target: float | None
    measured_here: bool

    def estimate(self, works: Sequence[OperatorWork], kernels: Kernels = "quickest") -> Estimate:
        """The latency on the box."""
        return estimate(works, self.costs, kernels)

    def objection(self, estimated: Estimate, measured: float | None = None) -> str | None:
        """Why the model is too slow; None when it is not. `measured`: milliseconds on this box."""
        if self.target is None:
            return None
        if self.measured_here and measured is not None:
            if measured <= self.target:
                return None
            return f"it takes {format_ms(measured)} ms here, the limit is {self.target:g} ms"
        if estimated.open:
            return f"how long it takes is not known: {estimated}"
        if estimated.milliseconds <= self.target:
            return None
        return f"estimated {estimated}, the limit is {self.target:g} ms ({self.costs.provenance})"


@dataclass(frozen=True, slots=True)
class NetworkOption:
    """One of our networks at one input size, in int8, and its latency on the box."""

    network: str
    side: int
    estimate: Estimate


def add_latency_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options for the box and its longest inference. Imports nothing heavy."""
    add = parser.add_argument_group(
        "the box", "An inference on one thread; without decoding and resizing."
    ).add_argument
    add(
        "--target-ms",
        type=_milliseconds,
        metavar="N",
        help="longest inference on the box, in milliseconds",
    )
    add(
        "--on",
        metavar="BOX",
        help=f"{', '.join(PUBLISHED)} (from published measurements), {THIS_MACHINE} (measured "
        f"here), or a FILE from edge-convert figures -o FILE (default: {THIS_MACHINE})",
    )


def latency_budget(target: float | None, on: str | None, say: Say) -> LatencyBudget | None:
    """The budget from --target-ms and --on; None without either.

    Measuring this machine takes some seconds. Raises EdgeInspectError when the costs of the box
    are not available.
    """
    if target is None and on is None:
        return None
    if on not in (None, THIS_MACHINE):
        return LatencyBudget(find_cost_table(on or THIS_MACHINE), target, measured_here=False)
    from trainer.device_latency.measure import measure_cost_table

    say("figures        timing operators on this machine, some seconds")
    costs = measure_cost_table().replace(box="this machine")
    return LatencyBudget(costs, target, measured_here=True)


def network_options(budget: LatencyBudget, classes: int = 2) -> tuple[NetworkOption, ...]:
    """All our networks at all sizes, the most accurate first. Needs TensorFlow.

    Builds each network without weights, to count its work.
    """
    from trainer.device_latency.network_work import network_work
    from trainer.networks import NETWORKS, input_of

    names = [name for name in BY_ACCURACY if name in NETWORKS]
    names += [name for name in NETWORKS if name not in BY_ACCURACY]
    found = []
    for name in names:
        for side in reversed(SIDES):
            works = network_work(NETWORKS[name].untrained(input_of(name, side), classes))
            found.append(NetworkOption(name, side, budget.estimate(works)))
    return tuple(found)


def within_budget(
    budget: LatencyBudget, options: Sequence[NetworkOption]
) -> tuple[NetworkOption, ...]:
    """The options that meet the budget; all of them without a target."""
    return tuple(one for one in options if budget.objection(one.estimate) is None)


def network_table(budget: LatencyBudget, options: Sequence[NetworkOption]) -> str:
    """A table of milliseconds in int8 by network and input size; brackets mark too slow ones."""
    sides = sorted({one.side for one in options})
    names = list(dict.fromkeys(one.network for one in options))
    width = max(map(len, names))
    head = "".join(f"{f'{side} px':>10}" for side in sides)
    lines = [f"{'int8, ms':<{width}}{head}"]
    for name in names:
        cells = []
        for side in sides:
            one = next((o for o in options if (o.network, o.side) == (name, side)), None)
            if one is None:
                cells.append("–")
                continue
            estimated = format_ms(one.estimate.milliseconds)
            cells.append(estimated if budget.objection(one.estimate) is None else f"({estimated})")
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>10}" for cell in cells))
    spread = max(one.estimate.spread for one in options)
    lines.append(
        f"on {budget.costs.box}, {budget.costs.provenance}; a model may take up to "
        f"{1 + spread:.2f} times as long, or be faster by the same factor"
        + ("" if budget.target is None else f"; in brackets: above {budget.target:g} ms")
    )
    return "\n".join(lines)


def fitting_text(budget: LatencyBudget, options: Sequence[NetworkOption]) -> str:
    """The networks that meet the budget, for the end of a refusal."""
    sides: dict[str, list[int]] = {}
    for one in within_budget(budget, options):
        sides.setdefault(one.network, []).append(one.side)
    if not sides:
        fastest = min(options, key=lambda one: one.estimate.milliseconds)
        return (
            f"none of our networks does: the quickest, {fastest.network} at {fastest.side} pixels, "
            f"takes {fastest.estimate}"
        )
    names = [f"{name} at up to {max(found)} pixels" for name, found in sides.items()]
    return f"there {', '.join(names)} would fit (edge-train --network NAME --side PIXELS)"


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 60_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of milliseconds above 0")
    return value
