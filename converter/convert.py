"""A conversion from end to end: calibrate → quantise → compare → gate → pack."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converter.evaluation.evaluation_set import Exam, Progress, set_exam
from converter.loading.source_model import Said, Source, load_source
from converter.packaging import check_output, content_version, tools, write_whole
from converter.quantization.calibration import CALIBRATION_PICTURES, Calibration, choose_calibration
from converter.quantization.quantization_schemes import SCHEMES
from converter.selection.decode_parity import Judge, Parity, parity
from converter.selection.latency_gate import refuse_slow
from converter.selection.quality_gate import Limits, check_calibration, refusal, refuse_unlearned
from converter.selection.scheme_selection import Contest, Contestants
from converter.selection.scheme_trial import Scores, Trial, Verdicts
from converter.tflite.runtimes import find_runners
from edge.errors import DatasetError, MissingPartError
from edge.inspection.modelfile import InspectionSpec, pack_model_file
from edge.inspection.preprocess import Pixels
from trainer.data.dataset import Dataset, load_recorded
from trainer.data.pictures import load_pictures
from trainer.device_latency.latency_budget import Bound, bound_of
from trainer.evaluation.thresholds import NOTHING_PASSES

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks for. `scheme` forces one; `tflite_python` is where tflite-runtime is.

    `older_runtime` True: it must be asked; False: no box has it; None: if it is here.
    `target_ms` is how long an inference may take on the box `on`, as `bound_of` takes them.
    """

    model: Path
    data: Path
    output: Path
    said: Said = field(default_factory=Said)
    model_version: str | None = None
    calibration: int = CALIBRATION_PICTURES
    limits: Limits = field(default_factory=Limits)
    scheme: str | None = None
    tflite_python: Path | None = None
    older_runtime: bool | None = None
    target_ms: float | None = None
    on: str | None = None


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of it: a model file of `size` bytes at `path`, and every scheme's trial."""

    path: Path
    size: int
    spec: InspectionSpec
    calibrated_on: int
    contest: Contest
    taken: Trial
    verdicts: Verdicts
    source: Source
    exam: Exam
    parity: Parity
    bound: Bound | None = None


def convert(
    request: Request,
    say: Say = lambda _line: None,
    progress: Progress = lambda _what, _done, _total: None,
    table: Callable[[Contest], None] = lambda _contest: None,
) -> Conversion:
    """Converts, judges and writes the model file; tells `say` and `progress` what it is doing.

    `table` is given the schemes' trials before the gate has spoken. Raises RefusedError when the
    gate refuses, and ModelError, DatasetError or MissingPartError for what is wrong with the
    request; nothing is written then, and an older file stays.
    """
    check_output(request.output)
    runners = find_runners(request.tflite_python, older=request.older_runtime is not False)
    bound = bound_of(request.target_ms, request.on, say)
    source = load_source(request.model, request.said)
    refuse_unlearned(source.file, source.spec.metrics, request.limits)
    if bound is not None:
        say(refuse_slow(source, bound))
    dataset = open_dataset(source, request.data)
    fingerprint = dataset.fingerprint()
    say(_about_data(source, dataset, fingerprint))
    if len(runners) == 1 and request.older_runtime:
        raise MissingPartError(
            "--for-tflite-runtime: no tflite-runtime is installed here to be asked; make one with "
            "`make test-tflite-runtime`, or name a Python that has it with --tflite-python"
        )
    if len(runners) == 1:
        say(f"only {runners[0].name} is asked: other runtimes are not checked")

    train = dataset.of("train")
    samples = choose_calibration(train, request.calibration)
    calibration = Calibration(samples, load_pictures(samples, source.input))
    there = sorted({sample.label for sample in train})
    check_calibration(source.file, calibration, there, source.input)
    exam = set_exam(source, dataset, progress)
    contest = Contestants(
        source,
        dataset,
        calibration.pictures,
        exam,
        runners,
        request.limits,
        progress,
        bound,
    ).hold(SCHEMES if request.scheme is None else (request.scheme,))
    table(contest)
    taken = contest.taken
    if taken is None or taken.made is None or taken.verdicts is None or taken.thresholds is None:
        raise refusal(source.file, contest.trials, bound)

    verdicts = taken.verdicts
    at = taken.thresholds if verdicts.converted.learned else NOTHING_PASSES
    runner, tflite = runners[0].with_kernels(taken.kernels), taken.made.tflite

    def scores(pictures: Pixels) -> Scores:
        return exam.recipe.of_rows(runner.rows(tflite, pictures, source.file)[0])

    ways = parity(
        Judge(source.input, at, scores),
        exam.test.samples,
        verdicts.golden_files,
        lambda done, total: progress("judging JPEGs at reduced scale", done, total),
    )
    spec = InspectionSpec(
        name=source.spec.name,
        version=request.model_version or content_version(taken.made.tflite),
        ok_label=source.spec.ok_label,
        input=source.input,
        output=source.converted_output,
        kernels=taken.kernels,
        decoding=ways.decoding,
        thresholds=at,
        metrics=verdicts.converted.as_json(),
        quantisation=_quantisation(contest, taken, verdicts, len(samples))
        | {"parity": ways.as_json()},
        data={**source.spec.data, "fingerprint": fingerprint, "pictures": dataset.counts()},
        tools=tools(),
        golden=verdicts.golden,
    )
    files = verdicts.golden_files
    content = pack_model_file(taken.made.tflite, source.spec.labels, spec, files)
    write_whole(request.output, content)
    return Conversion(
        request.output,
        len(content),
        spec,
        len(samples),
        contest,
        taken,
        verdicts,
        source,
        exam,
        ways,
        bound,
    )


def _quantisation(
    contest: Contest, taken: Trial, verdicts: Verdicts, calibrated_on: int
) -> dict[str, Any]:
    """Float against converted, for inspection.json; no times, they differ from run to run."""
    assert taken.made is not None
    assert taken.compared is not None
    return {
        **taken.made.as_json(),
        "calibration_pictures": calibrated_on,
        "compared": taken.compared.as_json(),
        "float_metrics": verdicts.float32.as_json(),
        "float_thresholds": verdicts.float_thresholds.said(),
        "kernels": taken.kernels,
        "runtimes": [ran.runtime for ran in taken.ran],
        "runtime_difference": taken.runtime_difference,
        "oldest_runtime": taken.ran[-1].runtime,
        "schemes": [trial.as_json() for trial in contest.trials],
    }


def open_dataset(source: Source, root: Path) -> Dataset:
    """The data set, split as it was for training, less what that set aside.

    Raises DatasetError when it does not fit.
    """
    dataset = load_recorded(root, source.spec.ok_label, source.spec.data)
    if set(dataset.labels) != set(source.spec.labels):
        raise DatasetError(
            f"{root}: has the classes {', '.join(dataset.labels)}, the model {source.file} has "
            f"{', '.join(source.spec.labels)}; give the data set that it was trained on"
        )
    return dataset


def _about_data(source: Source, dataset: Dataset, fingerprint: str) -> str:
    if not source.ours:
        return (
            f"{dataset.root}: split anew; the figures are true only if {source.file} was not "
            "trained on the pictures of the test part"
        )
    if source.spec.data.get("fingerprint") not in (None, fingerprint):
        return (
            f"{dataset.root}: other pictures than {source.file} was trained on; the figures are "
            "true only if none of the test part was among those"
        )
    return f"{dataset.root}: the pictures that {source.file} was trained on, split as they were"
