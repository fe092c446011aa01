"""The candidates whose networks meet the latency budget of a box."""

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
    """The latency budget, and our networks with their estimates for `classes` classes."""

    budget: LatencyBudget
    options: tuple[NetworkOption, ...]
    classes: int

    def within_budget(
        self, all_settings: Sequence[TrainingSettings], say: Say
    ) -> tuple[TrainingSettings, ...]:
        """The settings whose networks meet the budget, in order.

        When none does, the result is our most accurate network that does, at its largest size.
        """
        fast_enough = []
        for settings in all_settings:
            objection = self.objection(settings)
            if objection is None:
                fast_enough.append(settings)
            else:
                say(f"{_title(settings)} is not tried: {objection}")
        if fast_enough:
            return tuple(fast_enough)
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
        """Why a network is too slow; None when it is not."""
        return self.budget.objection(self.budget.estimate(settings_work(settings, self.classes)))


def latency_constraint(
    request: TrainingRequest, classes: int, say: Say
) -> LatencyConstraint | None:
    """The constraint of a request, None without one; prints the estimates of all networks.

    Raises RefusedError when no network meets the budget, or the requested one does not, and
    EdgeInspectError for a box without figures.
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
    return f"{settings.network} at {network_and_input(settings)[1].width} pixels"


def settings_work(settings: TrainingSettings, classes: int) -> tuple[OperatorWork, ...]:
    """The work of the network of `settings`."""
    name, spec = network_and_input(settings)
    # Built without weights: they do not matter here and may not be installed.
    return network_work(network(name).untrained(spec, classes))


def network_and_input(settings: TrainingSettings) -> tuple[str, InputSpec]:
    """The name of the network that has the layers, and its input."""
    name = "pretrained" if settings.network == ONE_CLASS else settings.network
    return name, input_for(settings.replace(network=name))
