"""The training settings: every number that affects the weights, with defaults by network."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from edge.core.view import ViewConfig
from trainer.data import Variations


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """The settings of one training.

    - `epochs`, `patience`: the largest number of epochs; `patience` epochs without a better one
      end the training.
    - `rate`, `head_rate`: learning rates of the body and of the last layer. They rise over
      `warm_up` epochs; with `cosine` they then fall to 0 along a cosine.
    - `decay`: weight decay.
    - `clip`: the largest norm of a gradient; 0 is no limit.
    - `dropout`: the share of features that a step drops.
    - `average`: the share of the past in the running mean of the weights, which is evaluated and
      kept; 0 is no mean.
    - `side`: width and height of the input in pixels; None is the network's default.
    - `colour`: of the input; None is the network's default.
    - `view`: how the box crops and straightens a camera frame; None for no change.
    - `region`: x, y, width, height as fractions of the view; None for all of it.
    - `decoding`: `auto` tries JPEGs at reduced scale and keeps that if it costs no accuracy.
    - `tune`: for pretrained networks; without it only the head is fitted.
    """

    network: str = "baseline"
    epochs: int = 40
    batch: int = 32
    seed: int = 0
    patience: int = 20
    rate: float = 1e-3
    head_rate: float = 1e-3
    decay: float = 0.0
    warm_up: float = 0.0
    cosine: bool = False
    clip: float = 0.0
    dropout: float = 0.0
    average: float = 0.0
    side: int | None = None
    colour: Literal["rgb", "grey"] | None = None
    view: ViewConfig | None = None
    region: tuple[float, float, float, float] | None = None
    decoding: Literal["auto", "whole"] = "auto"
    tune: bool = True
    variations: Variations = field(default_factory=Variations)

    def as_json(self) -> dict[str, Any]:
        """For `training` in the model's spec."""
        values = asdict(replace(self, view=None))
        del values["view"]
        if self.view is not None:
            values["view"] = self.view.to_dict(brief=True)
        return values

    def replace(self, **fields: Any) -> "TrainingSettings":
        """A copy with some fields replaced; None leaves a field unchanged."""
        return replace(self, **{name: value for name, value in fields.items() if value is not None})


_LITE0 = TrainingSettings(
    network="pretrained",
    epochs=16,  # with 8 and 12 the validation figures still improved in each epoch
    batch=16,
    patience=8,
    rate=4e-4,
    head_rate=4e-4,  # the head is already fitted: a higher rate would undo that
    decay=1e-2,
    warm_up=1,
    cosine=True,
    clip=5.0,
    dropout=0.2,
    average=0.99,
)

DEFAULTS: dict[str, TrainingSettings] = {
    "baseline": TrainingSettings(variations=Variations(blur=False, noise=False)),
    "compact": TrainingSettings(
        network="compact",
        epochs=60,
        patience=30,
        rate=2e-3,
        head_rate=2e-3,
        decay=1e-2,
        warm_up=2,
        cosine=True,
        dropout=0.2,
    ),
    "pretrained": _LITE0,
    "pretrained-small": replace(_LITE0, network="pretrained-small"),
}


def default_settings(network: str) -> TrainingSettings:
    """The default settings of a network; an unknown network gets the plain defaults."""
    return DEFAULTS.get(network, TrainingSettings(network=network))


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """A request for a training.

    - `settings`: what to train without `auto`.
    - `auto`: trains every suitable candidate within `minutes`.
    - `baseline`: trains the baseline too, for the comparison in the report.
    - `one_class`: trains on good parts only.
    - `latency_target`: the longest inference in milliseconds and the name of the box, the
      arguments of `latency_budget`.
    """

    settings: TrainingSettings
    auto: bool = False
    minutes: float = 20.0
    baseline: bool = False
    one_class: bool = False
    latency_target: tuple[float, str | None] | None = None
