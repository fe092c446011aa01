"""Candidates whose networks keep the latency budget on the named box."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.core.errors import RefusedError
from edge.inspection import InputSpec
from trainer.device_latency import (
    LatencyBudget,
    NetworkOption,
    OperatorWork,
    fitting_text,
    network_options,
    within_budget,
)
from trainer.device_latency.latency_budget import Say, latency_budget, network_table
from trainer.device_latency.network_work import network_work
from trainer.networks import network
from trainer.training.input_choice import input_for
from trainer.training.one_class import NETWORK as ONE_CLASS
from trainer.training.settings import TrainingRequest, TrainingSettings, default_settings


@dataclass(frozen=True, slots=True)
class LatencyConstraint:
    """The bound that was stated, and what networks of ours take there for so many classes."""

    budget: LatencyBudget
    options: tuple[NetworkOption, ...]
    classes: int

    def within_budget(
        self, all_settings: Sequence[TrainingSettings], say: Say
    ) -> tuple[TrainingSettings, ...]:
        """Those of `all_settings` whose networks keep within the time, in their order.

        When none does, the network of ours that finds most, at the largest size that does.
        """
        quick_enough = []
        for settings in all_settings:
            objection = self.objection(settings)
            if objection is None:
                quick_enough.append(settings)
            else:
                say(f"{_title(settings)} is not tried: {objection}")
        if quick_enough:
            return tuple(quick_enough)
        best, first = within_budget(self.budget, self.options)[0], all_settings[0]
        say(f"{best.network} at {best.side} pixels fits, and is tried instead")
        changed = default_settings(best.network).replace(
            side=best.side,
            tune=first.tune if network(best.network).pretrained_weights else None,
            seed=first.seed,
            view=first.view,
            region=first.region,
            variations=first.variations,
        )
        return (changed,)

    def objection(self, settings: TrainingSettings) -> str | None:
        """Why a network takes too long, None when it does not."""
        return self.budget.objection(self.budget.estimate(_network_work(settings, self.classes)))


def latency_constraint(
    request: TrainingRequest, classes: int, say: Say
) -> LatencyConstraint | None:
    """What the order says of time, None when nothing; prints what all networks take there.

    Raises RefusedError when none keeps within the time, or the one that was asked for does not,
    and EdgeInspectError for a box without figures.
    """
    budget = (
        None if request.latency_target is None else latency_budget(*request.latency_target, say)
    )
    if budget is None:
        return None
    constraint = LatencyConstraint(budget, network_options(budget, classes), classes)
    say(network_table(budget, constraint.options))
    fits = fitting_text(budget, constraint.options)
    if not within_budget(budget, constraint.options):
        raise RefusedError(
            f"--target-ms {budget.target:g}: {fits}; allow more time, or take a quicker box"
        )
    objection = None if request.auto else constraint.objection(request.settings)
    if objection is not None:
        raise RefusedError(f"--network {_title(request.settings)}: {objection}; {fits}")
    return constraint


def _title(settings: TrainingSettings) -> str:
    return f"{settings.network} at {_network_and_input(settings)[1].width} pixels"


def _network_work(settings: TrainingSettings, classes: int) -> tuple[OperatorWork, ...]:
    name, spec = _network_and_input(settings)
    # the weights do not matter here, and may not even be installed
    return network_work(network(name).untrained(spec, classes))


def _network_and_input(settings: TrainingSettings) -> tuple[str, InputSpec]:
    """The network whose layers it has, and its input."""
    name = "pretrained" if settings.network == ONE_CLASS else settings.network
    return name, input_for(settings.replace(network=name))
