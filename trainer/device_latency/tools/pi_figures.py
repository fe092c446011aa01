"""Makes trainer/device_latency/pi4.json and pi5.json from published measurements.

    python -m trainer.device_latency.tools.pi_figures    # writes both files, prints the fit

The figures come from no Raspberry Pi of ours. pi_networks.py counts the operators of the published
networks, and a fit finds the prices that come nearest to the published times. The spread is the
largest error of a network's estimate when the fit leaves that network out, times the variation
between boards and versions.
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

RETRIEVED = "2026-11-28"
DETECTOR_LOGS = "benchmarks (NobuoTsukamoto), EfficientDet TensorFlow Lite Benchmarks"
XNNPACK = "XNNPACK (Google), README: Performance, Raspberry Pi"
ARM = "ResNet-18 and ResNet-50 optimized for Arm-based Edge Linux (Arm), model cards"
MEMORY = "sbc-reviews (Jeff Geerling), tinymembench logs"

# Milliseconds of EfficientDet-Lite0, 1, 2, 3, 3x, 4 by TensorFlow Lite 2.18, XNNPACK, one thread.
PUBLISHED_MS: dict[tuple[str, Dtype], tuple[float, ...]] = {
    ("pi4", "float32"): (328.651, 648.053, 1048.77, 2209.33, 3942.57, 5514.79),
    ("pi4", "int8"): (197.751, 372.260, 601.720, 1202.47, 2185.16, 2988.07),
    ("pi5", "float32"): (104.012, 198.975, 328.918, 663.834, 1181.11, 1623.24),
    ("pi5", "int8"): (44.198, 81.633, 123.805, 232.962, 417.988),
}
# Milliseconds with four threads, by XNNPACK itself (2022) and by ExecuTorch with XNNPACK (2026).
FOUR_THREADS_MS: dict[tuple[str, Dtype], dict[str, float]] = {
    ("pi4", "float32"): {"MobileNetV1": 77.0, "MobileNetV2": 46.0},
    ("pi4", "int8"): {"MobileNetV1": 24.0, "MobileNetV2": 17.0},
    ("pi5", "float32"): {},
    ("pi5", "int8"): {"ResNet-18": 8.751, "ResNet-50": 20.64},
}
# Speed-up of four threads against one: EfficientDet-Lite0 in the same logs on a Pi 4,
# 328.651 to 175.845 ms and 197.751 to 78.009 ms.
FOUR_THREADS_SPEEDUP: dict[Dtype, float] = {"float32": 1.87, "int8": 2.53}
# On a Pi 5 the ResNets need another speed-up: ResNet-18 takes this many milliseconds in float32
# with four threads. The prices fitted to the other networks estimate its time with one thread.
RESNET18_FLOAT32_MS = 8.751 * 3.61
# Variation between boards: Pi 4s run at 1.5 or 1.8 GHz, and TensorFlow Lite 2.5 took up to 1.08
# times as long as 2.18 for the same networks in float32.
BOARD_VARIATION = 1.2 * 1.08
# EfficientDet-Lite0 to 4 in int8 by TensorFlow Lite 2.5, which had no XNNPACK for int8, on a Pi 4.
BUILT_IN_MS = (344.03, 546.90, 857.87, 1657.71, 2979.10, 4008.46)
# Bytes a second that one core copies: dense layers read each weight once.
COPY_RATE = {"pi4": 2.8e9, "pi5": 5.6e9}
# The peak rates of a core, by instruction set and clock, as limits of the fit: multiply-adds of
# convolutions a second, of depthwise ones, and bytes a second in the cache.
PEAK_RATES: dict[tuple[str, Dtype], tuple[float, float, float]] = {
    ("pi4", "float32"): (1.5e9 * 4, 1.5e9 * 4, 5e9),
    ("pi4", "int8"): (1.5e9 * 16, 1.5e9 * 8, 5e9),
    ("pi5", "float32"): (2.4e9 * 8, 2.4e9 * 8, 10e9),
    ("pi5", "int8"): (2.4e9 * 32, 2.4e9 * 16, 10e9),
}
TILES: dict[tuple[str, Dtype], tuple[int, int]] = {  # of XNNPACK's kernels for these cores
    ("pi4", "float32"): (8, 1),
    ("pi4", "int8"): (16, 8),
    ("pi5", "float32"): (8, 1),
    ("pi5", "int8"): (16, 4),
}
NAMES = {"pi4": "Raspberry Pi 4", "pi5": "Raspberry Pi 5"}
OTHER_NETWORKS: dict[str, Callable[[str], tuple[OperatorWork, ...]]] = {
    "MobileNetV1": mobilenet_v1,
    "MobileNetV2": mobilenet_v2,
    "ResNet-18": lambda dtype: resnet(dtype, 18),
    "ResNet-50": lambda dtype: resnet(dtype, 50),
}


@dataclass(frozen=True, slots=True)
class PublishedTime:
    """A published time in milliseconds for one thread, measured or computed from four."""

    name: str
    works: tuple[OperatorWork, ...]
    milliseconds: float


def published_times(pi: str, dtype: Dtype) -> list[PublishedTime]:
    """All times of one box and type."""
    found = [
        PublishedTime(name, detector(name, dtype), taken)
        for name, taken in zip(DETECTORS, PUBLISHED_MS[pi, dtype])
    ]
    speedup = (
        FOUR_THREADS_SPEEDUP[dtype]
        if pi == "pi4"
        else _resnet_speedup()
        if dtype == "int8"
        else 1.0
    )
    for name, taken in FOUR_THREADS_MS[pi, dtype].items():
        found.append(PublishedTime(name, OTHER_NETWORKS[name](dtype), taken * speedup))
    return found


def _resnet_speedup() -> float:
    """The speed-up of four threads of a Pi 5 on a ResNet."""
    prices = fitted_prices("pi5", "float32", published_times("pi5", "float32"))
    one = estimated_ms(prices, resnet("float32", 18))
    return one / RESNET18_FLOAT32_MS


def fitted_prices(pi: str, dtype: Dtype, rows: Sequence[PublishedTime]) -> dict[str, OperatorPrice]:
    """The prices by kind of the least squared relative error against `rows`."""
    tile = TILES[pi, dtype]
    columns = np.array([_columns(row.works, tile) for row in rows])
    truth = np.array([row.milliseconds for row in rows])
    conv_rate, depthwise_rate, byte_rate = PEAK_RATES[pi, dtype]
    value_s = (1 if dtype == "int8" else 4) / byte_rate
    floors = 1e9 * np.array([1 / conv_rate, value_s, 1 / depthwise_rate, value_s])
    # The fit is of the costs above the floors that the peak rates set.
    excess = (truth - columns @ floors) / truth
    costs = floors + non_negative_least_squares(columns / truth[:, None], excess)
    multiply_add, output, depthwise_multiply_add, value = costs * 1000  # picoseconds
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
        multiply_add_ps=_short(depthwise_multiply_add),
        value_ns=_short(output / 1000),
        tile=(8, 1),
    )
    size = 1 if dtype == "int8" else 4
    weight_ps = size / COPY_RATE[pi] * 1e12
    prices["dense"] = OperatorPrice(
        call_us=0.0, multiply_add_ps=_short(max(weight_ps, multiply_add)), tile=(8, 1)
    )
    return prices


def estimated_ms(prices: dict[str, OperatorPrice], works: Sequence[OperatorWork]) -> float:
    """The estimated milliseconds of a network."""
    return sum(prices[work.kind].microseconds(work) for work in works) / 1000


def spread_of(pi: str, dtype: Dtype, say: Callable[[str], None]) -> float:
    """The largest relative error of an estimate from prices fitted without that network."""
    rows = published_times(pi, dtype)
    all_prices, worst = fitted_prices(pi, dtype, rows), 0.0
    for at, row in enumerate(rows):
        other_prices = fitted_prices(pi, dtype, rows[:at] + rows[at + 1 :])
        without = estimated_ms(other_prices, row.works)
        error = max(without / row.milliseconds, row.milliseconds / without) - 1
        worst = max(worst, error)
        say(
            f"{NAMES[pi]}  {dtype:<8} {row.name:<20} {row.milliseconds:8.1f} ms published  "
            f"{estimated_ms(all_prices, row.works):8.1f} fitted  {without:8.1f} left out"
        )
    return (1 + worst) * BOARD_VARIATION - 1


def figures_of(pi: str, say: Callable[[str], None]) -> CostTable:
    """The figures of one box, with their sources."""
    quickest = {d: fitted_prices(pi, d, published_times(pi, d)) for d in ("int8", "float32")}
    spreads = {d: spread_of(pi, d, say) for d in ("int8", "float32")}
    ratios = [old / new for old, new in zip(BUILT_IN_MS, PUBLISHED_MS["pi4", "int8"])]
    slower = float(np.exp(np.mean(np.log(ratios))))
    built_in_spread = max(max(ratios) / slower, slower / min(ratios)) - 1
    say(f"{NAMES[pi]}  built-in kernels: {slower:.2f} times as long, within {built_in_spread:.0%}")
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
            "made": RETRIEVED,
            "runtime": "TensorFlow Lite 2.18 with XNNPACK, one thread, 64 bit",
            "spread": {
                "quickest": {d: round(s, 3) for d, s in spreads.items()},
                "built-in": {
                    d: round((1 + s) * (1 + built_in_spread) - 1, 3) for d, s in spreads.items()
                },
            },
            "invoke_us": 0.0,
            "prices": {"quickest": _as_json(quickest), "built-in": _as_json(built_in)},
            "sources": [source.to_dict() for source in _sources(pi)],
        }
    )


def _as_json(prices: dict[str, dict[str, OperatorPrice]]) -> dict[str, dict[str, Any]]:
    return {d: {kind: p.to_dict() for kind, p in by_kind.items()} for d, by_kind in prices.items()}


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
        used = "MobileNetV1 and V2, float32 and int8, four threads, converted to one"
        return [*found, Publication(title=XNNPACK, year=2022, used=used)]
    used = "int8 by ExecuTorch with XNNPACK, threads not stated, taken as four, converted to one"
    return [*found, Publication(title=ARM, year=2026, used=used)]


def _columns(works: Sequence[OperatorWork], tile: tuple[int, int]) -> list[float]:
    """The work of a network in millions, one column for each fitted cost.

    The columns are multiply-adds of convolutions, outputs of all convolutions, multiply-adds of
    depthwise convolutions, and values of all other operators.
    """
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
    """The value with four digits."""
    return float(f"{value:.4g}")


def main() -> None:
    """Writes both data files beside trainer/device_latency/cost_table.py."""
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
