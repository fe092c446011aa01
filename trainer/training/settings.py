"""How a network is trained: every number that decides the weights, and what suits each network."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from edge.core.view import ViewConfig
from trainer.data import Variations


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How to train. `patience` is how many epochs without a better one end it.

    The rate of learning rises over `warm_up` epochs and falls to zero along a cosine, or stays as
    it is without `cosine`. `decay` draws weights to zero. `head_rate` is the last layer's rate.
    `average` is the share of the past in the running mean of the weights, which is what is judged
    and kept; 0 is no mean. `clip` limits the norm of a step's gradient; 0 is no limit. `side` is
    the input's width and height in pixels, None as the network usually has it; so is `colour`.
    `view` is how the camera's pictures are straightened, None for pictures as they are. `region` is
    x, y, width, height as fractions of what that leaves, None for all of it. `tune` is for
    networks that bring weights: without it only the head is fitted.
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
        """The settings with some fields replaced; None leaves a field as it is."""
        return replace(self, **{name: value for name, value in fields.items() if value is not None})


_LITE0 = TrainingSettings(
    network="pretrained",
    epochs=16,  # with 8 and with 12, parts held out were still judged better each epoch
    batch=16,
    patience=8,
    rate=4e-4,
    head_rate=4e-4,  # the head is fitted already: more would throw that away
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
    """The default settings of a network; an unknown one gets the plain defaults."""
    return DEFAULTS.get(network, TrainingSettings(network=network))


@dataclass(frozen=True, slots=True)
class TrainingRequest:
    """What to train: these settings, or with `auto` every suitable candidate within `minutes`.

    With `baseline` the plain CNN is trained too, for the report to compare with. With `one_class`
    the model learns from good parts only. `latency_target` is the longest inference in
    milliseconds and the name of the box, the arguments of `latency_budget`.
    """

    settings: TrainingSettings
    auto: bool = False
    minutes: float = 20.0
    baseline: bool = False
    one_class: bool = False
    latency_target: tuple[float, str | None] | None = None
