"""Trigger requests: which camera, which part, and only once."""

from typing import Any

import pytest

from edge.config import TriggerConfig
from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.pipeline.part_tracker import PartTracker
from edge.plant.trigger_requests import TriggerRequests
from tests.support.clock import FakeClock


def trigger_requests(
    environment: Clock, *cameras: str
) -> tuple[TriggerRequests, dict[str, PartTracker]]:
    """Trigger requests for cameras by request, and one camera by gpio."""
    by_request = TriggerConfig.read({"kind": "request", "queue": 9})
    trackers = {name: PartTracker(name, by_request, environment) for name in cameras}
    wired = TriggerConfig.read({"kind": "gpio", "pin": 4})
    trackers["wired"] = PartTracker("wired", wired, environment)
    return TriggerRequests(trackers, environment), trackers


def test_the_only_camera_need_not_be_named(environment: Clock) -> None:
    """With one camera by request `camera` may be left out; with more it may not."""
    single, trackers = trigger_requests(environment, "top")
    assert single.handle("1", {"part": "P"}) == {
        "camera": "top",
        "part": "P",
        "number": 1,
        "deadline_ms": 1000.0,
        "recipe": None,
        "duplicate": False,
    }
    assert trackers["top"].open == 1
    several, _ = trigger_requests(environment, "top", "side")
    with pytest.raises(TriggerError, match=r"name one of them \(by request: side, top\)"):
        several.handle("1", {})


@pytest.mark.parametrize("camera", ["unknown", "wired", ""])
def test_a_camera_that_is_not_by_request_is_not_triggered(camera: str, environment: Clock) -> None:
    """A request for a camera that waits for a wire, or does not exist, is refused by name."""
    refuses, trackers = trigger_requests(environment, "top")
    with pytest.raises(TriggerError, match=f"{camera!r} is not triggered by request") as caught:
        refuses.handle("1", {"camera": camera})
    assert caught.value.kind == "unknown"
    assert [t.triggered for t in trackers.values()] == [0, 0]


def test_a_request_that_comes_twice_is_one_part(environment: Clock, clock: FakeClock) -> None:
    """Same transaction, camera and part within 30 s: one part, the same answer. Any other is new;
    without a transaction every request is."""
    one, trackers = trigger_requests(environment, "top", "side")
    first = one.handle("t", {"camera": "top", "part": "P"})
    assert one.handle("t", {"camera": "top", "part": "P"}) == {**first, "duplicate": True}
    assert one.handle("t", {"camera": "side", "part": "P"})["duplicate"] is False
    assert one.handle("t", {"camera": "top", "part": "Q"})["number"] == 2
    assert one.handle(None, {"camera": "top"})["number"] == 3
    assert one.handle(None, {"camera": "top"})["number"] == 4
    clock.at += 31
    with pytest.raises(TriggerError, match="waits for its verdict already"):
        one.handle("t", {"camera": "top", "part": "P"})
    assert trackers["top"].open == 4


def test_a_refused_request_may_come_again(environment: Clock) -> None:
    """A refusal is not remembered: the same transaction is taken once there is room."""
    config = TriggerConfig.read({"kind": "request", "queue": 0})
    tracker = PartTracker("top", config, environment)
    one = TriggerRequests({"top": tracker}, environment)
    one.handle("a", {"part": "A"})
    with pytest.raises(TriggerError, match="busy"):
        one.handle("b", {"part": "B"})
    tracker.close(tracker.stop_accepting()[0])


@pytest.mark.parametrize(
    "fields", [{"part": 5}, {"part": ""}, {"part": "x" * 300}, {"camera": []}, {"surplus": 1}]
)
def test_what_is_no_trigger_is_refused(fields: dict[str, Any], environment: Clock) -> None:
    """A key that is wrong is named with its value."""
    refuses, trackers = trigger_requests(environment, "top")
    with pytest.raises(TriggerError, match=next(iter(fields))) as caught:
        refuses.handle("1", fields)
    assert caught.value.kind == "malformed"
    assert trackers["top"].triggered == 0
