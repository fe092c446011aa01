"""Measures the figures of the machine that this runs on: times samples, fits what things cost."""

import itertools
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.core.terms import Kernels
from edge.inspection import runtime_module
from trainer.core import silence_stderr
from trainer.device_latency.cost_table import SCHEMA, CostTable, Dtype, OperatorPrice
from trainer.device_latency.estimate import estimate
from trainer.device_latency.operator_work import CONVOLVING, OperatorWork, operator_works
from trainer.device_latency.probe_set import empty_model, operator_samples, probe_networks

KERNELS: tuple[Kernels, ...] = ("quickest", "built-in")
DTYPES: tuple[Dtype, ...] = ("int8", "float32")
ROUNDS = 4
SMALL = 2.0  # microseconds
LEAST_CALLS, LEAST_SECONDS = 3, 0.004  # of a round
# Out and in: what XNNPACK's kernels for NEON, AVX2, AVX-512 and AMX compute at once.
TILES = ((1, 1), (8, 1), (8, 8), (16, 4), (16, 8), (16, 16), (32, 4), (64, 16), (64, 64))

Progress = Callable[[str, int, int], None]
Timed = tuple[OperatorWork, float]


def measure_cost_table(progress: Progress = lambda _what, _done, _total: None) -> CostTable:
    """Some seconds of timing, one thread. Raises MissingPartError without a runtime."""
    runtime, _ = runtime_module("auto")
    prices: dict[Kernels, dict[Dtype, dict[str, OperatorPrice]]] = {}
    total = len(KERNELS) * len(DTYPES)
    (invoke,) = fastest_times([empty_model("float32")], "quickest")
    for done, (kernels, dtype) in enumerate(itertools.product(KERNELS, DTYPES)):
        progress(f"timing {dtype} operators, {kernels} kernels", done, total)
        samples = list(operator_samples(dtype))
        taken = fastest_times([sample for _, sample in samples], kernels)
        timed: dict[str, list[Timed]] = {}
        for (kind, sample), microseconds in zip(samples, taken):
            works = operator_works(sample)
            each = max(0.0, microseconds - invoke) / len(works)
            timed.setdefault(kind, []).append((works[0], each))
        prices.setdefault(kernels, {})[dtype] = {
            kind: fit_price(points, tiled=kind in CONVOLVING) for kind, points in timed.items()
        }
    costs = CostTable(
        schema_=SCHEMA,
        box=machine_name(),
        origin="measured",
        made=datetime.now(UTC).date().isoformat(),
        runtime=runtime,
        spread={},
        invoke_us=round(invoke, 3),
        prices=prices,
    )
    progress("timing little networks, to check the figures by", total, total)
    return calibrated(costs)


def calibrated(costs: CostTable) -> CostTable:
    """The figures, held against little networks that are timed whole.

    An operator alone has all it needs in the processor's cache; in a network it has not. So all
    prices are raised, or lowered, by what the middle one of the networks takes more; by how much
    the others still differ is the spread.
    """
    prices: dict[Kernels, dict[Dtype, dict[str, OperatorPrice]]] = {}
    spread: dict[Kernels, dict[Dtype, float]] = {}
    for kernels, dtype in itertools.product(KERNELS, DTYPES):
        networks = [network for _, network in probe_networks(dtype)]
        taken = np.array(fastest_times(networks, kernels)) / 1000
        said = [estimate(operator_works(one), costs, kernels).milliseconds for one in networks]
        ratios = taken / np.array(said)
        middle = float(np.median(ratios))
        off = np.maximum(ratios / middle, middle / ratios) - 1
        spread.setdefault(kernels, {})[dtype] = round(float(off.max()), 3)
        prices.setdefault(kernels, {})[dtype] = {
            kind: price.times(middle) for kind, price in costs.prices[kernels][dtype].items()
        }
    return costs.replace(prices=prices, spread=spread)


def fastest_times(
    models: Sequence[bytes], kernels: Kernels, rounds: int = ROUNDS
) -> tuple[float, ...]:
    """Microseconds of an inference of each, one thread: the quickest of its rounds' medians.

    Of processor time, and in rounds over all models, so that what else runs here counts less.
    Raises MissingPartError without a runtime, and RuntimeError or ValueError, TFLite's own, when
    it cannot run a model.
    """
    invokes = [_prepared(model, kernels) for model in models]
    times = [[_round(invoke) for invoke in invokes] for _ in range(rounds)]
    return tuple(min(taken) * 1e6 for taken in zip(*times))


def _prepared(tflite: bytes, kernels: Kernels) -> Callable[[], None]:
    """What runs one inference of it, on noise."""
    _, module = runtime_module("auto")
    chosen = {}
    if kernels == "built-in":
        resolvers = module.OpResolverType
        chosen["experimental_op_resolver_type"] = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with silence_stderr():
        interpreter = module.Interpreter(model_content=tflite, num_threads=1, **chosen)
        interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for entry in interpreter.get_input_details():
        noise = rng.integers(0, 100, entry["shape"]).astype(entry["dtype"])
        interpreter.set_tensor(entry["index"], noise)
    interpreter.invoke()
    invoke: Callable[[], None] = interpreter.invoke
    return invoke


def _round(invoke: Callable[[], None]) -> float:
    taken: list[float] = []
    invoke()
    began = time.perf_counter()
    while len(taken) < LEAST_CALLS or time.perf_counter() - began < LEAST_SECONDS:
        start = time.thread_time()  # with one thread all of it is done in this one
        invoke()
        taken.append(time.thread_time() - start)
    return statistics.median(taken)


def fit_price(points: Sequence[Timed], *, tiled: bool) -> OperatorPrice:
    """What an operator costs, from several that were timed: works and microseconds.

    The least relative error, by squares, without negative costs: an estimate never falls when
    there is more to do. Below SMALL an error counts as it is, not as a share.
    """
    truth = np.array([taken for _, taken in points])
    scale = truth + SMALL
    best: tuple[float, OperatorPrice] | None = None
    for tile in TILES if tiled else ((1, 1),):
        columns = np.array([_units(work, tile) for work, _ in points])
        costs = non_negative_least_squares(columns / scale[:, None], truth / scale)
        error = float(np.sum(((columns @ costs - truth) / scale) ** 2))
        price = OperatorPrice(
            call_us=round(float(costs[0]), 4),
            multiply_add_ps=round(float(costs[1]) * 1e6, 4),
            value_ns=round(float(costs[2]) * 1e3, 5),
            tile=tile,
        )
        if best is None or error < best[0]:
            best = error, price
    assert best is not None
    return best[1]


def _units(work: OperatorWork, tile: tuple[int, int]) -> tuple[float, float, float]:
    """How many calls, multiply-adds and values a price is paid for."""
    calls = OperatorPrice(call_us=1).microseconds(work)
    multiply_adds = OperatorPrice(call_us=0, multiply_add_ps=1e6, tile=tile).microseconds(work)
    values = OperatorPrice(call_us=0, value_ns=1e3, tile=tile).microseconds(work)
    return calls, multiply_adds, values


def non_negative_least_squares(
    rows: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Costs, none below 0, with which rows come nearest to what is wanted: the best of all choices
    of columns, which are few."""
    count = rows.shape[1]
    best, least = np.zeros(count), float(np.sum(wanted**2))
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            part = rows[:, chosen]
            costs = np.linalg.lstsq(part, wanted, rcond=None)[0]
            error = float(np.sum((part @ costs - wanted) ** 2))
            if (costs >= 0).all() and error < least:
                best, least = np.zeros(count), error
                best[list(chosen)] = costs
    return best


def machine_name() -> str:
    """What this machine calls itself: a board's model, or its processor."""
    board = Path("/proc/device-tree/model")
    if board.exists():
        return board.read_text("utf-8", errors="replace").strip("\0 \n")[:200]
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine() or "this machine"])[0][:200]
