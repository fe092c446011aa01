"""Evaluates a model file on the test set of a data set, the same for .keras and .tflite."""

from pathlib import Path

import numpy as np

from edge.core.errors import ModelError
from edge.inspection import load_inspector
from trainer.core import Display, write_json
from trainer.data import (
    Dataset,
    batches_of,
    describe_dataset,
    load_for_evaluation,
    measured_pictures,
)
from trainer.evaluation.finalize import evaluate_test_set, evaluation_file
from trainer.evaluation.metrics import Evaluation
from trainer.evaluation.requirements import Requirements
from trainer.networks import load_trained, scores


def evaluate_model_file(model: Path, root: Path, json_file: Path | None = None) -> Evaluation:
    """Evaluates `model` on the test set of `root`; writes the figures to `json_file` if given.

    Only a .keras file imports TensorFlow. Of a folder without train/ and test/ every picture is
    measured, unless the model was trained on this folder: see `load_for_evaluation`. Raises
    EdgeInspectError for an error that the user can fix.
    """
    if model.suffix == ".tflite":
        return _measure_tflite(model, root, json_file)
    if model.suffix == ".keras":
        return _measure_keras(model, root, json_file)
    raise ModelError(f"{model}: neither .keras nor .tflite; give one of those")


def _measure_tflite(path: Path, root: Path, json_file: Path | None) -> Evaluation:
    inspector = load_inspector(path)
    recorded = inspector.file.spec.data if inspector.file.spec is not None else {}
    data = load_for_evaluation(root, inspector.ok_label, recorded)
    with Display() as display:
        display.say(describe_dataset(data))
        display.say(measured_pictures(data))
        found = np.array(
            [
                inspector.judge(picture).score
                for batch in batches_of(data.of("test"), inspector.input, display.reading)
                for picture in batch
            ]
        )
    evaluation = evaluate_test_set(data, found, inspector.thresholds)
    identity = inspector.identity
    _write(json_file, evaluation, identity.name, identity.version, data)
    return evaluation


def _measure_keras(path: Path, root: Path, json_file: Path | None) -> Evaluation:
    model, spec = load_trained(path)
    if spec is None:
        raise ModelError(
            f"{path}: does not say its labels and thresholds, because edge-train did not make it; "
            "convert it with edge-convert and evaluate the .tflite"
        )
    data = load_for_evaluation(root, spec.ok_label, spec.data)
    with Display() as display:
        display.say(describe_dataset(data))
        display.say(measured_pictures(data))
        batches = batches_of(data.of("test"), spec.input, display.reading)
        found = np.concatenate([scores(model, spec, batch) for batch in batches])
    evaluation = evaluate_test_set(
        data, found, spec.thresholds, Requirements.from_json(spec.training.get("wish"))
    )
    _write(json_file, evaluation, spec.name, spec.version, data)
    return evaluation


def _write(
    json_file: Path | None, evaluation: Evaluation, name: str, version: str, data: Dataset
) -> None:
    if json_file is not None:
        write_json(json_file, evaluation_file(evaluation, name, version, data.fingerprint()))
