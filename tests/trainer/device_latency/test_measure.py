"""The cost table is measured with the daemon's install only, and it fits the timings."""

import subprocess
import sys

import numpy as np
import pytest

from edge.core.terms import Kernels
from trainer.device_latency import measure
from trainer.device_latency.cost_table import OperatorPrice, find_cost_table
from trainer.device_latency.estimate import estimate
from trainer.device_latency.measure import fastest_times, fit_price, non_negative_least_squares
from trainer.device_latency.operator_work import CONVOLVING, KINDS, OperatorWork, operator_works
from trainer.device_latency.probe_models import Dtype, ModelWriter
from trainer.device_latency.probe_set import empty_model, operator_samples, probe_networks

pytest.importorskip("ai_edge_litert", reason="pip install ai-edge-litert")


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_each_sample_has_the_kind_it_is_timed_for(dtype: Dtype) -> None:
    """Every kind has a sample. A sample has one or several equal operators of its kind and type."""
    seen = set()
    for kind, sample in operator_samples(dtype):
        works = operator_works(sample)
        assert {(work.kind, work.dtype) for work in works} == {(kind, dtype)}
        assert len({(work.padded(1, 1), work.values) for work in works}) == 1
        seen.add(kind)
    assert seen == set(KINDS)


@pytest.mark.parametrize("dtype", ["int8", "float32"])
@pytest.mark.parametrize("kernels", ["quickest", "built-in"])
def test_every_sample_and_small_network_runs(dtype: Dtype, kernels: str) -> None:
    """The runtime runs the models that we write with both kinds of kernels."""
    models = [empty_model(dtype)]
    models += [sample for _, sample in operator_samples(dtype)]
    models += [network for _, network in probe_networks(dtype)]
    taken = fastest_times(models, kernels, rounds=1)  # type: ignore[arg-type]  # of Kernels
    assert len(taken) == len(models)
    assert all(microseconds > 0 for microseconds in taken)


def test_the_work_of_a_network_is_counted_exactly() -> None:
    """Pixels, channels, multiply-adds and types of each operator are those computed manually."""
    writer = ModelWriter("int8")
    x = writer.conv(writer.input((1, 32, 32, 3)), 16, 3, 2)
    x = writer.conv(writer.depthwise(writer.pool(x), 5), 24, 1)
    works = operator_works(writer.finish([writer.dense(writer.flatten(x), 2)]))
    assert [work.kind for work in works] == [
        "conv", "pool", "depthwise", "pointwise", "free", "dense",
    ]  # fmt: skip
    assert [work.multiply_adds for work in works] == [
        16 * 16 * 9 * 3 * 16, 0, 8 * 8 * 25 * 16, 8 * 8 * 16 * 24, 0, 8 * 8 * 24 * 2,
    ]  # fmt: skip
    assert works[1].values == 16 * 16 * 16 + 8 * 8 * 16
    assert {work.dtype for work in works} == {"int8"}


@pytest.mark.parametrize("kind", ["conv", "pool"])
def test_the_fit_finds_the_true_price(kind: str) -> None:
    """The fit recovers calls, multiply-adds, values and tile from exact times."""
    tile = (16, 4) if kind in CONVOLVING else (1, 1)
    multiplying = 12.5 if kind in CONVOLVING else 0.0
    true = OperatorPrice(call_us=3.0, multiply_add_ps=multiplying, value_ns=0.7, tile=tile)
    rng = np.random.default_rng(0)
    works = [
        OperatorWork(kind, "int8", int(p), 9, int(i), int(o), int(p * (i + o)))
        for p, i, o in rng.integers(5, 90, (12, 3))
    ]
    found = fit_price([(work, true.microseconds(work)) for work in works], tiled=kind in CONVOLVING)
    assert found.tile == tile
    for work in works:
        assert found.microseconds(work) == pytest.approx(true.microseconds(work), rel=1e-3)


def test_no_cost_is_negative() -> None:
    """Where the best fit has a negative cost, the cost is 0 instead."""
    rows = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    costs = non_negative_least_squares(rows, np.array([3.0, 2.0, 1.0]))
    assert costs == pytest.approx([2.0, 0.0])
    assert (non_negative_least_squares(-rows, np.array([3.0, 2.0, 1.0])) == 0).all()


def test_figures_are_measured_without_tensorflow() -> None:
    """A box has no TensorFlow, scipy or rich: the measurement imports none of them."""
    code = (
        "import sys\n"
        "from converter.cli.main import main\n"
        "from trainer.device_latency import measure\n"
        "measure.KERNELS, measure.DTYPES, measure.ROUNDS = ('quickest',), ('int8',), 1\n"
        "measure.MIN_SECONDS = 0.0\n"
        "measure.measure_cost_table()\n"
        "heavy = {'tensorflow', 'keras', 'scipy', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_prices_are_corrected_by_whole_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """When whole networks take 1.5 times the estimate, every price rises by that factor.

    The spread is the largest remaining deviation.
    """
    figures = find_cost_table("pi4")
    names = [name for name, _ in probe_networks("int8")]
    longer = np.full(len(names), 1.5)
    longer[-1] = 3.0

    def timed(models: list[bytes], kernels: Kernels, _rounds: int = 1) -> tuple[float, ...]:
        estimated = [estimate(operator_works(one), figures, kernels).milliseconds for one in models]
        return tuple(np.array(estimated) * longer * 1000)

    monkeypatch.setattr(measure, "fastest_times", timed)
    found = measure.calibrated(figures)
    for kernels in measure.KERNELS:
        for dtype in measure.DTYPES:
            before, after = (one.prices[kernels][dtype]["conv"] for one in (figures, found))
            assert after.multiply_add_ps == pytest.approx(1.5 * before.multiply_add_ps, rel=1e-3)
            assert found.spread[kernels][dtype] == pytest.approx(1.0)
