"""A conversion from end to end: calibrate → quantise → compare → gate → pack."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from converter.calibrate import CALIBRATION_PICTURES, choose_calibration
from converter.gate import Limits, pass_gate, pass_judgement, refuse_unlearned
from converter.judge import Judged, judge
from converter.pack import check_output, content_version, tools, write_whole
from converter.quantise import Quantised, quantise
from converter.source import Said, Source, load_source
from edge.errors import DatasetError
from edge.inspection.modelfile import InspectionSpec, pack_model_file
from trainer.dataset import Dataset, load_dataset
from trainer.pictures import load_pictures


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks for."""

    model: Path
    data: Path
    output: Path
    said: Said = field(default_factory=Said)
    model_version: str | None = None
    calibration: int = CALIBRATION_PICTURES
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of it: a model file of `size` bytes at `path`."""

    path: Path
    size: int
    name: str
    version: str
    calibrated_on: int
    quantised: Quantised
    judged: Judged


def convert(request: Request, say: Callable[[str], None] = lambda _line: None) -> Conversion:
    """Converts, judges and writes the model file; tells `say` what it is doing.

    Raises RefusedError when the gate refuses, and ModelError, DatasetError or MissingPartError
    for what is wrong with the request; nothing is written then, and an older file stays.
    """
    check_output(request.output)
    source = load_source(request.model, request.said)
    refuse_unlearned(source.file, source.spec.metrics)
    dataset = open_dataset(source, request.data)
    fingerprint = dataset.fingerprint()
    say(_about_data(source, dataset, fingerprint))

    calibration = choose_calibration(dataset.of("train"), request.calibration)
    say(f"quantising, calibrated on {len(calibration)} training pictures …")
    quantised = quantise(source, load_pictures(calibration, source.input))

    say(f"comparing float and int8 on {len(dataset.of('test'))} test pictures …")
    judged = judge(source, dataset, quantised.tflite)
    pass_gate(
        source.file,
        judged.compared,
        judged.golden_flips,
        judged.runtime_difference,
        request.limits,
    )
    pass_judgement(source.file, judged.int8.refusals())

    version = request.model_version or content_version(quantised.tflite)
    spec = InspectionSpec(
        name=source.spec.name,
        version=version,
        ok_label=source.spec.ok_label,
        input=source.input,
        output=source.converted_output,
        thresholds=judged.thresholds,
        metrics=judged.int8.as_json(),
        quantisation={
            **quantised.as_json(),
            "calibration_pictures": len(calibration),
            **judged.as_json(),
        },
        data={**source.spec.data, "fingerprint": fingerprint, "pictures": dataset.counts()},
        tools=tools(),
        golden=judged.golden,
    )
    content = pack_model_file(quantised.tflite, source.spec.labels, spec, judged.golden_files)
    write_whole(request.output, content)
    return Conversion(
        path=request.output,
        size=len(content),
        name=spec.name,
        version=version,
        calibrated_on=len(calibration),
        quantised=quantised,
        judged=judged,
    )


def open_dataset(source: Source, root: Path) -> Dataset:
    """The data set, split as it was for training. Raises DatasetError when it does not fit."""
    recorded = {
        argument: source.spec.data[key]
        for argument, key in (
            ("seed", "split_seed"),
            ("validation_fraction", "validation_fraction"),
            ("test_fraction", "test_fraction"),
            ("one_class", "one_class"),
        )
        if source.spec.data.get(key) is not None
    }
    dataset = load_dataset(root, source.spec.ok_label, **recorded)
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
