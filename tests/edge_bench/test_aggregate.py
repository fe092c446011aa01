"""Median ratios, and rounds with invalid runs."""

import pytest

from edge_bench.aggregate import median_ratio
from edge_bench.rounds import InvalidRunError, Rounds


def test_ratios_are_taken_per_round() -> None:
    """A round in which the whole machine was slow does not change the ratio."""
    assert median_ratio([90, 9, 80], [100, 10, 100]) == pytest.approx(0.9)


@pytest.mark.parametrize("invalid", [0, 1, 2])
def test_an_invalid_round_is_reported_and_left_out(invalid: int) -> None:
    """The invalid one of three rounds becomes a problem; the others are returned."""

    def measure(number: int) -> int:
        if number == invalid:
            raise InvalidRunError("2 verdicts were errors")
        return number

    rounds = Rounds()
    assert rounds.repeat("throughput vga", 3, measure) == [n for n in range(3) if n != invalid]
    assert rounds.problems == [f"throughput vga, round {invalid + 1}: 2 verdicts were errors"]


def test_two_invalid_rounds_at_the_start_end_the_measurement() -> None:
    """When the first two rounds are invalid, no further round runs."""
    calls = []

    def measure(number: int) -> None:
        calls.append(number)
        raise InvalidRunError("the daemon ended")

    rounds = Rounds()
    assert rounds.repeat("start", 5, measure) == []
    assert calls == [0, 1]
    assert len(rounds.problems) == 2
