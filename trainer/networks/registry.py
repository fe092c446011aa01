"""The networks that can be trained, by name. Each takes raw pixels, 0 to 255: scaling is inside."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from edge.errors import EdgeInspectError
from edge.inspection.preprocess import InputSpec
from trainer.networks import baseline, compact, hub, pretrained, small


@dataclass(frozen=True, slots=True)
class Network:
    """The input a network takes, and what builds it from that input and the number of classes.

    `learned` says that it brings weights: its head is fitted first, and the statistics of its
    batch normalisation stay as they are. `either` says that it suits grey as well as RGB, and
    takes what the pictures have. `bare` builds it with random weights, where `build` brings some.
    """

    input: InputSpec
    build: Callable[[InputSpec, int], Any]
    learned: bool = False
    either: bool = False
    bare: Callable[[InputSpec, int], Any] | None = None

    @property
    def untrained(self) -> Callable[[InputSpec, int], Any]:
        """What builds it with random weights: to be counted or timed, not to be trained."""
        return self.bare or self.build


NETWORKS: dict[str, Network] = {
    "baseline": Network(baseline.INPUT, baseline.baseline),
    "compact": Network(compact.INPUT, compact.compact, either=True),
    "pretrained": Network(
        pretrained.INPUT, pretrained.pretrained, learned=True, bare=pretrained.untrained_lite0
    ),
    "pretrained-small": Network(
        small.INPUT, small.pretrained_small, learned=True, either=True, bare=small.untrained_small
    ),
}


def input_of(name: str, side: int | None = None) -> InputSpec:
    """What the network takes, at `side` pixels where given. Raises EdgeInspectError."""
    usual = network(name).input
    return usual if side is None else usual.changed(width=side, height=side)


def build_network(name: str, classes: int, input_spec: InputSpec | None = None) -> Any:
    """A new Keras model with softmax outputs, not compiled. Raises EdgeInspectError."""
    entry = network(name)
    return entry.build(input_spec or entry.input, classes)


def network(name: str) -> Network:
    """The network of that name. Raises EdgeInspectError for one that does not exist.

    `keras:NAME` is a network of keras.applications; whether there is one shows when it is built.
    """
    if name.startswith(hub.PREFIX):
        return Network(hub.INPUT, partial(_hub, name.removeprefix(hub.PREFIX)), learned=True)
    try:
        return NETWORKS[name]
    except KeyError:
        raise EdgeInspectError(
            f"--network {name}: no such network; choose one of {', '.join(NETWORKS)}, "
            f"or {hub.PREFIX}NAME for one of keras.applications"
        ) from None


def _hub(name: str, spec: InputSpec, classes: int) -> Any:
    return hub.from_hub(name, spec, classes)
