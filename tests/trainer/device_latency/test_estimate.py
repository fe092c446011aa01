"""An estimate is a sum that never falls with the work; it names operators without a price."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.device_latency.cost_table import CostTable, OperatorPrice, find_cost_table
from trainer.device_latency.estimate import Estimate, estimate, format_ms
from trainer.device_latency.latency_budget import (
    LatencyBudget,
    NetworkOption,
    fitting_text,
    network_table,
    within_budget,
)
from trainer.device_latency.operator_work import OperatorWork

PRICES = {
    "conv": OperatorPrice(call_us=2, multiply_add_ps=10, value_ns=1, tile=(16, 8)),
    "dense": OperatorPrice(call_us=1, multiply_add_ps=100),
    "pool": OperatorPrice(call_us=0.5, value_ns=0.25),
}
FIGURES = CostTable(
    schema_="edge-inspect/figures/1",
    box="a box",
    origin="measured",
    made="2026-11-28",
    spread={"quickest": {"int8": 0.25}},
    runtime="litert",
    invoke_us=10,
    prices={"quickest": {"int8": PRICES}},
)
CONV = OperatorWork("conv", "int8", 100, 9, 8, 16, 3000, "shapes", "CONV_2D")
POOL = OperatorWork("pool", "int8", 25, 0, 0, 16, 2000, "pool", "MAX_POOL_2D")
STRANGE = OperatorWork("fft", "int8", 1, 0, 0, 1, 10, "f", "FFT")
DYNAMIC = replace(CONV, dtype="dynamic")


def test_an_estimate_is_the_sum_of_its_operators() -> None:
    """The sum has calls, multiply-adds and values at their prices, plus the inference itself."""
    estimated = estimate((CONV, POOL), FIGURES)
    conv = 2 + 100 * 9 * 8 * 16 * 10 / 1e6 + 1600 * 1 / 1e3
    pool = 0.5 + 2000 * 0.25 / 1e3
    assert [operator.milliseconds for operator in estimated.operators] == pytest.approx(
        [conv / 1e3, pool / 1e3]
    )
    assert estimated.milliseconds == pytest.approx((10 + conv + pool) / 1e3)
    assert estimated.unknown == ()


@given(
    shape=st.tuples(*(st.integers(1, limit) for limit in (500, 25, 200, 200))),
    name=st.sampled_from(["output_pixels", "kernel_pixels", "channels_in", "channels_out"]),
    more=st.integers(1, 50),
)
def test_more_work_never_takes_less(shape: tuple[int, int, int, int], name: str, more: int) -> None:
    """When any number of an operator grows, its estimate does not fall."""
    work = OperatorWork("conv", "int8", *shape, values=0)
    larger = replace(work, **{name: getattr(work, name) + more})
    assert estimate((larger,), FIGURES).milliseconds >= estimate((work,), FIGURES).milliseconds


def test_one_more_operator_never_takes_less() -> None:
    """Each operator adds to the estimate or is free."""
    free = OperatorWork("free", "int8", 1, 0, 0, 16, 32, operator="RESHAPE")
    taken = [estimate((CONV,) * n, FIGURES).milliseconds for n in range(4)]
    assert taken == sorted(taken)
    assert estimate((CONV, free), FIGURES).milliseconds == taken[1]


def test_channels_are_rounded_up_to_the_tile() -> None:
    """One channel above a full tile costs as much as a whole further tile."""
    narrow, wide = replace(CONV, channels_out=17), replace(CONV, channels_out=32)
    assert (
        estimate((narrow,), FIGURES).milliseconds
        == estimate((wide,), FIGURES).milliseconds
        > estimate((CONV,), FIGURES).milliseconds
    )


def test_the_input_of_a_depthwise_filter_is_not_rounded() -> None:
    """A depthwise filter has one input channel for every tile."""
    work = OperatorWork("depthwise", "int8", 10, 9, 1, 20, 400)
    assert work.padded(8, 64) == 10 * 9 * 24
    assert work.multiply_adds == 10 * 9 * 20


def test_an_unknown_operator_gives_a_bound_and_not_a_number() -> None:
    """The sentence has the lower bound, the box and the operators without a price."""
    estimated = estimate((CONV, STRANGE, STRANGE), FIGURES)
    known = estimate((CONV,), FIGURES)
    assert estimated.milliseconds == known.milliseconds
    assert [operator.milliseconds is None for operator in estimated.operators] == [
        False,
        True,
        True,
    ]
    assert str(estimated) == (
        f"at least {format_ms(known.low)} ms on a box, how much more is not known: "
        "there is no figure of "
        "2 × fft (int8)"
    )


def test_the_spread_gives_the_range() -> None:
    """The spread gives the upper and the lower end of the range in the sentence."""
    estimated = Estimate("a box", "", (), 10.0, 0.25, ())
    assert (estimated.low, estimated.high) == (8.0, 12.5)
    assert str(estimated) == "10.0 ms (8.00 to 12.5) on a box"


@pytest.mark.parametrize(
    ("value", "read"), [(0.0123, "0.012"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123")]
)
def test_milliseconds_have_three_figures(value: float, read: str) -> None:
    """Milliseconds have three digits at every magnitude."""
    assert format_ms(value) == read


def _budget(target: float | None, *, measured_here: bool = False) -> LatencyBudget:
    return LatencyBudget(FIGURES, target, measured_here)


def test_an_estimate_above_the_limit_is_an_objection() -> None:
    """The objection names estimate, range, box, limit and the origin of the figures."""
    estimated = estimate((CONV,) * 100, FIGURES)
    assert _budget(estimated.milliseconds).objection(estimated) is None
    assert _budget(None).objection(estimated) is None
    found = _budget(0.25).objection(estimated)
    assert found == f"estimated {estimated}, the limit is 0.25 ms (measured there on 2026-11-28)"


def test_on_this_machine_the_measured_time_decides() -> None:
    """When the finished model was timed, its estimate has no effect."""
    estimated = estimate((CONV,) * 100, FIGURES)
    assert _budget(1.0, measured_here=True).objection(estimated, 0.9) is None
    assert (
        _budget(1.0, measured_here=True).objection(estimated, 1.1)
        == "it takes 1.10 ms here, the limit is 1 ms"
    )


def test_convolutions_without_a_price_exceed_every_budget() -> None:
    """Multiply-adds without a price are an objection; a small unknown operator is none."""
    found = _budget(1000.0).objection(estimate((DYNAMIC,), FIGURES))
    assert found is not None
    assert found.startswith("how long it takes is not known: at least")
    assert _budget(1000.0).objection(estimate((CONV, STRANGE), FIGURES)) is None


def _options() -> list[NetworkOption]:
    return [
        NetworkOption(name, side, Estimate("a box", "", (), taken, 0.2, ()))
        for name, side, taken in (
            ("pretrained", 128, 9.0), ("pretrained", 64, 3.0), ("compact", 128, 2.0),
            ("compact", 64, 0.5),
        )
    ]  # fmt: skip


def test_networks_that_fit_are_named_with_their_largest_size() -> None:
    """A refusal ends with the networks that would fit, or else with the fastest one."""
    assert fitting_text(_budget(4.0), _options()) == (
        "there pretrained at up to 64 pixels, compact at up to 128 pixels would fit "
        "(edge-train --network NAME --side PIXELS)"
    )
    assert "none of our networks does: the quickest, compact at 64 pixels, takes 0.500 ms" in (
        fitting_text(_budget(0.1), _options())
    )
    assert [one.side for one in within_budget(_budget(2.0), _options())] == [128, 64]


def test_the_table_has_slow_networks_in_brackets() -> None:
    """The table has a line a network, a column a size, and the spread."""
    lines = network_table(_budget(2.5), _options()).splitlines()
    assert lines[1].split() == ["pretrained", "(3.00)", "(9.00)"]
    assert lines[2].split() == ["compact", "0.500", "2.00"]
    assert "1.20 times as long" in lines[-1]
    assert "in brackets: above 2.5 ms" in lines[-1]


@pytest.mark.parametrize("name", ["pi4", "pi5"])
def test_published_figures_name_their_origin(name: str) -> None:
    """Published figures have sources with a year and a realistic spread."""
    figures = find_cost_table(name)
    assert figures.origin == "published"
    assert figures.provenance == "from published measurements, not from a box of ours"
    assert len(figures.sources) >= 3
    assert all(2020 <= source.year <= 2026 and source.title for source in figures.sources)
    shares = [share for of_type in figures.spread.values() for share in of_type.values()]
    assert min(shares) >= 0.25
    for dtype in ("int8", "float32"):
        conv = figures.prices["quickest"][dtype]["conv"].multiply_add_ps
        assert figures.prices["built-in"][dtype]["conv"].multiply_add_ps > conv


def test_a_pi_5_is_quicker_than_a_pi_4_and_int8_than_float32() -> None:
    """This holds for every published price of a multiply-add."""
    four, five = (find_cost_table(name).prices["quickest"] for name in ("pi4", "pi5"))
    for kind in ("conv", "pointwise", "depthwise", "dense"):
        for dtype in ("int8", "float32"):
            assert five[dtype][kind].multiply_add_ps < four[dtype][kind].multiply_add_ps
        assert four["int8"][kind].multiply_add_ps < four["float32"][kind].multiply_add_ps
