"""The networks by name. Each takes raw pixels, 0 to 255, and scales them itself."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from edge.core.errors import EdgeInspectError
from edge.inspection import InputSpec
from trainer.networks import baseline, compact, hub, pretrained, small


@dataclass(frozen=True, slots=True)
class Network:
    """A network: its default input and the functions that build it for a number of classes.

    - `pretrained_weights`: the head is fitted first, and batch normalisation keeps its statistics.
    - `any_colour`: the network takes grey or RGB, whichever the pictures have.
    - `build_untrained`: builds the network with random weights when `build` loads weights.
    """

    input: InputSpec
    build: Callable[[InputSpec, int], Any]
    pretrained_weights: bool = False
    any_colour: bool = False
    build_untrained: Callable[[InputSpec, int], Any] | None = None

    @property
    def untrained(self) -> Callable[[InputSpec, int], Any]:
        """Builds the network with random weights, to count or time it."""
        return self.build_untrained or self.build


NETWORKS: dict[str, Network] = {
    "baseline": Network(baseline.INPUT, baseline.baseline),
    "compact": Network(compact.INPUT, compact.compact, any_colour=True),
    "pretrained": Network(
        pretrained.INPUT,
        pretrained.pretrained,
        pretrained_weights=True,
        build_untrained=pretrained.untrained_lite0,
    ),
    "pretrained-small": Network(
        small.INPUT,
        small.pretrained_small,
        pretrained_weights=True,
        any_colour=True,
        build_untrained=small.untrained_small,
    ),
}


def input_of(name: str, side: int | None = None) -> InputSpec:
    """The input of a network, at `side` pixels unless None. Raises EdgeInspectError."""
    default = network(name).input
    return default if side is None else default.replace(width=side, height=side)


def build_network(name: str, classes: int, input_spec: InputSpec | None = None) -> Any:
    """A new Keras model with softmax outputs, not compiled. Raises EdgeInspectError."""
    entry = network(name)
    return entry.build(input_spec or entry.input, classes)


def network(name: str) -> Network:
    """The network `name`. Raises EdgeInspectError for an unknown name.

    `keras:NAME` is a network of keras.applications; its name is checked when it is built.
    """
    if name.startswith(hub.PREFIX):
        return Network(
            hub.INPUT, partial(_hub, name.removeprefix(hub.PREFIX)), pretrained_weights=True
        )
    try:
        return NETWORKS[name]
    except KeyError:
        raise EdgeInspectError(
            f"--network {name}: no such network; choose one of {', '.join(NETWORKS)}, "
            f"or {hub.PREFIX}NAME for one of keras.applications"
        ) from None


def _hub(name: str, spec: InputSpec, classes: int) -> Any:
    return hub.from_hub(name, spec, classes)
