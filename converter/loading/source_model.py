"""The model to be converted and what must be known of it: ours say it, others are asked."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.loading.frozen_graph import FrozenGraph, freeze
from converter.loading.input_scaling import SCALINGS, InputScaling
from converter.loading.model_loader import LoadedModel, load_model
from edge.core.errors import ModelError
from edge.core.terms import OutputKind
from edge.core.validation import ValidationError
from edge.inspection import InputSpec, OutputSpec, Thresholds, to_probabilities
from trainer.data.pictures import Progress
from trainer.networks import TrainedSpec, read_spec


@dataclass(frozen=True, slots=True)
class SourceOverrides:
    """What the user says of a model that does not say it itself.

    `input_size` is (width, height) for a model that takes any size. `allow_code` lets a Lambda
    layer run the Python code that stands in the model file.
    """

    name: str | None = None
    labels: tuple[str, ...] | None = None
    ok_label: str | None = None
    scaling: str | None = None
    output: OutputKind | None = None
    input_size: tuple[int, int] | None = None
    allow_code: bool = False


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A model ready to be converted.

    `call` maps pixels, float32, (n, height, width, channels), 0 to 255, to the model's own rows.
    `ours` is False for a model that this project did not train: its `spec` was made up from what
    the user said, and says nothing of the data it was trained on. `batch` is how many pictures
    `call` takes at once.
    """

    file: str
    call: Callable[[Any], Any]
    frozen: FrozenGraph
    spec: TrainedSpec
    ours: bool
    batch: int = 16

    @property
    def input(self) -> InputSpec:
        """The preprocessing from a picture to the input tensor."""
        return self.spec.input

    @property
    def converted_output(self) -> OutputSpec:
        """What the converted model gives: logits, under the temperature of the float model."""
        return OutputSpec(kind="logits", temperature=self.spec.output.temperature)

    def probabilities(
        self, pictures: NDArray[np.uint8], progress: Progress | None = None
    ) -> NDArray[np.float64]:
        """The float model's word: float64, (n, labels). `pictures` is uint8, (n, *input.shape).

        It comes from the model as it was given, not from the graph that is converted. `progress`
        is called with how many are done, and of how many.
        """
        rows = []
        for at in range(0, len(pictures), self.batch):
            rows.append(np.asarray(self.call(pictures[at : at + self.batch].astype(np.float32))))
            if progress is not None:
                progress(min(at + self.batch, len(pictures)), len(pictures))
        outputs = np.concatenate(rows).astype(np.float64)
        if outputs.shape[1] == 1:
            overrides = outputs[:, 0]
            both = (
                1 - overrides
                if self.spec.output.kind == "probabilities"
                else np.zeros_like(overrides)
            )
            outputs = np.stack([both, overrides], axis=1)
        return to_probabilities(outputs, self.spec.output.kind, self.spec.output.temperature)


def load_source_model(path: Path, overrides: SourceOverrides) -> SourceModel:
    """Loads a .keras or .h5 file or a SavedModel.

    Raises ModelError for what cannot be used or is not known, MissingPartError without TensorFlow.
    """
    opened = load_model(path, overrides.allow_code)
    spec = read_spec(path) if opened.kind == "keras" else None
    ours = spec is not None
    shape = _shape_of(path, opened, overrides)
    scaling = SCALINGS["inside"] if spec is not None else _scaling(path, overrides, shape[2])

    def call(pixels: Any) -> Any:
        return opened.call(scaling(pixels))

    frozen = freeze(call, shape, opened.layers, str(path))
    if spec is not None:
        _check_ours(path, spec, frozen, overrides)
        if overrides.name is not None:
            spec = spec.replace(name=overrides.name)
    else:
        spec = _foreign_spec(path, frozen, shape, overrides)
    return SourceModel(str(path), call, frozen, spec, ours, opened.batch)


def _check_ours(
    path: Path, spec: TrainedSpec, frozen: FrozenGraph, overrides: SourceOverrides
) -> None:
    for option, value, own in (
        ("--labels", overrides.labels, spec.labels),
        ("--ok-label", overrides.ok_label, spec.ok_label),
        ("--scaling", overrides.scaling, "inside"),
        ("--output-kind", overrides.output, spec.output.kind),
    ):
        if value is not None and value != own:
            raise ModelError(
                f"{path}: {option} says {value}, the model itself says {own}; leave {option} out"
            )
    if spec.output.kind == "probabilities" and frozen.ending != "softmax":
        raise ModelError(
            f"{path}: it gives probabilities but its last layer {_last(frozen)!r} is no softmax, "
            "so its logits cannot be had; end the network in Dense(n, softmax)"
        )
    if frozen.outputs != len(spec.labels):
        raise ModelError(
            f"{path}: {frozen.outputs} outputs but {len(spec.labels)} labels {list(spec.labels)}; "
            "train again"
        )


def _scaling(path: Path, overrides: SourceOverrides, channels: int) -> InputScaling:
    if overrides.labels is None:
        raise ModelError(
            f"{path}: this model was not made by edge-train and names no labels; list them in the "
            "order of its outputs: --labels ok,scratch (a single output is P(the last one))"
        )
    if overrides.scaling is None:
        raise ModelError(
            f"{path}: this model does not say which pixel values it takes; say --scaling inside "
            "(0 to 255 as they are: it scales itself), 0-1, signed (−1 to 1), caffe or torch"
        )
    scaling = SCALINGS[overrides.scaling]
    scaling.check(str(path), channels)
    return scaling


def _foreign_spec(
    path: Path, frozen: FrozenGraph, shape: tuple[int, int, int], overrides: SourceOverrides
) -> TrainedSpec:
    labels, ok_label = overrides.labels or (), overrides.ok_label or "ok"
    kind = _output_kind(path, frozen, overrides)
    wanted = max(2, frozen.outputs)
    if len(set(labels)) != len(labels) or len(labels) != wanted:
        note = " (a single output is P(the last label))" if frozen.outputs == 1 else ""
        raise ModelError(
            f"{path}: {frozen.outputs} outputs but --labels names {', '.join(labels)}; "
            f"name {wanted} different ones, in the order of the outputs{note}"
        )
    if ok_label not in labels:
        raise ModelError(
            f"{path}: the good class {ok_label!r} is not among --labels {', '.join(labels)}; "
            "name it with --ok-label"
        )
    height, width, channels = shape
    try:
        input_spec = InputSpec.read(
            {
                "width": width,
                "height": height,
                "channels": 1 if channels == 1 else 3,
                "colour": "grey" if channels == 1 else "rgb",
            }
        )
    except ValidationError as error:
        raise ModelError(
            f"{path}: its input takes {width}×{height} pixels; 8 to 1024 a side are supported"
        ) from error
    return TrainedSpec(
        name=overrides.name or path.stem,
        version="0",
        labels=labels,
        ok_label=ok_label,
        input=input_spec,
        output=OutputSpec(kind=kind),
        thresholds=Thresholds(reject_at=0.5, review_from=0.5, chosen="not yet"),
    )


def _output_kind(path: Path, frozen: FrozenGraph, overrides: SourceOverrides) -> OutputKind:
    last = _last(frozen)
    if frozen.ending == "sigmoid" and frozen.outputs > 1:
        raise ModelError(
            f"{path}: its last layer {last!r} gives {frozen.outputs} sigmoids, which are answers "
            "to as many questions and no choice among classes; end it in Dense(n, softmax)"
        )
    if frozen.ending != "open":
        if overrides.output == "logits":
            raise ModelError(
                f"{path}: --output-kind says logits, but its last layer {last!r} ends in a "
                f"{frozen.ending}; leave --output-kind out"
            )
        return "probabilities"
    if overrides.output == "logits":
        return "logits"
    if overrides.output == "probabilities":
        raise ModelError(
            f"{path}: its last layer {last!r} gives probabilities without a softmax or sigmoid "
            "that could be cut off, so its logits cannot be had; end it in Dense(n, softmax)"
        )
    raise ModelError(
        f"{path}: its last layer {last!r} is neither a softmax nor a sigmoid, so it is not known "
        "what its outputs mean; say --output-kind logits if a softmax belongs behind them, or end "
        "it in Dense(n, softmax)"
    )


def _last(frozen: FrozenGraph) -> str:
    return frozen.layer_of(frozen.function.outputs[0].op.inputs[0].name)


def _shape_of(path: Path, opened: LoadedModel, overrides: SourceOverrides) -> tuple[int, int, int]:
    shape = opened.input_shape
    if shape is None or len(shape) != 4 or shape[3] not in (1, 3):
        raise ModelError(
            f"{path}: its input has shape {shape}; wanted is (None, height, width, 1 or 3)"
        )
    _, height, width, channels = shape
    if overrides.input_size is not None:
        for own, asked, side in zip((width, height), overrides.input_size, ("width", "height")):
            if own not in (None, asked):
                raise ModelError(
                    f"{path}: --input-size says a {side} of {asked}, the model takes {own}; leave "
                    "--input-size out"
                )
        width, height = overrides.input_size
    if height is None or width is None:
        raise ModelError(
            f"{path}: it takes pictures of any size; say which it was trained on, for example "
            "--input-size 224x224"
        )
    assert channels is not None
    return height, width, channels
