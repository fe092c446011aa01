"""Makes trainer/device_latency/pi4.json and pi5.json from measurements that others have published.

    python -m trainer.device_latency.tools.pi_figures    # writes both files and how well they fit

No Raspberry Pi of ours was asked. The networks' operators are counted (pi_networks.py), and the
prices are those that come nearest to all published times. The spread is the largest error of a
network's estimate when that network is left out, times what boards and versions differ by.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainer.device_latency import CostTable, OperatorWork
from trainer.device_latency.cost_table import SCHEMA, Dtype, OperatorPrice, Publication
from trainer.device_latency.measure import non_negative_least_squares
from trainer.device_latency.operator_work import CONVOLVING, KINDS
from trainer.device_latency.tools.pi_networks import (
    DETECTORS,
    detector,
    mobilenet_v1,
    mobilenet_v2,
    resnet,
)

READ = "2026-11-28"
DETECTOR_LOGS = "benchmarks (NobuoTsukamoto), EfficientDet TensorFlow Lite Benchmarks"
XNNPACK = "XNNPACK (Google), README: Performance, Raspberry Pi"
ARM = "ResNet-18 and ResNet-50 optimized for Arm-based Edge Linux (Arm), model cards"
MEMORY = "sbc-reviews (Jeff Geerling), tinymembench logs"

# Milliseconds of EfficientDet-Lite0, 1, 2, 3, 3x, 4 by TensorFlow Lite 2.18, XNNPACK, one thread.
LOGGED: dict[tuple[str, Dtype], tuple[float, ...]] = {
    ("pi4", "float32"): (328.651, 648.053, 1048.77, 2209.33, 3942.57, 5514.79),
    ("pi4", "int8"): (197.751, 372.260, 601.720, 1202.47, 2185.16, 2988.07),
    ("pi5", "float32"): (104.012, 198.975, 328.918, 663.834, 1181.11, 1623.24),
    ("pi5", "int8"): (44.198, 81.633, 123.805, 232.962, 417.988),
}
# Milliseconds with four threads, by XNNPACK itself (2022) and by ExecuTorch with XNNPACK (2026).
FOUR_THREADS: dict[tuple[str, Dtype], dict[str, float]] = {
    ("pi4", "float32"): {"MobileNetV1": 77.0, "MobileNetV2": 46.0},
    ("pi4", "int8"): {"MobileNetV1": 24.0, "MobileNetV2": 17.0},
    ("pi5", "float32"): {},
    ("pi5", "int8"): {"ResNet-18": 8.751, "ResNet-50": 20.64},
}
# How many times as quick four threads are as one: EfficientDet-Lite0 in the same logs on a Pi 4,
# 328.651 to 175.845 ms and 197.751 to 78.009 ms.
GAIN: dict[Dtype, float] = {"float32": 1.87, "int8": 2.53}
# On a Pi 5 the ResNets need another: this one takes so long in float32 with four threads, and
# with one what the prices fitted to the other networks say.
RESNET18_FLOAT32 = 8.751 * 3.61
# By what one Pi and another differ: Pi 4s run at 1.5 or 1.8 GHz, and TensorFlow Lite 2.5 took up
# to 1.08 times as long as 2.18 for the same networks in float32.
BOARDS = 1.2 * 1.08
# EfficientDet-Lite0 to 4 in int8 by TensorFlow Lite 2.5, which had no XNNPACK for int8, on a Pi 4.
BUILT_IN = (344.03, 546.90, 857.87, 1657.71, 2979.10, 4008.46)
# Bytes a second that one core copies: dense layers read each weight once.
COPIED = {"pi4": 2.8e9, "pi5": 5.6e9}
# What a core can do at most, by its instruction set and clock: no fit is better than that.
# Multiply-adds of convolutions a second, of depthwise ones, and bytes read or written in its cache.
PEAK: dict[tuple[str, Dtype], tuple[float, float, float]] = {
    ("pi4", "float32"): (1.5e9 * 4, 1.5e9 * 4, 5e9),
    ("pi4", "int8"): (1.5e9 * 16, 1.5e9 * 8, 5e9),
    ("pi5", "float32"): (2.4e9 * 8, 2.4e9 * 8, 10e9),
    ("pi5", "int8"): (2.4e9 * 32, 2.4e9 * 16, 10e9),
}
TILE: dict[tuple[str, Dtype], tuple[int, int]] = {  # of XNNPACK's kernels for these cores
    ("pi4", "float32"): (8, 1),
    ("pi4", "int8"): (16, 8),
    ("pi5", "float32"): (8, 1),
    ("pi5", "int8"): (16, 4),
}
NAMES = {"pi4": "Raspberry Pi 4", "pi5": "Raspberry Pi 5"}
OTHERS: dict[str, Callable[[str], tuple[OperatorWork, ...]]] = {
    "MobileNetV1": mobilenet_v1,
    "MobileNetV2": mobilenet_v2,
    "ResNet-18": lambda dtype: resnet(dtype, 18),
    "ResNet-50": lambda dtype: resnet(dtype, 50),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A published time: milliseconds, one thread, as measured or reckoned from four."""

    name: str
    works: tuple[OperatorWork, ...]
    milliseconds: float


def rows_of(pi: str, dtype: Dtype) -> list[Row]:
    """All times of one box and type."""
    found = [
        Row(name, detector(name, dtype), taken) for name, taken in zip(DETECTORS, LOGGED[pi, dtype])
    ]
    gain = GAIN[dtype] if pi == "pi4" else _resnet_gain() if dtype == "int8" else 1.0
    for name, taken in FOUR_THREADS[pi, dtype].items():
        found.append(Row(name, OTHERS[name](dtype), taken * gain))
    return found


def _resnet_gain() -> float:
    """How many times as quick four threads of a Pi 5 are on a ResNet."""
    one = estimated(fitted("pi5", "float32", rows_of("pi5", "float32")), resnet("float32", 18))
    return one / RESNET18_FLOAT32


def fitted(pi: str, dtype: Dtype, rows: Sequence[Row]) -> dict[str, OperatorPrice]:
    """Prices of a kind that come nearest to all of `rows`, by relative error."""
    tile = TILE[pi, dtype]
    columns = np.array([_columns(row.works, tile) for row in rows])
    truth = np.array([row.milliseconds for row in rows])
    multiplied, filtered, touched = PEAK[pi, dtype]
    least = (1 if dtype == "int8" else 4) / touched
    floors = 1e9 * np.array([1 / multiplied, least, 1 / filtered, least])
    # what each costs at the very least is taken off first, and put back after
    left = (truth - columns @ floors) / truth
    costs = floors + non_negative_least_squares(columns / truth[:, None], left)
    multiply_add, output, filtering, value = costs * 1000  # picoseconds
    prices = {kind: OperatorPrice(call_us=0.0, value_ns=_short(value / 1000)) for kind in KINDS}
    convolving = OperatorPrice(
        call_us=0.0,
        multiply_add_ps=_short(multiply_add),
        value_ns=_short(output / 1000),
        tile=tile,
    )
    prices |= {"conv": convolving, "pointwise": convolving}
    prices["depthwise"] = OperatorPrice(
        call_us=0.0,
        multiply_add_ps=_short(filtering),
        value_ns=_short(output / 1000),
        tile=(8, 1),
    )
    size = 1 if dtype == "int8" else 4
    read = size / COPIED[pi] * 1e12
    prices["dense"] = OperatorPrice(
        call_us=0.0, multiply_add_ps=_short(max(read, multiply_add)), tile=(8, 1)
    )
    return prices


def estimated(prices: dict[str, OperatorPrice], works: Sequence[OperatorWork]) -> float:
    """Milliseconds."""
    return sum(prices[work.kind].microseconds(work) for work in works) / 1000


def spread_of(pi: str, dtype: Dtype, say: Callable[[str], None]) -> float:
    """The largest error of a network's estimate by prices that were fitted without it."""
    rows = rows_of(pi, dtype)
    whole, worst = fitted(pi, dtype, rows), 0.0
    for at, row in enumerate(rows):
        without = estimated(fitted(pi, dtype, rows[:at] + rows[at + 1 :]), row.works)
        off = max(without / row.milliseconds, row.milliseconds / without) - 1
        worst = max(worst, off)
        say(
            f"{NAMES[pi]}  {dtype:<8} {row.name:<20} {row.milliseconds:8.1f} ms published  "
            f"{estimated(whole, row.works):8.1f} fitted  {without:8.1f} left out"
        )
    return (1 + worst) * BOARDS - 1


def figures_of(pi: str, say: Callable[[str], None]) -> CostTable:
    """The figures of one box, with their sources."""
    quickest = {d: fitted(pi, d, rows_of(pi, d)) for d in ("int8", "float32")}
    spreads = {d: spread_of(pi, d, say) for d in ("int8", "float32")}
    ratios = [old / new for old, new in zip(BUILT_IN, LOGGED["pi4", "int8"])]
    slower = float(np.exp(np.mean(np.log(ratios))))
    beside = max(max(ratios) / slower, slower / min(ratios)) - 1
    say(f"{NAMES[pi]}  built-in kernels: {slower:.2f} times as long, within {beside:.0%}")
    built_in = {
        d: {
            kind: price.replace(
                multiply_add_ps=_short(price.multiply_add_ps * slower),
                value_ns=_short(price.value_ns * slower),
            )
            for kind, price in prices.items()
        }
        for d, prices in quickest.items()
    }
    return CostTable.read(
        {
            "schema": SCHEMA,
            "box": f"a {NAMES[pi]}",
            "origin": "published",
            "made": READ,
            "runtime": "TensorFlow Lite 2.18 with XNNPACK, one thread, 64 bit",
            "spread": {
                "quickest": {d: round(s, 3) for d, s in spreads.items()},
                "built-in": {d: round((1 + s) * (1 + beside) - 1, 3) for d, s in spreads.items()},
            },
            "invoke_us": 0.0,
            "prices": {"quickest": _said(quickest), "built-in": _said(built_in)},
            "sources": [source.to_dict() for source in _sources(pi)],
        }
    )


def _said(prices: dict[str, dict[str, OperatorPrice]]) -> dict[str, dict[str, Any]]:
    return {d: {kind: price.to_dict() for kind, price in of.items()} for d, of in prices.items()}


def _sources(pi: str) -> list[Publication]:
    found = [
        Publication(
            title=DETECTOR_LOGS,
            year=2024,
            used="EfficientDet-Lite0 to 4, float32 and int8, TensorFlow Lite 2.18, one thread",
        ),
        Publication(
            title=DETECTOR_LOGS,
            year=2021,
            used="the same in int8 on a Raspberry Pi 4 by TensorFlow Lite 2.5: built-in kernels",
        ),
        Publication(title=MEMORY, year=2024, used="how fast one core copies: dense layers"),
    ]
    if pi == "pi4":
        used = "MobileNetV1 and V2, float32 and int8, four threads, reckoned back to one"
        return [*found, Publication(title=XNNPACK, year=2022, used=used)]
    used = "int8 by ExecuTorch with XNNPACK, threads not stated, taken as four, reckoned to one"
    return [*found, Publication(title=ARM, year=2026, used=used)]


def _columns(works: Sequence[OperatorWork], tile: tuple[int, int]) -> list[float]:
    """Millions of multiply-adds of convolutions, outputs of all convolutions, multiply-adds of
    depthwise ones, and values of everything else."""
    found = [0.0, 0.0, 0.0, 0.0]
    for work in works:
        if work.kind == "depthwise":
            found[2] += work.padded(8, 1) / 1e6
        elif work.kind in CONVOLVING:
            found[0] += work.padded(*tile) / 1e6
        if work.kind in CONVOLVING:
            outer = 8 if work.kind == "depthwise" else tile[0]
            found[1] += work.output_pixels * -(-work.channels_out // outer) * outer / 1e6
        else:
            found[3] += work.values / 1e6
    return found


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def main() -> None:
    """Writes the files of data beside trainer/device_latency/cost_table.py."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "-o", type=Path, default=Path("trainer/device_latency"), help="(%(default)s)"
    )
    folder = parser.parse_args().o
    for pi in NAMES:
        figures = figures_of(pi, print)
        (folder / f"{pi}.json").write_text(figures.as_json(), "utf-8")
        print(f"{folder / pi}.json: spread {figures.spread}")


if __name__ == "__main__":
    main()
