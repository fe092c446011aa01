"""One verdict a part: by the thousand, with faults, delays and settings by chance."""

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.edge.pipeline.triggered_camera import TriggeredCamera

pytestmark = pytest.mark.slow


def play(seed: int, parts: int, trigger: dict[str, Any]) -> tuple[TriggeredCamera, list[str]]:
    """A camera at about 20 parts a second with bursts, frames that fail, come late or not at all,
    and a model that is slow or fails; stopped in the middle. Returns the names that were taken."""
    chance = random.Random(seed)
    camera = TriggeredCamera(trigger)
    accepted = []
    for number in range(parts):
        camera.clock.at += chance.choice([0.0, 0.0, chance.expovariate(20)])
        if camera.trigger(f"P-{number}"):
            accepted.append(f"P-{number}")
        for _ in range(chance.choice([0, 1, 2, 3, 6])):
            camera.clock.at += chance.choice([0.0, 0.008, 0.03])
            camera.model.fails = chance.random() < 0.02
            camera.model.takes_s = chance.choice([0.002, 0.002, 0.01, 0.3])
            fault = "camera lost" if chance.random() < 0.03 else None
            camera.show(chance.choice([0, 0, 0, 250]), fault=fault)
            if chance.random() < 0.8:
                camera.judge()
        if chance.random() < 0.02:
            camera.clock.at += 1.0  # the whole box hangs
    camera.stop()
    return camera, accepted


def check(camera: TriggeredCamera, accepted: list[str]) -> None:
    """Exactly one verdict for each part that was taken, none for any other; what is not `error`
    was captured after its trigger and judged before its deadline."""
    counts = Counter(v.part for v in camera.verdicts)
    assert set(counts) == set(accepted)
    assert set(counts.values()) <= {1}
    assert camera.tracker.open == 0
    assert camera.tracker.triggered == len(accepted) + camera.tracker.refused
    used: Counter[int] = Counter()
    for verdict in camera.verdicts:
        part = verdict.trigger
        assert part is not None
        assert verdict.trigger_to_verdict_ms is not None
        if verdict.verdict != "error":
            used[verdict.frame_seq] += 1
            assert verdict.captured_at >= part.due
            assert verdict.trigger_to_verdict_ms <= camera.tracker.config.deadline_ms + 1e-6
            assert len(verdict.rule.scores) == part.frames
        else:
            assert verdict.reason
            assert verdict.score is None
    assert set(used.values()) <= {1}


def test_ten_thousand_parts_get_one_verdict_each() -> None:
    """10,000 triggers in bursts, with faults and delays: one verdict a part, none missing, none
    double, deadline misses are `error`."""
    camera, accepted = play(7, 10_000, {"deadline_ms": 250, "delay_ms": 5, "queue": 2})
    check(camera, accepted)
    outcomes = Counter(v.verdict for v in camera.verdicts)
    assert min(outcomes["pass"], outcomes["fail"], outcomes["error"]) > 500
    assert camera.tracker.refused > 100


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.fixed_dictionaries(
        {"deadline_ms": st.sampled_from([20, 100, 1000]), "queue": st.integers(0, 5)},
        optional={
            "delay_ms": st.sampled_from([0, 3, 19]),
            "window_ms": st.sampled_from([1, 15, 90]),
        },
    ),
    st.sampled_from([{}, {"frames": 2, "rule": "mean"}, {"frames": 3, "rule": "k_of_n", "k": 2}]),
)
def test_one_verdict_a_part_whatever_the_settings(
    seed: int, times: dict[str, Any], rule: dict[str, Any]
) -> None:
    """The promise holds for every deadline, queue, delay, window and rule."""
    camera, accepted = play(seed, 60, {**times, **rule})
    check(camera, accepted)
