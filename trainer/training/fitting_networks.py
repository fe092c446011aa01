"""Which recipes give a network that is quick enough for the box that was named."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import RefusedError
from edge.inspection.preprocess import InputSpec
from trainer.device_latency.latency_budget import (
    Bound,
    Offer,
    Say,
    bound_of,
    fitting,
    offers,
    offers_table,
    what_fits,
)
from trainer.device_latency.network_work import network_work
from trainer.device_latency.operator_work import Work
from trainer.networks import network
from trainer.training.input_choice import input_for
from trainer.training.one_class import NETWORK as ONE_CLASS
from trainer.training.settings import Order, Recipe, usual


@dataclass(frozen=True, slots=True)
class Pace:
    """The bound that was stated, and what networks of ours take there for so many classes."""

    bound: Bound
    offered: tuple[Offer, ...]
    classes: int

    def kept(self, recipes: Sequence[Recipe], say: Say) -> tuple[Recipe, ...]:
        """Those of `recipes` whose networks keep within the time, in their order.

        When none does, the network of ours that finds most, at the largest size that does.
        """
        kept = []
        for recipe in recipes:
            objection = self.objection(recipe)
            if objection is None:
                kept.append(recipe)
            else:
                say(f"{_title(recipe)} is not tried: {objection}")
        if kept:
            return tuple(kept)
        best, first = fitting(self.bound, self.offered)[0], recipes[0]
        say(f"{best.network} at {best.side} pixels fits, and is tried instead")
        changed = usual(best.network).changed(
            side=best.side,
            tune=first.tune if network(best.network).learned else None,
            seed=first.seed,
            view=first.view,
            region=first.region,
            variations=first.variations,
        )
        return (changed,)

    def objection(self, recipe: Recipe) -> str | None:
        """Why a recipe's network takes too long, None when it does not."""
        return self.bound.objection(self.bound.estimate(_work(recipe, self.classes)))


def pace_of(order: Order, classes: int, say: Say) -> Pace | None:
    """What the order says of time, None when nothing; prints what all networks take there.

    Raises RefusedError when none keeps within the time, or the one that was asked for does not,
    and EdgeInspectError for a box without figures.
    """
    bound = None if order.pace is None else bound_of(*order.pace, say)
    if bound is None:
        return None
    pace = Pace(bound, offers(bound, classes), classes)
    say(offers_table(bound, pace.offered))
    if not fitting(bound, pace.offered):
        raise RefusedError(
            f"--target-ms {bound.target:g}: {what_fits(bound, pace.offered)}; allow more time, or "
            "take a quicker box"
        )
    objection = None if order.auto else pace.objection(order.recipe)
    if objection is not None:
        raise RefusedError(
            f"--network {_title(order.recipe)}: {objection}; {what_fits(bound, pace.offered)}"
        )
    return pace


def _title(recipe: Recipe) -> str:
    return f"{recipe.network} at {_like(recipe)[1].width} pixels"


def _work(recipe: Recipe, classes: int) -> tuple[Work, ...]:
    name, spec = _like(recipe)
    # the weights do not matter here, and may not even be installed
    return network_work(network(name).untrained(spec, classes))


def _like(recipe: Recipe) -> tuple[str, InputSpec]:
    """The network whose layers it has, and its input."""
    name = "pretrained" if recipe.network == ONE_CLASS else recipe.network
    return name, input_for(recipe.changed(network=name))
