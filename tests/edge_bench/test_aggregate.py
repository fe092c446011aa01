"""Ratios and rounds."""

import pytest

from edge_bench.aggregate import median_ratio
from edge_bench.rounds import InvalidRunError, Rounds


def test_a_ratio_is_that_of_each_round() -> None:
    """A round in which the whole machine was slow does not change the ratio."""
    assert median_ratio([90, 9, 80], [100, 10, 100]) == pytest.approx(0.9)


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_an_invalid_round_is_told_and_left_out(wrong: int) -> None:
    """Of three rounds the invalid one is a problem with its name, the others are what is found."""

    def measure(number: int) -> int:
        if number == wrong:
            raise InvalidRunError("2 verdicts were errors")
        return number

    rounds = Rounds()
    assert rounds.repeat("throughput vga", 3, measure) == [n for n in range(3) if n != wrong]
    assert rounds.problems == [f"throughput vga, round {wrong + 1}: 2 verdicts were errors"]


def test_what_fails_twice_at_once_is_not_tried_again() -> None:
    """When the first two rounds are invalid the others are spared."""
    asked = []

    def measure(number: int) -> None:
        asked.append(number)
        raise InvalidRunError("the daemon ended")

    rounds = Rounds()
    assert rounds.repeat("start", 5, measure) == []
    assert asked == [0, 1]
    assert len(rounds.problems) == 2
