"""A whole conversion: load, calibrate, quantise, compare with float, pass the gate, pack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.evaluation import EvaluationSet, load_evaluation_set
from converter.evaluation.evaluation_set import Progress
from converter.loading import SourceModel, SourceOverrides, load_source_model
from converter.packaging import check_output, content_version, tool_versions, write_atomically
from converter.quantization import CALIBRATION_PICTURES, SCHEMES, CalibrationSet, choose_calibration
from converter.selection import (
    GateLimits,
    SchemeSelection,
    SchemeSelector,
    SchemeTrial,
    TrialFigures,
    check_calibration,
    refusal,
    refuse_slow,
    refuse_unlearned,
)
from converter.tflite import Runner, find_runners
from edge.core.errors import DatasetError, MissingPartError
from edge.inspection import InspectionSpec, Thresholds, pack_model_file, schema_of
from trainer.data import Dataset, load_pictures, load_recorded
from trainer.device_latency import LatencyBudget
from trainer.device_latency.latency_budget import latency_budget
from trainer.evaluation import NOTHING_PASSES

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ConversionRequest:
    """The options of one conversion.

    - `calibration`: the number of calibration pictures.
    - `scheme`: the only scheme to try; None tries all.
    - `tflite_python`: the Python interpreter that has tflite-runtime.
    - `older_runtime`: True requires tflite-runtime, False skips it, None uses it if installed.
    - `target_ms`: the longest inference allowed on `box`, in ms; see `latency_budget`.
    """

    model: Path
    data: Path
    output: Path
    overrides: SourceOverrides = field(default_factory=SourceOverrides)
    model_version: str | None = None
    calibration: int = CALIBRATION_PICTURES
    limits: GateLimits = field(default_factory=GateLimits)
    scheme: str | None = None
    tflite_python: Path | None = None
    older_runtime: bool | None = None
    target_ms: float | None = None
    box: str | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """The result of a conversion: a model file of `size` bytes at `path`, and all trials."""

    path: Path
    size: int
    spec: InspectionSpec
    calibrated_on: int
    selection: SchemeSelection
    chosen: SchemeTrial
    figures: TrialFigures
    source: SourceModel
    evaluation_set: EvaluationSet
    budget: LatencyBudget | None = None


def convert(
    request: ConversionRequest,
    say: Say = lambda _line: None,
    progress: Progress = lambda _what, _done, _total: None,
    table: Callable[[SchemeSelection], None] = lambda _selection: None,
) -> Conversion:
    """Converts the model, compares it with float and writes the model file.

    `say` gets lines for the user, `progress` the step and its count, and `table` all trials before
    the gate decides.
    Raises RefusedError when the gate refuses the model, and ModelError, DatasetError or
    MissingPartError for a wrong request. Then nothing is written, and an older file stays.
    """
    check_output(request.output)
    runners = find_runners(request.tflite_python, older=request.older_runtime is not False)
    budget = latency_budget(request.target_ms, request.box, say)
    source = _load_source(request, budget, say)
    dataset = load_recorded_dataset(source, request.data)
    fingerprint = dataset.fingerprint()  # reads every picture
    say(_about_data(source, dataset, fingerprint))
    _check_runtimes(runners, request, say)
    calibration = _calibration(source, dataset, request.calibration)
    evaluation_set = load_evaluation_set(source, dataset, progress)
    limits, pictures = request.limits, calibration.pictures
    selection = SchemeSelector(
        source, dataset, pictures, evaluation_set, runners, limits, progress, budget
    ).select(SCHEMES if request.scheme is None else (request.scheme,))
    table(selection)
    chosen = selection.chosen
    if chosen is None or chosen.built_model is None or chosen.figures is None:
        raise refusal(source.file, selection.trials, budget)
    quantisation = _quantisation(selection, chosen, chosen.figures, len(calibration.samples))
    spec = _spec(
        source,
        chosen,
        version=request.model_version,
        data={"fingerprint": fingerprint, "pictures": dataset.counts()},
        quantisation=quantisation,
    )
    content = pack_model_file(
        chosen.built_model.tflite, source.spec.labels, spec, chosen.figures.golden_files
    )
    write_atomically(request.output, content)
    return Conversion(
        path=request.output,
        size=len(content),
        spec=spec,
        calibrated_on=len(calibration.samples),
        selection=selection,
        chosen=chosen,
        figures=chosen.figures,
        source=source,
        evaluation_set=evaluation_set,
        budget=budget,
    )


def _load_source(request: ConversionRequest, budget: LatencyBudget | None, say: Say) -> SourceModel:
    """Loads the model. Raises RefusedError when it has not learned, or is too slow for `budget`."""
    source = load_source_model(request.model, request.overrides)
    refuse_unlearned(source.file, source.spec.metrics, request.limits)
    if budget is not None:
        say(refuse_slow(source, budget))
    return source


def _check_runtimes(runners: Sequence[Runner], request: ConversionRequest, say: Say) -> None:
    """Raises MissingPartError when the request needs two runtimes and only one is installed."""
    if len(runners) > 1:
        return
    if request.older_runtime:
        raise MissingPartError(
            "--for-tflite-runtime: no tflite-runtime is installed here; make one with "
            "`make test-tflite-runtime`, or name a Python that has it with --tflite-python"
        )
    say(f"only {runners[0].name} is checked: no other runtime is installed here")


def _calibration(source: SourceModel, dataset: Dataset, count: int) -> CalibrationSet:
    train = dataset.of("train")
    samples = choose_calibration(train, count)
    calibration = CalibrationSet(samples, load_pictures(samples, source.input))
    labels = sorted({sample.label for sample in train})
    check_calibration(source.file, calibration, labels, source.input)
    return calibration


def _thresholds(chosen: SchemeTrial) -> Thresholds:
    """The thresholds of the chosen trial. A model that has not learned passes no part."""
    assert chosen.figures is not None
    assert chosen.thresholds is not None
    return chosen.thresholds if chosen.figures.converted.learned else NOTHING_PASSES


def _spec(
    source: SourceModel,
    chosen: SchemeTrial,
    *,
    version: str | None,
    data: dict[str, Any],
    quantisation: dict[str, Any],
) -> InspectionSpec:
    """inspection.json of the finished model file."""
    assert chosen.built_model is not None
    assert chosen.figures is not None
    return InspectionSpec(
        schema_=schema_of(source.input),
        name=source.spec.name,
        version=version or content_version(chosen.built_model.tflite),
        ok_label=source.spec.ok_label,
        input=source.input,
        output=source.converted_output,
        kernels=chosen.kernels,
        thresholds=_thresholds(chosen),
        metrics=chosen.figures.converted.as_json(),
        quantisation=quantisation,
        data={**source.spec.data, **data},
        tools=tool_versions(),
        golden=chosen.figures.golden,
    )


def _quantisation(
    selection: SchemeSelection, chosen: SchemeTrial, figures: TrialFigures, calibrated_on: int
) -> dict[str, Any]:
    """Float against converted, for inspection.json. No times: they differ from run to run."""
    assert chosen.built_model is not None
    assert chosen.score_diff is not None
    return {
        **chosen.built_model.as_json(),
        "calibration_pictures": calibrated_on,
        "compared": chosen.score_diff.as_json(),
        "float_metrics": figures.float32.as_json(),
        "float_thresholds": figures.float_thresholds.to_dict(),
        "kernels": chosen.kernels,
        "runtimes": [result.runtime for result in chosen.runtime_results],
        "runtime_difference": chosen.runtime_difference,
        "oldest_runtime": chosen.runtime_results[-1].runtime,
        "schemes": [trial.as_json() for trial in selection.trials],
    }


def load_recorded_dataset(source: SourceModel, root: Path) -> Dataset:
    """The data set with the split of the training, without the pictures that training left out.

    Raises DatasetError when its classes are not the model's.
    """
    dataset = load_recorded(root, source.spec.ok_label, source.spec.data)
    if set(dataset.labels) != set(source.spec.labels):
        raise DatasetError(
            f"{root}: has the classes {', '.join(dataset.labels)}, the model {source.file} has "
            f"{', '.join(source.spec.labels)}; give the data set of its training"
        )
    return dataset


def _about_data(source: SourceModel, dataset: Dataset, fingerprint: str) -> str:
    if not source.ours:
        return (
            f"{dataset.root}: split now; the figures are valid only if {source.file} was not "
            "trained on pictures of the test set"
        )
    if source.spec.data.get("fingerprint") not in (None, fingerprint):
        return (
            f"{dataset.root}: differs from the training data of {source.file}; the figures are "
            "valid only if no test picture was in the training data"
        )
    return f"{dataset.root}: the training data of {source.file}, with the same split"
