"""Trains one candidate network and evaluates it on the validation set only."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.inspection import InputSpec
from trainer.core import Display, Epoch
from trainer.data import Dataset, LabelledArrays, SetName
from trainer.data.arrays import load_sets
from trainer.device_latency import int8_milliseconds
from trainer.evaluation import auroc
from trainer.networks import probabilities
from trainer.networks.cost import multiply_adds
from trainer.training.checkpoint import Checkpoint
from trainer.training.decoding_choice import (
    choose_rule,
    rule_to_try,
)
from trainer.training.fit import fit
from trainer.training.input_choice import choose_input, describe_input, input_for, survey_pictures
from trainer.training.preview import write_preview
from trainer.training.settings import TrainingSettings


@dataclass(frozen=True, slots=True)
class RunContext:
    """The data that all candidates of a run share. `folder` is for the files of a stopped run."""

    data: Dataset
    fingerprint: str
    folder: Path


@dataclass(frozen=True, slots=True)
class CandidateRun:
    """A trained network.

    - `reasons`: why the input has its size, colour and region.
    - `auroc`, `recall`: of the validation set, never of the test set. `recall` is the share of
      defects above the score that `false_reject`, 0 to 1, of the good parts reach.
    - `milliseconds`: of one picture in int8 on this machine; None if not measured.
    - `preview`: a sheet of training pictures as the network saw them.
    """

    settings: TrainingSettings
    input: InputSpec
    reasons: tuple[str, ...]
    model: Any
    history: tuple[Epoch, ...]
    sets: dict[SetName, LabelledArrays]
    auroc: float
    recall: float
    false_reject: float
    milliseconds: float | None
    preview: Path
    seconds: float

    @property
    def title(self) -> str:
        """The network in a few words."""
        frozen = " frozen" if not self.settings.tune else ""
        return f"{self.settings.network}{frozen} {self.input.width} px"

    def as_json(self) -> dict[str, Any]:
        """For candidates.json."""
        return {
            "title": self.title,
            "recipe": self.settings.as_json(),
            "parameters": int(self.model.count_params()),
            "multiply_adds": multiply_adds(self.model),
            "validation": {
                "auroc": round(self.auroc, 6),
                "recall": round(self.recall, 6),
                "at_false_reject": self.false_reject,
            },
            "milliseconds": None if self.milliseconds is None else round(self.milliseconds, 3),
            "history": [asdict(epoch) for epoch in self.history],
        }


def run_candidate(
    context: RunContext,
    settings: TrainingSettings,
    version: str,
    display: Display,
    false_reject: float,
    *,
    timed: bool,
) -> CandidateRun:
    """Trains one candidate, or resumes a stopped training. Raises EdgeInspectError.

    `version` names settings and pictures: files of another version are not used.
    """
    started = time.monotonic()
    settings, reasons = choose_input(settings, survey_pictures(context.data, input_for(settings)))
    validation = context.data.of("validation")
    decoding = rule_to_try(input_for(settings), validation, settings.decoding)
    input_spec = decoding.input
    display.say(
        f"network        {settings.network}, {describe_input(input_spec)}, seed {settings.seed}"
    )
    for reason in reasons:
        display.say(f"               {reason}")
    sets = _load(context, input_spec, display)
    preview = context.folder / f"{version}.png"
    write_preview(preview, sets["train"], context.data.labels, settings.variations, settings.seed)
    display.say(f"preview        {preview}")
    checkpoint = Checkpoint(context.folder / f"{version}.npz", version)
    model, history = fit(
        settings,
        sets["train"],
        sets["validation"],
        len(context.data.labels),
        display,
        checkpoint=checkpoint,
    )
    if input_spec.reduces:
        held_out = sets["validation"]
        decoding = choose_rule(decoding, model, validation, held_out, folder=context.folder)
        if not decoding.input.reduces:
            sets = _load(context, decoding.input, display)
    display.say(f"decoding       {decoding.reason}")
    held_out = sets["validation"]
    scores = 1 - probabilities(model, None, held_out.pictures)[:, 0]
    bad = held_out.classes > 0
    return CandidateRun(
        settings=settings,
        input=decoding.input,
        reasons=(*reasons, decoding.reason),
        model=model,
        history=tuple(history),
        sets=sets,
        auroc=auroc(scores, bad),
        recall=recall_at(scores[~bad], scores[bad], false_reject),
        false_reject=false_reject,
        milliseconds=int8_milliseconds(model) if timed else None,
        preview=preview,
        seconds=time.monotonic() - started,
    )


def _load(context: RunContext, spec: InputSpec, display: Display) -> dict[SetName, LabelledArrays]:
    return load_sets(
        context.data,
        context.fingerprint,
        spec,
        context.folder,
        display.reading,
        varied=spec.reduces,
    )


def recall_at(good: Any, defective: Any, false_reject: float) -> float:
    """The share of defective scores above all good scores but a share of `false_reject`."""
    ordered = np.sort(np.asarray(good, np.float64))
    allowed = int(false_reject * len(ordered))
    line = ordered[len(ordered) - 1 - allowed]
    return float(np.mean(np.asarray(defective) > line))
