"""Pins, pressed and read through gpiozero's own mock of a Raspberry Pi."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.config import TriggerConfig
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EdgeInspectError
from edge.pipeline.edge_pin import Debounce
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.trigger_sources import IntervalTrigger, PinTrigger, trigger_source
from tests.conftest import Require
from tests.support.clock import FakeClock, Patience

MakeTracker = Callable[..., tuple[PartTracker, PinTrigger, Callable[[bool], None]]]


def start(triggers: PinTrigger) -> None:
    """Opens the pin; its edges count from now on."""
    go = threading.Event()
    go.set()
    triggers.open()
    triggers.start(go, StopEvent())


@pytest.fixture
def tracker_on_pin(board: Any, environment: Clock, clock: FakeClock) -> MakeTracker:
    """`tracker_on_pin(pull=…, edge=…)`: a tracker, its triggers, and what moves the pin's level."""

    def make(**options: str) -> tuple[PartTracker, PinTrigger, Callable[[bool], None]]:
        config = TriggerConfig.read({"kind": "gpio", "pin": 4, **options})
        tracker = PartTracker("top", config, environment)
        triggers = PinTrigger(tracker, environment.tick, board)
        start(triggers)

        def move(level: bool) -> None:
            clock.at += 1
            pin = board.pin(4)
            (pin.drive_high if level else pin.drive_low)()

        return tracker, triggers, move

    return make


@pytest.mark.parametrize(
    ("pull", "edge", "idle"),
    [
        ("down", "rising", False),
        ("up", "falling", True),
        ("up", "rising", True),
        ("none", "rising", False),
        ("none", "falling", True),
    ],
)
def test_an_edge_is_one_part(
    pull: str, edge: str, idle: bool, board: Any, tracker_on_pin: MakeTracker
) -> None:
    """A sensor that goes and comes back triggers at the chosen edge, once; a closed pin no more."""
    tracker, triggers, move = tracker_on_pin(pull=pull, edge=edge)
    if pull == "none":
        move(idle)
    fired = []
    for level in (not idle, idle):
        move(level)
        fired.append(tracker.triggered)
    assert fired == ([1, 1] if (edge == "rising") is not idle else [0, 1])
    triggers.close()
    for level in (not idle, idle):
        move(level)
    assert tracker.triggered == 1


def test_bounce_is_not_a_part() -> None:
    """A contact that chatters when it closes, and again when it opens, is one edge."""
    debounce = Debounce("rising", 0.01)
    counted = []
    for tick, edge in [
        (1.000, "rising"),
        (1.001, "falling"),
        (1.002, "rising"),
        (1.200, "falling"),
        (1.201, "rising"),
        (1.202, "falling"),
        (1.500, "rising"),
    ]:
        if debounce.counts(edge, tick):  # type: ignore[arg-type]
            counted.append(tick)
    assert counted == [1.0, 1.5]


def test_a_refusal_does_not_end_gpiozeros_thread(board: Any, clock: FakeClock) -> None:
    """A trigger that is refused is logged; the next edge is heard."""
    fired: list[float] = []

    def refuse(_kind: str) -> None:
        fired.append(clock.at)
        raise EdgeInspectError("busy")

    config = TriggerConfig.read({"kind": "gpio", "pin": 4})
    tracker = cast(PartTracker, SimpleNamespace(config=config, trigger=refuse))
    pin = PinTrigger(tracker, clock.tick, board)
    start(pin)
    for level in (True, False, True):
        clock.at += 1
        (board.pin(4).drive_high if level else board.pin(4).drive_low)()
    assert len(fired) == 2
    pin.close()


@pytest.mark.filterwarnings("ignore:Falling back from")
def test_a_machine_without_pins_says_so(require: Require, environment: Clock) -> None:
    """On a machine that has no GPIO the daemon does not start, and says what to do."""
    require("gpiozero", "pip install '.[test]'")
    config = TriggerConfig.read({"kind": "gpio", "pin": 4})
    source = trigger_source(PartTracker("top", config, environment), environment)
    assert source is not None
    with pytest.raises(EdgeInspectError, match=r"trigger\.pin 4: .*remove the pin|choose another"):
        source.open()


def test_intervals_keep_their_grid(environment: Clock, clock: FakeClock) -> None:
    """A part every two seconds; one that is not taken is counted, and time lost is not caught up
    by a burst."""
    config = TriggerConfig.read({"kind": "interval", "every_s": 2, "queue": 2})
    tracker = PartTracker("top", config, environment)
    stop = Patience(clock, most=5)
    IntervalTrigger(tracker, environment).run(stop)
    assert stop.waits == [2, 2, 2, 2, 2]
    assert (tracker.triggered, tracker.refused) == (4, 1)

    tracker = PartTracker("top", config, environment)
    stop = Patience(clock, most=4)
    stop.on_wait = lambda n: setattr(clock, "at", clock.at + (9.5 if n == 1 else 0))
    IntervalTrigger(tracker, environment).run(stop)
    assert stop.waits[1] == pytest.approx(0.5)
    assert tracker.triggered == 3
