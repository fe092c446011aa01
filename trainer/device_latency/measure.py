"""Measures the cost table of this machine: times sample operators and fits their prices."""

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
ABSOLUTE_ERROR_US = 2.0  # below it an error counts absolutely, above it relatively
MIN_CALLS, MIN_SECONDS = 3, 0.004  # of a round
# Channels (out, in) that XNNPACK's kernels for NEON, AVX2, AVX-512 and AMX compute at once.
TILES = ((1, 1), (8, 1), (8, 8), (16, 4), (16, 8), (16, 16), (32, 4), (64, 16), (64, 64))

Progress = Callable[[str, int, int], None]
Timed = tuple[OperatorWork, float]


def measure_cost_table(progress: Progress = lambda _what, _done, _total: None) -> CostTable:
    """Times operators on one thread for some seconds. Raises MissingPartError without a runtime."""
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
    progress("timing small networks, to check the figures", total, total)
    return calibrated(costs)


def calibrated(costs: CostTable) -> CostTable:
    """Corrects the costs by the measured time of whole small networks.

    An operator alone has all its data in the processor's cache; in a network it has not. So all
    costs are multiplied by the median ratio of measured to estimated time. The largest
    deviation of the other ratios is the spread.
    """
    prices: dict[Kernels, dict[Dtype, dict[str, OperatorPrice]]] = {}
    spread: dict[Kernels, dict[Dtype, float]] = {}
    for kernels, dtype in itertools.product(KERNELS, DTYPES):
        networks = [network for _, network in probe_networks(dtype)]
        taken = np.array(fastest_times(networks, kernels)) / 1000
        estimated = [estimate(operator_works(one), costs, kernels).milliseconds for one in networks]
        ratios = taken / np.array(estimated)
        median = float(np.median(ratios))
        deviations = np.maximum(ratios / median, median / ratios) - 1
        spread.setdefault(kernels, {})[dtype] = round(float(deviations.max()), 3)
        prices.setdefault(kernels, {})[dtype] = {
            kind: price.times(median) for kind, price in costs.prices[kernels][dtype].items()
        }
    return costs.replace(prices=prices, spread=spread)


def fastest_times(
    models: Sequence[bytes], kernels: Kernels, rounds: int = ROUNDS
) -> tuple[float, ...]:
    """Microseconds of processor time of an inference of each model, on one thread.

    The result is the fastest of the medians of the rounds. Rounds go over all models, so that
    other load on the machine counts less. Raises MissingPartError without a runtime, and TFLite's
    RuntimeError or ValueError when it cannot run a model.
    """
    invokes = [_prepared(model, kernels) for model in models]
    times = [[_round_median(invoke) for invoke in invokes] for _ in range(rounds)]
    return tuple(min(taken) * 1e6 for taken in zip(*times))


def _prepared(tflite: bytes, kernels: Kernels) -> Callable[[], None]:
    """A function that runs one inference of the model, on noise."""
    _, module = runtime_module("auto")
    options = {}
    if kernels == "built-in":
        resolvers = module.OpResolverType
        options["experimental_op_resolver_type"] = resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with silence_stderr():
        interpreter = module.Interpreter(model_content=tflite, num_threads=1, **options)
        interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for entry in interpreter.get_input_details():
        noise = rng.integers(0, 100, entry["shape"]).astype(entry["dtype"])
        interpreter.set_tensor(entry["index"], noise)
    interpreter.invoke()
    invoke: Callable[[], None] = interpreter.invoke
    return invoke


def _round_median(invoke: Callable[[], None]) -> float:
    taken: list[float] = []
    invoke()
    began = time.perf_counter()
    while len(taken) < MIN_CALLS or time.perf_counter() - began < MIN_SECONDS:
        start = time.thread_time()  # this thread does all the work
        invoke()
        taken.append(time.thread_time() - start)
    return statistics.median(taken)


def fit_price(points: Sequence[Timed], *, tiled: bool) -> OperatorPrice:
    """Fits the price of a kind of operator to timed operators: works and microseconds.

    Minimises the squared relative error without negative costs, so that more work never lowers
    an estimate.
    """
    truth = np.array([taken for _, taken in points])
    scale = truth + ABSOLUTE_ERROR_US
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
    """The calls, multiply-adds and values of an operator, as a price counts them."""
    calls = OperatorPrice(call_us=1).microseconds(work)
    multiply_adds = OperatorPrice(call_us=0, multiply_add_ps=1e6, tile=tile).microseconds(work)
    values = OperatorPrice(call_us=0, value_ns=1e3, tile=tile).microseconds(work)
    return calls, multiply_adds, values


def non_negative_least_squares(
    rows: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The non-negative costs of the least squared error of `rows` @ costs against `targets`.

    Tries all subsets of the columns, which are few.
    """
    count = rows.shape[1]
    best, min_error = np.zeros(count), float(np.sum(targets**2))
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            columns = rows[:, chosen]
            costs = np.linalg.lstsq(columns, targets, rcond=None)[0]
            error = float(np.sum((columns @ costs - targets) ** 2))
            if (costs >= 0).all() and error < min_error:
                best, min_error = np.zeros(count), error
                best[list(chosen)] = costs
    return best


def machine_name() -> str:
    """The name of this machine: the model of the board, else the processor."""
    board = Path("/proc/device-tree/model")
    if board.exists():
        return board.read_text("utf-8", errors="replace").strip("\0 \n")[:200]
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine() or "this machine"])[0][:200]
