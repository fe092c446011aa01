"""The networks that edge-train trains, and the file of a trained one."""

from trainer.networks.registry import NETWORKS, Network, build_network, input_of, network
from trainer.networks.terms import HEAD
from trainer.networks.trained_model import (
    TrainedSpec,
    load_trained,
    probabilities,
    read_spec,
    save_trained,
    scores,
)

__all__ = [
    "HEAD",
    "NETWORKS",
    "Network",
    "TrainedSpec",
    "build_network",
    "input_of",
    "load_trained",
    "network",
    "probabilities",
    "read_spec",
    "save_trained",
    "scores",
]
