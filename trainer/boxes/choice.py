"""Which recipes give a network that is quick enough for the box that was named."""

from collections.abc import Sequence

from edge.errors import RefusedError
from edge.inspection.preprocess import InputSpec
from trainer.boxes.bound import Bound, Offer, Say, fitting, offers, offers_table, what_fits
from trainer.boxes.layers import network_work
from trainer.boxes.work import Work
from trainer.inputs import input_for
from trainer.networks import build_network
from trainer.networks.pretrained import untrained_lite0
from trainer.oneclass import NETWORK as ONE_CLASS
from trainer.recipe import Recipe, usual


def networks_there(bound: Bound, classes: int, say: Say) -> tuple[Offer, ...]:
    """All networks of ours with what they take on the box; prints them as a table.

    Raises RefusedError when none keeps within the time.
    """
    offered = offers(bound, classes)
    say(offers_table(bound, offered))
    if not fitting(bound, offered):
        raise RefusedError(
            f"--target-ms {bound.target:g}: {what_fits(bound, offered)}; allow more time, or take "
            "a quicker box"
        )
    return offered


def quick_enough(
    recipes: Sequence[Recipe], bound: Bound, offered: Sequence[Offer], classes: int, say: Say
) -> tuple[Recipe, ...]:
    """Those of `recipes` whose networks keep within the time, in their order.

    When several were thought of and none does, the network of ours that finds most, at the
    largest size that does. Raises RefusedError when a single one was asked for and takes too long.
    """
    kept = []
    for recipe in recipes:
        objection = bound.objection(bound.estimate(_work(recipe, classes)))
        title = f"{recipe.network} at {_like(recipe)[1].width} pixels"
        if objection is None:
            kept.append(recipe)
        elif len(recipes) == 1:
            raise RefusedError(f"--network {title}: {objection}; {what_fits(bound, offered)}")
        else:
            say(f"{title} is not tried: {objection}")
    if kept:
        return tuple(kept)
    best, first = fitting(bound, offered)[0], recipes[0]
    say(f"{best.network} at {best.side} pixels fits, and is tried instead")
    shared = {
        "seed": first.seed,
        "view": first.view,
        "region": first.region,
        "variations": first.variations,
    }
    tune = first.tune if best.network == "pretrained" else None
    return (usual(best.network).changed(side=best.side, tune=tune, **shared),)


def _work(recipe: Recipe, classes: int) -> tuple[Work, ...]:
    name, spec = _like(recipe)
    if name == "pretrained":  # its weights do not matter here, and may not even be installed
        return network_work(untrained_lite0(spec, classes))
    return network_work(build_network(name, classes, spec))


def _like(recipe: Recipe) -> tuple[str, InputSpec]:
    """The network whose layers it has, and its input."""
    name = "pretrained" if recipe.network == ONE_CLASS else recipe.network
    return name, input_for(recipe.changed(network=name))
