"""Wires that show pass, fail, busy and alive, read through gpiozero's mock pins."""

import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.config import Config
from edge.config.trigger import GpioOutputsConfig, StationOutputsConfig
from edge.core.clock import Clock, StopEvent
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.trigger_sources import PinTrigger
from edge.plant.plant import PlantInterface, VerdictDelivery
from edge.plant.signal_outputs import SignalOutputs, build_outputs
from tests.support.clock import FakeClock
from tests.support.frames import frame
from tests.support.verdicts import verdict
from tests.support.waiting import wait_until

MakeTracker = Callable[..., tuple[PartTracker, PinTrigger, Callable[[bool], None]]]


@pytest.fixture
def wired(board: Any, environment: Clock) -> Callable[..., Any]:
    """`wired(outputs={…}, station={…})`: the outputs, and how to read a pin."""

    def make(
        outputs: dict[str, Any], **station: Any
    ) -> tuple[SignalOutputs, Callable[[int], bool]]:
        config = Config.read(
            {
                "station": "s",
                "model": {"path": "m"},
                "cameras": [
                    {
                        "id": "top",
                        "source": "test:",
                        "trigger": {"kind": "request"},
                        "outputs": outputs,
                    }
                ],
                "decision": {"outputs": station.get("pins", {})},
            }
        )
        trackers = {"top": PartTracker("top", config.cameras[0].trigger, environment)}
        options = {"alive": lambda: True, **station}
        options.pop("pins", None)
        made = build_outputs(config, environment, trackers=trackers, factory=board, **options)
        assert made is not None
        for pin in made.pins:
            pin.open()
        made.tracker = trackers["top"]  # type: ignore[attr-defined]  # for the test alone
        return made, lambda pin: bool(board.pin(pin).state)

    return make


PINS = {"pass": 17, "fail": 27, "pulse_ms": 100}


@pytest.mark.parametrize(
    ("outcome", "extra", "pin"),
    [
        ("pass", {}, 17),
        ("fail", {}, 27),
        ("review", {}, 27),
        ("error", {}, 27),
        ("error", {"error": 5}, 5),
        ("review", {"review": 6}, 6),
    ],
)
def test_a_verdict_is_a_pulse(
    outcome: Any, extra: dict[str, int], pin: int, wired: Callable[..., Any], clock: FakeClock
) -> None:
    """Each verdict pulses one wire for pulse_ms; what is not `pass` never pulses `pass`."""
    outputs, level = wired({**PINS, **extra})
    outputs.start_pulse(verdict(outcome))
    pins = [17, 27, *extra.values()]
    assert [p for p in pins if level(p)] == [pin]
    clock.at += 0.099
    outputs.run_once()
    assert level(pin)
    clock.at += 0.001
    outputs.run_once()
    assert not any(level(p) for p in pins)


def test_only_the_newest_verdict_is_on_the_wires(
    wired: Callable[..., Any], clock: FakeClock
) -> None:
    """A pass during the pulse of a fail ends it: never both wires are active."""
    outputs, level = wired(PINS)
    outputs.start_pulse(verdict("pass"))
    clock.at += 0.05
    outputs.start_pulse(verdict("fail"))
    assert (level(17), level(27)) == (False, True)
    clock.at += 0.06
    outputs.run_once()
    assert level(27)


def test_without_a_pin_nothing_is_shown_as_pass(wired: Callable[..., Any]) -> None:
    """With a pass wire only, a fail pulses nothing."""
    outputs, level = wired({"pass": 17})
    for outcome in ("fail", "review", "error"):
        outputs.start_pulse(verdict(outcome))
    assert not level(17)


def test_busy_lasts_from_trigger_to_verdict(wired: Callable[..., Any]) -> None:
    """`busy` is on while a part waits."""
    outputs, level = wired({"busy": 22})
    outputs.run_once()
    assert not level(22)
    part = outputs.tracker.trigger("request", "a")
    outputs.run_once()
    assert level(22)
    outputs.tracker.close(part)
    outputs.run_once()
    assert not level(22)


def test_alive_beats_only_with_progress(wired: Callable[..., Any], clock: FakeClock) -> None:
    """The beat changes its level twice a second; without progress it stands still."""
    alive, raised = [True], [False]
    outputs, level = wired(
        {}, pins={"alive": 5, "alarm": 6}, alive=lambda: alive[0], alarm=lambda: raised[0]
    )
    seen = []
    for step in range(8):
        alive[0] = step < 4
        outputs.run_once()
        seen.append(level(5))
        clock.at += 0.5
    assert seen == [True, False, True, False, False, False, False, False]
    for raised[0] in (True, False):
        outputs.run_once()
        assert level(6) is raised[0]


def test_active_low_outputs_idle_high(wired: Callable[..., Any]) -> None:
    """With active_high: false a wire is high until its verdict."""
    outputs, level = wired({**PINS, "active_high": False})
    assert level(17)
    outputs.start_pulse(verdict("pass"))
    assert not level(17)


def test_the_thread_ends_pulses_and_leaves_wires_idle(
    wired: Callable[..., Any], clock: FakeClock
) -> None:
    """Its thread ends a pulse at its time; closing leaves every wire idle."""
    outputs, level = wired(PINS)
    outputs.start()
    outputs.start_pulse(verdict("pass"))
    assert level(17)
    clock.at += 1
    outputs.wake()
    wait_until(lambda: not level(17))
    outputs.start_pulse(verdict("fail"))
    outputs.close()
    assert not level(27)
    assert "outputs" not in [thread.name for thread in threading.enumerate()]


def test_no_pins_no_outputs(environment: Clock) -> None:
    """Without a pin in config.yaml gpiozero is not even asked for."""
    config = Config.read(
        {"station": "s", "model": {"path": "m"}, "cameras": [{"id": "a", "source": "test:"}]}
    )
    assert build_outputs(config, environment, trackers={}, alive=lambda: True) is None


def test_from_the_sensor_to_the_valve(board: Any, environment: Clock, clock: FakeClock) -> None:
    """All of the plant's side on mock pins: an edge announces a part; a verdict
    pulses its wire before it is stored; three fails raise the alarm; released, every wire
    is idle and its pin free for what config.yaml says next."""
    config = Config.read(
        {
            "station": "line1",
            "model": {"path": "m"},
            "cameras": [
                {
                    "id": "top",
                    "source": "test:",
                    "trigger": {"kind": "gpio", "pin": 4},
                    "outputs": {**PINS, "busy": 22},
                },
                {"id": "side", "source": "test:", "trigger": {"kind": "request"}},
            ],
            "decision": {"alarm": {"fails": 3}, "outputs": {"alarm": 6}},
        }
    )
    trackers = {c.id: PartTracker(c.id, c.trigger, environment) for c in config.cameras}
    announced: list[str] = []

    def announce(name: str, body: bytes) -> None:
        announced.append(f"{name} {json.loads(body)['state']}")

    plant = PlantInterface(
        config,
        "a" * 32,
        trackers,
        announce,
        environment,
        alive=lambda: True,
        factory=board,
    )
    triggers, go = PinTrigger(trackers["top"], environment.tick, board), threading.Event()
    triggers.open()
    triggers.start(go, StopEvent())
    go.set()
    assert plant.outputs is not None
    clock.at += 1
    board.pin(4).drive_high()
    plant.outputs.run_once()
    assert (trackers["top"].open, board.pin(22).state) == (1, 1)
    assert announced == ["alarm clear"]
    stored: list[tuple[str, int]] = []
    fail = {"pin": 27}
    writer = SimpleNamespace(
        submit=lambda v: stored.append((v.verdict, board.pin(fail["pin"]).state))
    )
    kept = SimpleNamespace()
    delivery = VerdictDelivery(plant, cast(Any, writer), cast(Any, kept), cast(Any, kept))
    for _ in range(3):
        delivery.deliver(verdict("fail"))
    assert stored == [("fail", 1)] * 3
    assert announced[-1] == "alarm raised"
    plant.outputs.run_once()
    assert board.pin(6).state
    moved = config.replace(
        cameras=(config.cameras[0].replace(outputs=GpioOutputsConfig(fail=6)), config.cameras[1]),
        decision=config.decision.replace(outputs=StationOutputsConfig(alarm=27)),
    )
    outputs = plant.build_outputs(moved)
    assert outputs is not None
    with ExitStack() as undo:
        replaced = plant.outputs
        plant.adopt(outputs, outputs.pins, undo)
        undo.pop_all()
    replaced.close()
    wait_until(lambda: board.pin(27).state)
    assert board.pin(27).state, "the alarm is still raised, and shown on its new wire"
    fail["pin"] = 6
    delivery.deliver(verdict("fail"))
    assert stored[-1] == ("fail", 1)
    plant.release()
    triggers.close()
    assert not board.pin(6).state


class LineError(Exception):
    """As lgpio's own exceptions: neither OSError nor GPIOZeroError."""


def break_pin(board: Any, number: int, monkeypatch: pytest.MonkeyPatch, *levels: int) -> None:
    """Writing one of these levels to a mock pin raises; all levels when none is given."""
    pin = board.pin(number)
    state = type(pin).state

    def fail(self: Any, value: int) -> None:
        if self is pin and (not levels or value in levels):
            raise LineError("the line is gone")
        state.fset(self, value)

    monkeypatch.setattr(type(pin), "state", property(state.fget, fail))


def test_a_pin_that_fails_costs_no_verdict(
    wired: Callable[..., Any], board: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict is stored. The fault names the pin until a minute after it works again, and the
    next pulse after the repair is on the wire."""
    outputs, level = wired(PINS)
    stored: list[str] = []
    writer, kept = SimpleNamespace(submit=lambda v: stored.append(v.verdict)), SimpleNamespace()
    plant = SimpleNamespace(
        signal=outputs.start_pulse, count=lambda _verdict: None, outputs=outputs, pins=outputs.pins
    )
    delivery = VerdictDelivery(
        cast(Any, plant), cast(Any, writer), cast(Any, kept), cast(Any, kept)
    )
    with monkeypatch.context() as broken:
        break_pin(board, 27, broken)
        for _ in range(3):
            delivery.deliver(verdict("fail"))
            outputs.run_once()
        assert stored == ["fail"] * 3
        (fault,) = delivery.pin_faults()
        assert "outputs.fail 27" in fault
        assert delivery.pin_failures >= 1
        assert outputs.run_once() == pytest.approx(1.0), "it is tried again every second"
    outputs.run_once()
    delivery.deliver(verdict("fail"))
    assert level(27)
    assert delivery.pin_faults() == [fault]
    clock.at += 61
    assert delivery.pin_faults() == []


def test_pass_does_not_join_an_answer_that_is_stuck(
    wired: Callable[..., Any], board: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wire of `fail` cannot be set idle: `pass` stays idle, and the wire is tried again."""
    outputs, level = wired(PINS)
    outputs.start_pulse(verdict("fail"))
    with monkeypatch.context() as broken:
        break_pin(board, 27, broken, 0)
        outputs.start_pulse(verdict("pass"))
        assert not level(17)
    clock.at += 1
    outputs.run_once()
    assert not level(27)
    outputs.start_pulse(verdict("pass"))
    assert level(17)


def test_a_raised_alarm_is_on_its_wire_whatever_happened(
    wired: Callable[..., Any], board: Any, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Raised before the pin works, changed by another program, or suspended meanwhile: the next
    look sets the level."""
    raised = [True]
    outputs, level = wired({}, pins={"alarm": 6}, alarm=lambda: raised[0])
    with monkeypatch.context() as broken:
        break_pin(board, 6, broken)
        outputs.run_once()
    assert outputs.run_once() == pytest.approx(5.0)
    assert level(6)
    board.pin(6).state = 0
    outputs.run_once()
    assert level(6)
    outputs.suspend()
    outputs.resume()
    outputs.run_once()
    assert level(6)
    raised[0] = False
    outputs.run_once()
    assert not level(6)


@pytest.mark.parametrize("broken", ["signal", "count", "archive", "broker"])
def test_no_accessory_costs_a_verdict(broken: str, clock: FakeClock) -> None:
    """Each one fails in turn: the verdict is stored, the others are done, the fault names it."""
    done: list[str] = []

    def does(name: str) -> Callable[..., None]:
        def act(*_: object) -> None:
            if name == broken:
                raise LineError(name)
            done.append(name)

        return act

    plant = SimpleNamespace(signal=does("signal"), count=does("count"))
    delivery = VerdictDelivery(
        cast(Any, plant),
        cast(Any, SimpleNamespace(submit=does("stored"))),
        cast(Any, SimpleNamespace(keep=does("archive"))),
        cast(Any, SimpleNamespace(offer=does("broker"))),
        clock.tick,
    )
    delivery.deliver(verdict("fail"))
    delivery.keep([frame()], verdict("fail"))
    assert done == [n for n in ("signal", "stored", "count", "archive", "broker") if n != broken]
    assert delivery.accessory_failures == 1
    assert broken in delivery.accessory_faults()[0]
    clock.at += 601
    assert delivery.accessory_faults() == []
