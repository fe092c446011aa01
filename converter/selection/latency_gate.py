"""The latency gate: refuses a model that is too slow for the named box."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from converter.loading import SourceModel
from converter.quantization import build_model
from converter.selection.scheme_trial import SchemeTrial
from edge.core.errors import RefusedError
from trainer.device_latency import (
    LatencyBudget,
    OperatorWork,
    fitting_text,
    network_options,
    operator_works,
)


def refuse_slow(source: SourceModel, budget: LatencyBudget) -> str:
    """A sentence with the estimated latency on the box in int8, the fastest scheme.

    Raises RefusedError when the estimate is over the limit. On this machine the lower end of the
    estimate counts, because the finished model is measured.
    """
    estimated = budget.estimate(_as_int8(source))
    if budget.target is None:
        return f"in int8: {estimated} ({budget.costs.provenance})"
    if (estimated.low if budget.measured_here else estimated.milliseconds) > budget.target:
        raise RefusedError(
            f"{source.file}: refused before the conversion, nothing was written: estimated "
            f"{estimated} in int8, the limit is {budget.target:g} ms "
            f"({budget.costs.provenance}); "
            f"{fitting_text(budget, network_options(budget, len(source.spec.labels)))}"
        )
    return f"in int8: {estimated}, the limit is {budget.target:g} ms ({budget.costs.provenance})"


def too_slow(trial: SchemeTrial, budget: LatencyBudget | None) -> str | None:
    """The objection when a trial is too slow; None when it is not or there is no limit."""
    if budget is None or trial.estimate is None:
        return None
    return budget.objection(trial.estimate, trial.runtime_results[0].milliseconds)


def suggest_networks(trials: Sequence[SchemeTrial], budget: LatencyBudget | None) -> str | None:
    """The networks that would fit, when every scheme that could be built is too slow."""
    built = [trial for trial in trials if trial.built_model is not None]
    if budget is None or not built or any(too_slow(trial, budget) is None for trial in built):
        return None
    return fitting_text(budget, network_options(budget))


def _as_int8(source: SourceModel) -> tuple[OperatorWork, ...]:
    """The work of the network if all operators were int8."""
    picture = np.zeros((1, *source.input.shape), np.uint8)
    works = operator_works(build_model("float32", source.frozen, picture, source.file).tflite)
    return tuple(replace(work, dtype="int8") if work.dtype == "float32" else work for work in works)
