"""When benchmarks.growth says that a cost grows faster than its cause; and one cause, measured."""

import random
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.growth import archive
from benchmarks.growth.__main__ import draw, table
from benchmarks.growth.rules import Cost, Kind, fit, judge

DECADES = (0, 1000, 10_000, 100_000, 1_000_000)
CAMERAS = (1, 2, 3, 4, 6, 8)


def measured(
    cost_of: Callable[[float], float],
    sizes: tuple[int, ...] = DECADES,
    noise: float = 0.03,
    seed: int = 1,
) -> dict[float, list[float]]:
    """Five repeats of a cost at each size, each off by up to this share of it."""
    chance = random.Random(seed)
    return {
        size: [cost_of(size) * (1 + chance.uniform(-noise, noise)) for _ in range(5)]
        for size in sizes
    }


def good(kind: Kind, at: dict[float, list[float]], least: float = 0) -> bool:
    """What the rule says."""
    return judge(Cost("cost", kind, at, least)).good


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5, 2.0])
def test_the_fit_finds_the_exponent_on_top_of_what_is_there_anyway(exponent: float) -> None:
    """A fixed share hides no growth: what each size adds is fitted."""
    found = fit(measured(lambda n: 50 + n**exponent, noise=0.01))
    assert found is not None
    assert found.exponent == pytest.approx(exponent, abs=0.1)
    assert found.half < 0.1


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("sizes", [DECADES, CAMERAS])
def test_as_much_as_its_cause_is_right_and_more_is_not(sizes: tuple[int, ...], seed: int) -> None:
    """A whole may rise in step with its cause, whatever the noise; its square is found."""
    base = sizes[1]
    assert good("whole", measured(lambda n: base + n, sizes, seed=seed))
    assert good("whole", measured(lambda n: base + n, sizes, noise=0.2, seed=seed))
    assert good("whole", measured(lambda n: 100 * base, sizes, seed=seed))
    assert not good("whole", measured(lambda n: base**2 + n**2, sizes, seed=seed))


def test_a_step_is_no_growth() -> None:
    """A cache that fills once, between two sizes, is not taken for more."""
    assert good("whole", measured(lambda n: 20 + 2 * (n >= 10_000)))


def test_what_stands_out_at_the_last_size_only_is_bounded_from_below() -> None:
    """Hidden in the noise at first, a square is still seen by how suddenly it comes out."""
    noisy: dict[float, list[float]] = {
        0: [100.0, 110.0],
        10: [101.0, 109.0],
        100: [100.0, 110.0],
        1000: [9000.0, 9100.0],
    }
    assert not judge(Cost("cost", "whole", noisy)).good
    gentle = noisy | {1000: [200.0, 210.0]}
    assert judge(Cost("cost", "whole", gentle)).good


@pytest.mark.parametrize("seed", range(10))
def test_one_more_costs_the_same(seed: int) -> None:
    """A cost of each may be noisy, fall, or rise by less than 1.3; past that it is said."""
    assert good("each", measured(lambda n: 5.0, noise=0.4, seed=seed))
    assert good("each", measured(lambda n: 5.0 if n else 50.0, seed=seed))
    assert good("each", measured(lambda n: 5.0 + (n >= 1000), seed=seed))
    assert not good("each", measured(lambda n: 5.0 + n / 1e6 * 2, seed=seed))
    assert not good("each", measured(lambda n: 5.0 + 20 * (n == 10_000), seed=seed))


def test_what_the_machine_does_meanwhile_is_no_growth() -> None:
    """Rounds in which everything costs thrice as much decide nothing; one size that costs more in
    each of them does."""
    load = [1.0, 3.0, 1.0, 3.0, 1.0]
    assert good("each", {1: load, 10: [1.1 * one for one in load]})
    assert not good("each", {1: load, 10: [1.4 * one for one in load]})


def test_sizes_below_the_least_are_shown_and_not_judged() -> None:
    """Where nothing waits, less is done: that is no growth."""
    at = measured(lambda n: 50.0 if n else 1.0)
    assert not good("each", at)
    assert good("each", at, least=1)
    assert "| 0 | 1" in table("rows", [Cost("cost", "each", at, 1)])


def test_too_few_measurements_are_no_answer() -> None:
    """Silence is not success."""
    assert not judge(Cost("cost", "each", {0: [1.0, 1.0]})).good
    assert not judge(Cost("cost", "whole", {0: [1.0], 1: [1.0]})).good


@pytest.mark.slow
def test_the_archive_is_measured(tmp_path: Path) -> None:
    """A small run end to end: every cost has repeats at each size, a row of the table, a panel."""
    sizes = (0, 256)
    costs = archive.measure(tmp_path / "a", quick=True, sizes=sizes)
    for cost in costs:
        assert list(cost.at) == list(sizes)
        assert all(value > 0 for repeats in cost.at.values() for value in repeats)
        assert min(len(repeats) for repeats in cost.at.values()) >= 3
    assert len(list((tmp_path / "a" / "256" / "kept").glob("*/fail-*"))) == 256
    lines = table("pictures", costs).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| 0", "| 256"]
    draw(tmp_path / "charts" / "a.svg", "pictures", costs)
    drawn = ElementTree.parse(tmp_path / "charts" / "a.svg").getroot()
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("256") == len(costs)
