"""Whether a model is quick enough for the box that was named, before and after its conversion."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from converter.loading.source_model import Source
from converter.quantization.quantization_schemes import make
from converter.selection.scheme_trial import Trial
from edge.errors import RefusedError
from trainer.device_latency.latency_budget import Bound, offers, what_fits
from trainer.device_latency.operator_work import Work, work_of


def refuse_slow(source: Source, bound: Bound) -> str:
    """What the model will take on the box in int8, the quickest scheme, in a sentence.

    Raises RefusedError when that is too long: no scheme would make it quicker. On this machine
    only when it is too long by more than an estimate may be wrong, for a finished model is timed.
    """
    said = bound.estimate(_as_int8(source))
    if bound.target is None:
        return f"in int8: {said} ({bound.figures.whence})"
    if (said.low if bound.here else said.milliseconds) > bound.target:
        raise RefusedError(
            f"{source.file}: refused before it was converted, nothing was written: estimated "
            f"{said} in int8, at most {bound.target:g} ms it may ({bound.figures.whence}); "
            f"{what_fits(bound, offers(bound, len(source.spec.labels)))}"
        )
    return f"in int8: {said}, at most {bound.target:g} ms it may ({bound.figures.whence})"


def too_slow(trial: Trial, bound: Bound | None) -> str | None:
    """Why a trial that ran takes too long, None where it does not or nothing was asked."""
    if bound is None or trial.said is None:
        return None
    return bound.objection(trial.said, trial.ran[0].milliseconds)


def fitting_instead(trials: Sequence[Trial], bound: Bound | None) -> str | None:
    """Which of our networks would fit, when every scheme that could be made is too slow."""
    made = [trial for trial in trials if trial.made is not None]
    if bound is None or not made or any(too_slow(trial, bound) is None for trial in made):
        return None
    return what_fits(bound, offers(bound))


def _as_int8(source: Source) -> tuple[Work, ...]:
    """The work of the network as if all of it were in int8."""
    picture = np.zeros((1, *source.input.shape), np.uint8)
    works = work_of(make("float32", source.frozen, picture, source.file).tflite)
    return tuple(replace(work, dtype="int8") if work.dtype == "float32" else work for work in works)
