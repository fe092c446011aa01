"""Runs one training, from a folder of pictures to an evaluated model on disk."""

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge import __version__
from edge.inspection import OutputSpec, Thresholds
from trainer.audit import audit_training
from trainer.core import Display, keras, tensorflow, write_json
from trainer.data import Dataset, describe_dataset, load_dataset
from trainer.data.summary import is_synthetic
from trainer.evaluation import Evaluation, Requirements, check_demonstrable, evaluation_file
from trainer.evaluation.finalize import finalize
from trainer.networks import TrainedSpec, build_network, input_of, probabilities, save_trained
from trainer.networks.hub import PREFIX as HUB
from trainer.training.candidate_run import CandidateRun, RunContext, run_candidate
from trainer.training.fitting_networks import LatencyConstraint, latency_constraint
from trainer.training.model_selection import (
    candidate_settings,
    candidates_table,
    plan_as_json,
    plan_candidates,
    plan_from_json,
    recommend,
)
from trainer.training.one_class import NETWORK, run_one_class
from trainer.training.run_folder import (
    BASELINE,
    CANDIDATES,
    EVALUATION,
    HISTORY,
    MODEL,
    PREVIEW,
    finish_run,
    prepare_run,
)
from trainer.training.settings import TrainingRequest, TrainingSettings, default_settings

SPLIT = {"seed": 0, "validation_fraction": 0.2, "test_fraction": 0.25}
DEFAULT_FALSE_REJECT = 0.05  # the comparison of candidates uses it without a limit of the plant


def train(
    root: Path,
    run: Path,
    request: TrainingRequest,
    *,
    ok_label: str,
    name: str | None,
    requirements: Requirements | None = None,
    allow_leaks: bool = False,
) -> Evaluation:
    """Trains on `root`, writes `run` and prints the progress.

    The same call resumes a stopped run. Returns the figures of the test set. Raises
    EdgeInspectError for an error that the user can fix.
    """
    requirements = requirements or Requirements()
    data = load_dataset(
        root,
        ok_label,
        seed=int(SPLIT["seed"]),
        validation_fraction=SPLIT["validation_fraction"],
        test_fraction=SPLIT["test_fraction"],
        one_class=request.one_class,
    )
    test = data.counts()["test"]
    check_demonstrable(requirements, test[ok_label], sum(test.values()) - test[ok_label])
    unfinished = prepare_run(run, root)
    _check_weights(request.settings.network, request.settings.side, len(data.labels))
    with Display() as display:
        display.say(describe_dataset(data))
        constraint = latency_constraint(request, len(data.labels), display.say)
        audited = audit_training(data, display, allow_leaks=allow_leaks)
        data = data.without(audited.get("set_aside", ()))
        context = RunContext(data, data.fingerprint(), unfinished)
        candidates = _run_candidates(request, context, requirements, display, constraint)
        chosen, why = recommend(candidates)
        if request.auto:
            display.say(f"{candidates_table(candidates)}\nrecommended    {why}")
            _write_candidates(run / CANDIDATES, candidates, chosen, why)
        model_name = name or root.resolve().name or "model"
        if request.baseline and chosen.settings.network != "baseline":
            plain = _run_baseline(request.settings, context, display)
            (run / BASELINE).mkdir(exist_ok=True)
            _finish(run / BASELINE, context, plain, model_name, requirements, audited=audited)
        evaluation = _finish(run, context, chosen, model_name, requirements, audited=audited)
        finish_run(run)
    return evaluation


def _check_weights(network: str, side: int | None, classes: int) -> None:
    """Builds a network of Keras once, so that a failed download ends the run early."""
    if network.startswith(HUB):
        build_network(network, classes, input_of(network, side))


def _write_candidates(
    path: Path, candidates: Sequence[CandidateRun], chosen: CandidateRun, why: str
) -> None:
    entries = [one.as_json() | {"recommended": one is chosen} for one in candidates]
    write_json(path, {"candidates": entries, "why": why})


def _run_baseline(
    settings: TrainingSettings, context: RunContext, display: Display
) -> CandidateRun:
    """The baseline on the same pictures, for the comparison in the report."""
    plain = default_settings("baseline").replace(
        seed=settings.seed,
        view=settings.view,
        region=settings.region,
        decoding=settings.decoding,
    )
    version = _version(context.fingerprint, plain)
    return run_candidate(context, plain, version, display, DEFAULT_FALSE_REJECT, timed=False)


def _run_candidates(
    request: TrainingRequest,
    context: RunContext,
    requirements: Requirements,
    display: Display,
    constraint: LatencyConstraint | None,
) -> list[CandidateRun]:
    if request.one_class:
        version = _version(context.fingerprint, request.settings)
        return [run_one_class(context, request.settings, version, display)]
    return [
        run_candidate(
            context,
            settings,
            _version(context.fingerprint, settings),
            display,
            requirements.max_false_reject or DEFAULT_FALSE_REJECT,
            timed=request.auto,
        )
        for settings in _planned_settings(request, context, display, constraint)
    ]


def _planned_settings(
    request: TrainingRequest,
    context: RunContext,
    display: Display,
    constraint: LatencyConstraint | None,
) -> tuple[TrainingSettings, ...]:
    if not request.auto:
        return (request.settings,)
    pictures, classes = len(context.data.of("train")), len(context.data.labels)
    candidates = candidate_settings(request.settings, pictures)
    if constraint is not None:
        candidates = constraint.within_budget(candidates, display.say)
    plan_file = context.folder / f"plan-{_version(context.fingerprint, *candidates)}.json"
    if plan_file.exists():
        plan = plan_from_json(json.loads(plan_file.read_text("utf-8")), candidates)
    else:
        display.say("timing         a few steps of each candidate")
        plan = plan_candidates(candidates, pictures, classes, request.minutes)
        write_json(plan_file, plan_as_json(plan))
    for line in plan.left_out:
        display.say(line)
    return plan.all_settings


def _finish(
    folder: Path,
    context: RunContext,
    candidate: CandidateRun,
    name: str,
    requirements: Requirements,
    *,
    audited: dict[str, Any],
) -> Evaluation:
    """Evaluates one trained network and writes its files."""
    data, settings = context.data, candidate.settings
    best = max((epoch.number for epoch in candidate.history if epoch.best), default=0)
    spec = TrainedSpec(
        name=name,
        version=_version(context.fingerprint, settings),
        labels=data.labels,
        ok_label=data.ok_label,
        input=candidate.input,
        output=OutputSpec(kind="probabilities"),
        thresholds=Thresholds(reject_at=1, review_from=1),
        data=_provenance(data, context.fingerprint)
        | {"one_class": settings.network == NETWORK, "audit": audited}
        | ({"painted": True} if is_synthetic(data) else {}),
        training=settings.as_json()
        | {"best_epoch": best, "ran": len(candidate.history), "input": list(candidate.reasons)},
        tools=_tools(),
    )
    found = {
        set_name: probabilities(candidate.model, spec, candidate.sets[set_name].pictures)
        for set_name in ("validation", "test")
    }
    spec, evaluation = finalize(folder, data, spec, **found, requirements=requirements)
    write_json(folder / HISTORY, [asdict(epoch) for epoch in candidate.history])
    write_json(
        folder / EVALUATION,
        evaluation_file(evaluation, spec.name, spec.version, context.fingerprint),
    )
    candidate.preview.replace(folder / PREVIEW)
    # The model comes last: a folder with a model is a complete run.
    save_trained(candidate.model, spec, folder / MODEL)
    return evaluation


def _version(fingerprint: str, *all_settings: TrainingSettings) -> str:
    """The version: a hash of pictures, settings and split."""
    recorded = json.dumps(
        [fingerprint, *(settings.as_json() for settings in all_settings), SPLIT, __version__],
        sort_keys=True,
    )
    return hashlib.sha256(recorded.encode()).hexdigest()[:12]


def _provenance(data: Dataset, fingerprint: str) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint,
        "split_seed": SPLIT["seed"],
        "validation_fraction": SPLIT["validation_fraction"],
        "test_fraction": SPLIT["test_fraction"],
        "counts": data.counts(),
    } | (
        {"datasets": [{"name": n, "path": p, "pictures": k} for n, p, k in data.sources]}
        if data.sources
        else {}
    )


def _tools() -> dict[str, str]:
    return {
        "edge-inspect": __version__,
        "python": platform.python_version(),
        "tensorflow": str(tensorflow().__version__),
        "keras": str(keras().__version__),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }
