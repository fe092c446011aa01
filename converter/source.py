"""The Keras model to be converted and what must be known of it: ours say it, others are asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from converter.cut import Cut, cut
from converter.quiet import quiet
from edge.errors import ModelError
from edge.inspection.decision import Thresholds
from edge.inspection.modelfile import OutputSpec
from edge.inspection.preprocess import InputSpec
from trainer.trained import TrainedSpec, load_trained, probabilities

# What 8-bit pixels are multiplied with, and what is added then, before the network takes them.
SCALINGS: dict[str, tuple[float, float]] = {
    "inside": (1.0, 0.0),
    "0-1": (1 / 255, 0.0),
    "-1-1": (1 / 127.5, -1.0),
}


@dataclass(frozen=True, slots=True)
class Said:
    """What the user says of a model that does not say it itself."""

    name: str | None = None
    labels: tuple[str, ...] | None = None
    ok_label: str | None = None
    scaling: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """A model ready to be converted. `scaling` is (factor, offset) on pixels of 0 to 255.

    `ours` is False for a model that this project did not train: its `spec` was made up from what
    the user said, and says nothing of the data it was trained on.
    """

    file: str
    model: Any
    cut: Cut
    spec: TrainedSpec
    scaling: tuple[float, float]
    ours: bool

    @property
    def input(self) -> InputSpec:
        """The recipe from a picture to the input tensor."""
        return self.spec.input

    @property
    def converted_output(self) -> OutputSpec:
        """What the converted model gives: logits, under the temperature of the float model."""
        return OutputSpec(kind="logits", temperature=self.spec.output.temperature)

    def probabilities(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The float model's word: float64, (n, labels). `pictures` is uint8, (n, *input.shape)."""
        factor, offset = self.scaling

        def scaled(pixels: NDArray[np.float32], training: bool) -> Any:
            return self.model(pixels * factor + offset, training=training)

        model = self.model if self.scaling == (1.0, 0.0) else scaled
        return probabilities(model, self.spec, pictures)


def load_source(path: Path, said: Said) -> Source:
    """Loads a .keras model. Raises ModelError, or MissingPartError without TensorFlow."""
    if path.suffix != ".keras":
        raise ModelError(
            f"{path}: not a .keras file; give the model.keras that edge-train wrote, or save "
            "yours with model.save('model.keras')"
        )
    with quiet():
        model, spec = load_trained(path)
        parts = cut(model, str(path))
    if spec is None:
        return _foreign(path, model, parts, said)
    for option, value, own in (
        ("--labels", said.labels, spec.labels),
        ("--ok-label", said.ok_label, spec.ok_label),
        ("--scaling", said.scaling, "inside"),
    ):
        if value is not None and value != own:
            raise ModelError(
                f"{path}: {option} says {value}, the model itself says {own}; leave {option} out"
            )
    if spec.output.kind == "probabilities" and not parts.ends_in_softmax:
        raise ModelError(
            f"{path}: it gives probabilities but its last layer {model.layers[-1].name!r} is no "
            "softmax, so its logits cannot be had; end the network in Dense(n, softmax)"
        )
    if said.name is not None:
        spec = spec.model_copy(update={"name": said.name})
    return Source(str(path), model, parts, spec, SCALINGS["inside"], ours=True)


def _foreign(path: Path, model: Any, parts: Cut, said: Said) -> Source:
    if said.labels is None:
        raise ModelError(
            f"{path}: this model was not made by edge-train and names no labels; list them in the "
            "order of its outputs: --labels ok,scratch"
        )
    if said.scaling is None:
        raise ModelError(
            f"{path}: this model does not say which pixel values it takes; say --scaling inside "
            "(0 to 255 as they are: it scales itself), --scaling 0-1 or --scaling -1-1"
        )
    if not parts.ends_in_softmax and parts.head is None:
        raise ModelError(
            f"{path}: its last layer {model.layers[-1].name!r} is neither a softmax nor a linear "
            "Dense, so it is not known what its outputs mean; end it in Dense(n, softmax)"
        )
    labels, ok_label = said.labels, said.ok_label or "ok"
    outputs = model.output_shape[-1]
    if len(labels) < 2 or len(set(labels)) != len(labels) or outputs != len(labels):
        raise ModelError(
            f"{path}: {outputs} outputs but --labels {','.join(labels)}; "
            "name each output once, at least two, in their order"
        )
    if ok_label not in labels:
        raise ModelError(
            f"{path}: the good class {ok_label!r} is not among --labels {','.join(labels)}; "
            "name it with --ok-label"
        )
    spec = TrainedSpec(
        name=said.name or path.stem,
        version="0",
        labels=labels,
        ok_label=ok_label,
        input=_input_of(path, model),
        output=OutputSpec(kind="probabilities" if parts.ends_in_softmax else "logits"),
        thresholds=Thresholds(reject_at=0.5, review_from=0.5, chosen="not yet"),
    )
    return Source(str(path), model, parts, spec, SCALINGS[said.scaling], ours=False)


def _input_of(path: Path, model: Any) -> InputSpec:
    shape = model.input_shape
    try:
        _, height, width, channels = shape
        return InputSpec(
            width=width,
            height=height,
            channels=channels,
            colour="grey" if channels == 1 else "rgb",
        )
    except (TypeError, ValueError, ValidationError) as error:
        raise ModelError(
            f"{path}: its input has shape {shape}; wanted is (None, height, width, 1 or 3) with "
            "fixed sides of 8 to 1024 pixels"
        ) from error
