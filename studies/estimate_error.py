"""How far estimates are from the timed truth, for every network of ours, on this machine.

    python -m studies.estimate_error              # figures measured now, networks timed now
    python -m studies.estimate_error --on box.json  # by a file of figures of this machine

Weights are random: they change no time. Prints the table of decision 0034,
and what the same networks are estimated to take on a Raspberry Pi 4 and 5.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from converter.loading import SourceOverrides, load_source_model
from converter.quantization import FLOAT_HEAD, build_model
from edge.core.terms import Kernels
from edge.inspection import OutputSpec, Thresholds
from trainer.device_latency import CostTable, format_ms, operator_works
from trainer.device_latency.cost_table import find_cost_table
from trainer.device_latency.estimate import estimate
from trainer.device_latency.measure import fastest_times, measure_cost_table
from trainer.networks import NETWORKS, TrainedSpec, input_of, save_trained

SCHEMES = (FLOAT_HEAD, "float32")
SIDES = {
    "baseline": (64, 128),
    "compact": (64, 128, 224),
    "pretrained": (96, 128, 192, 224),
    "pretrained-small": (64, 96),
}
OTHERS = (128, 192)  # for a network that is not in SIDES
KERNELS: tuple[Kernels, ...] = ("quickest", "built-in")
ROUNDS = 8


def networks() -> Iterator[tuple[str, str, bytes]]:
    """Name with size, scheme, and the converted file of each."""
    rng = np.random.default_rng(0)
    for name, network in NETWORKS.items():
        for side in SIDES.get(name, OTHERS):
            spec = input_of(name, side)
            said = TrainedSpec(
                name=name,
                version="1",
                labels=("ok", "bad"),
                input=spec,
                output=OutputSpec(kind="probabilities"),
                thresholds=Thresholds(reject_at=0.5, review_from=0.5),
            )
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "m.keras"
                save_trained(network.untrained(spec, 2), said, path)
                frozen = load_source_model(path, SourceOverrides()).frozen
            noise = rng.integers(0, 256, (8, *spec.shape)).astype(np.uint8)
            for scheme in SCHEMES:
                yield f"{name} {side} px", scheme, build_model(scheme, frozen, noise, name).tflite


def table(figures: CostTable) -> None:
    """Prints a row for each network, scheme and sort of kernels."""
    pis = {name: find_cost_table(name) for name in ("pi4", "pi5")}
    made = list(networks())
    worst: dict[str, float] = {}
    print("| network | scheme | kernels | timed, ms | estimated | off | Pi 4 | Pi 5 |")
    print("|---" * 8 + "|")
    for kernels in KERNELS:
        taken = fastest_times([tflite for _, _, tflite in made], kernels, ROUNDS)
        for (name, scheme, tflite), microseconds in zip(made, taken):
            works = operator_works(tflite)
            said = estimate(works, figures, kernels).milliseconds
            off = said / (microseconds / 1000) - 1
            key = f"{scheme}, {kernels}"
            worst[key] = max(worst.get(key, 0.0), abs(off))
            there = [estimate(works, one, kernels) for one in pis.values()]
            cells = [
                f"{format_ms(one.milliseconds)} ({format_ms(one.low)}–{format_ms(one.high)})"
                for one in there
            ]
            print(
                f"| {name} | {scheme} | {kernels} | {format_ms(microseconds / 1000)} | "
                f"{format_ms(said)} | "
                f"{off:+.0%} | {' | '.join(cells)} |"
            )
    told = "; ".join(f"{key} {share:.0%}" for key, share in worst.items())
    print(f"\nlargest error: {told}; the figures said of themselves: {figures.spread}")


def main() -> None:
    """Measures or reads the figures, then prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--on", metavar="FILE", help="figures of this machine")
    given = parser.parse_args().on
    table(find_cost_table(given) if given else measure_cost_table())


if __name__ == "__main__":
    main()
