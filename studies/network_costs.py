"""What the trainer's networks cost on a box, beside the plain CNN: the table of docs/training.md.

    python -m studies.network_costs [NETWORK[:SIDE[:grey]] …]

The weights are random, or ImageNet's, and the ranges of int8 come from noise: neither changes the
time. All are measured in turns on one thread, so that ratios hold on a machine with other work;
milliseconds are medians, and the least one of each stands beside it. Without names: all networks
as they usually are.
"""

import argparse
import statistics
import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inspection import TFLiteClassifier
from trainer.device_latency.int8_timing import int8_for_timing, noise
from trainer.networks import NETWORKS, build_network
from trainer.networks.cost import multiply_adds
from trainer.training import default_settings
from trainer.training.input_choice import input_for

ROUNDS, CALLS = 15, 20
BESIDE = "baseline"  # what the others are compared with


def build(name: str) -> Any:
    """The model of `NETWORK[:SIDE[:grey|rgb]]`, two classes. Raises EdgeInspectError."""
    network, _, rest = name.partition(":")
    side, _, colour = rest.partition(":")
    recipe = default_settings(network).replace(
        side=int(side) if side else None, colour=colour or None
    )
    return build_network(network, 2, input_for(recipe))


def measure(judges: dict[str, TFLiteClassifier]) -> dict[str, NDArray[np.float64]]:
    """Milliseconds of each call by name, measured in turns: (ROUNDS × CALLS,)."""
    taken: dict[str, list[float]] = {name: [] for name in judges}
    for _ in range(ROUNDS):
        for name, judge in judges.items():
            picture = noise(judge.shape)
            judge(picture)  # brings its weights into the caches
            for _ in range(CALLS):
                started = time.perf_counter()
                judge(picture)
                taken[name].append(1000 * (time.perf_counter() - started))
    return {name: np.array(times) for name, times in taken.items()}


def main() -> int:
    """Prints the table, Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_RAW)
    parser.add_argument("names", nargs="*", metavar="NETWORK[:SIDE[:grey]]")
    names = parser.parse_args().names or list(NETWORKS)
    models = {name: build(name) for name in dict.fromkeys([BESIDE, *names])}
    took = measure({name: int8_for_timing(model) for name, model in models.items()})
    base = statistics.median(took[BESIDE])
    print("| network | int8 ms | least | beside baseline | multiply-adds | parameters |")
    print("|---|---|---|---|---|---|")
    for name, model in models.items():
        middle = statistics.median(took[name])
        cells = (
            f"`{name}`",
            f"{middle:.3f}",
            f"{took[name].min():.3f}",
            f"{middle / base:.2f}×",
            f"{multiply_adds(model) / 1e6:.0f} M",
            f"{model.count_params() / 1000:.0f} k",
        )
        print(f"| {' | '.join(cells)} |", flush=True)
    return 0


_RAW = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    sys.exit(main())
