"""The model to convert and its description: from the file, or from options for foreign models."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.loading.frozen_graph import FrozenGraph, freeze
from converter.loading.input_scaling import scale_pixels
from converter.loading.model_loader import LoadedModel, load_model
from edge.core.errors import ModelError
from edge.core.terms import OutputKind, Scaling
from edge.core.validation import ValidationError
from edge.inspection import (
    SCALINGS,
    InputSpec,
    OutputSpec,
    PixelScaling,
    Thresholds,
    to_probabilities,
)
from trainer.data.pictures import Progress
from trainer.networks import TrainedSpec, read_spec


@dataclass(frozen=True, slots=True)
class SourceOverrides:
    """The user's description of a model, for everything that its file does not state.

    - `input_size`: (width, height) in pixels, for a model that takes every size.
    - `allow_code`: whether a Lambda layer may run the Python code in the model file.
    """

    name: str | None = None
    labels: tuple[str, ...] | None = None
    ok_label: str | None = None
    scaling: Scaling | None = None
    output: OutputKind | None = None
    input_size: tuple[int, int] | None = None
    allow_code: bool = False


@dataclass(frozen=True, slots=True)
class SourceModel:
    """A model that is ready to be converted.

    - `call`: maps pixels, float32, (n, height, width, channels), 0 to 255, to output rows.
    - `ours`: False for a model that edge-train did not make. Its `spec` comes from the options
      and states nothing about the training data.
    - `batch`: the number of pictures per call.
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
        """The output of the converted model: logits, with the temperature of the float model."""
        return OutputSpec(kind="logits", temperature=self.spec.output.temperature)

    def probabilities(
        self, pictures: NDArray[np.uint8], progress: Progress | None = None
    ) -> NDArray[np.float64]:
        """The float model's probabilities: float64, (n, labels).

        They come from the original model, not from the frozen graph. `pictures` is uint8,
        (n, *input.shape). `progress` gets the number of finished pictures and the total.
        """
        rows = []
        for at in range(0, len(pictures), self.batch):
            rows.append(np.asarray(self.call(pictures[at : at + self.batch].astype(np.float32))))
            if progress is not None:
                progress(min(at + self.batch, len(pictures)), len(pictures))
        outputs = np.concatenate(rows).astype(np.float64)
        if outputs.shape[1] == 1:
            second = outputs[:, 0]
            is_probability = self.spec.output.kind == "probabilities"
            first = 1 - second if is_probability else np.zeros_like(second)
            outputs = np.stack([first, second], axis=1)
        return to_probabilities(outputs, self.spec.output.kind, self.spec.output.temperature)


def load_source_model(path: Path, overrides: SourceOverrides) -> SourceModel:
    """Loads a .keras or .h5 file or a SavedModel.

    Raises ModelError for a model that cannot be used or lacks a description, and
    MissingPartError without TensorFlow.
    """
    loaded = load_model(path, allow_code=overrides.allow_code)
    spec = read_spec(path) if loaded.kind == "keras" else None
    ours = spec is not None
    shape = _input_shape(path, loaded, overrides)
    scaling = SCALINGS["inside"] if spec is not None else _scaling(path, overrides, shape[2])

    def call(pixels: Any) -> Any:
        return loaded.call(scale_pixels(scaling, pixels))

    frozen = freeze(call, shape, loaded.layers, str(path))
    _check_precision(path, frozen)
    if spec is not None:
        _check_ours(path, spec, frozen, overrides)
        if overrides.name is not None:
            spec = spec.replace(name=overrides.name)
    else:
        spec = _foreign_spec(path, frozen, shape, overrides)
    return SourceModel(str(path), call, frozen, spec, ours, loaded.batch)


def _check_precision(path: Path, frozen: FrozenGraph) -> None:
    """Raises ModelError for a network that TFLite cannot run; Keras files are float32 by now."""
    others = frozen.precisions - {"float32"}
    if others:
        raise ModelError(
            f"{path}: computes in {', '.join(sorted(others))}, for which TFLite has no operators; "
            "give the .keras or .h5 file, whose layers are turned to float32, or export the "
            "network with the dtype policy float32"
        )


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
                f"{path}: {option} is {value}, but the model states {own}; leave {option} out"
            )
    if spec.output.kind == "probabilities" and frozen.ending != "softmax":
        raise ModelError(
            f"{path}: gives probabilities, but its last layer {_last_layer(frozen)!r} is no "
            "softmax, so the logits are not available; end the network in Dense(n, softmax)"
        )
    if frozen.outputs != len(spec.labels):
        raise ModelError(
            f"{path}: has {frozen.outputs} outputs but {len(spec.labels)} labels "
            f"{list(spec.labels)}; train again"
        )


def _scaling(path: Path, overrides: SourceOverrides, channels: int) -> PixelScaling:
    if overrides.labels is None:
        raise ModelError(
            f"{path}: edge-train did not make this model, so its labels are unknown; list them in "
            "the order of the outputs: --labels ok,scratch (a single output is P(last label))"
        )
    if overrides.scaling is None:
        raise ModelError(
            f"{path}: the model file does not state its pixel values; give --scaling inside "
            "(0 to 255, the network scales), 0-1, signed (−1 to 1), caffe or torch"
        )
    scaling = SCALINGS[overrides.scaling]
    if not scaling.fits(channels):
        raise ModelError(
            f"{path}: this --scaling is for three channels, the model takes {channels}; "
            "give --scaling inside, 0-1 or signed"
        )
    return scaling


def _foreign_spec(
    path: Path, frozen: FrozenGraph, shape: tuple[int, int, int], overrides: SourceOverrides
) -> TrainedSpec:
    labels, ok_label = overrides.labels or (), overrides.ok_label or "ok"
    kind = _output_kind(path, frozen, overrides)
    wanted = max(2, frozen.outputs)
    if len(set(labels)) != len(labels) or len(labels) != wanted:
        note = " (a single output is P(last label))" if frozen.outputs == 1 else ""
        raise ModelError(
            f"{path}: has {frozen.outputs} outputs but --labels names {', '.join(labels)}; "
            f"give {wanted} different labels, in the order of the outputs{note}"
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
            f"{path}: its input is {width}×{height} pixels; a side must be 8 to 1024"
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
    last = _last_layer(frozen)
    if frozen.ending == "sigmoid" and frozen.outputs > 1:
        raise ModelError(
            f"{path}: its last layer {last!r} gives {frozen.outputs} sigmoids: independent "
            "probabilities, not one choice among classes; end it in Dense(n, softmax)"
        )
    if frozen.ending != "open":
        if overrides.output == "logits":
            raise ModelError(
                f"{path}: --output-kind is logits, but its last layer {last!r} ends in a "
                f"{frozen.ending}; leave --output-kind out"
            )
        return "probabilities"
    if overrides.output == "logits":
        return "logits"
    if overrides.output == "probabilities":
        raise ModelError(
            f"{path}: its last layer {last!r} gives probabilities without a softmax or sigmoid "
            "to cut off, so the logits are not available; end it in Dense(n, softmax)"
        )
    raise ModelError(
        f"{path}: its last layer {last!r} is neither a softmax nor a sigmoid, so the meaning of "
        "its outputs is unknown; give --output-kind logits if a softmax should follow, or end it "
        "in Dense(n, softmax)"
    )


def _last_layer(frozen: FrozenGraph) -> str:
    return frozen.layer_of(frozen.function.outputs[0].op.inputs[0].name)


def _input_shape(
    path: Path, loaded: LoadedModel, overrides: SourceOverrides
) -> tuple[int, int, int]:
    shape = loaded.input_shape
    if shape is None or len(shape) != 4 or shape[3] not in (1, 3):
        raise ModelError(
            f"{path}: its input has the shape {shape}; it must be (None, height, width, 1 or 3)"
        )
    _, height, width, channels = shape
    if overrides.input_size is not None:
        for own, asked, side in zip((width, height), overrides.input_size, ("width", "height")):
            if own not in (None, asked):
                raise ModelError(
                    f"{path}: --input-size has a {side} of {asked}, but the model takes {own}; "
                    "leave --input-size out"
                )
        width, height = overrides.input_size
    if height is None or width is None:
        raise ModelError(
            f"{path}: takes pictures of every size; give the size of its training, for example "
            "--input-size 224x224"
        )
    assert channels is not None
    return height, width, channels
