"""Which frame belongs to which part, and which part has waited long enough."""

from typing import Any

import numpy as np
import pytest

from edge.config import TriggerConfig
from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.core.frame import Frame
from edge.core.part import Part, PartFrame
from edge.pipeline.mailbox import Mailbox
from edge.pipeline.part_tracker import PartTracker
from tests.support.clock import FakeClock
from tests.support.frames import frame, solid


@pytest.fixture
def track(environment: Clock) -> Any:
    """`track(queue=…)`: a tracker of camera `top`."""

    def make(kind: str = "request", **options: Any) -> PartTracker:
        config = TriggerConfig.read({"kind": kind, **options})
        return PartTracker("top", config, environment)

    return make


def taken(shots: list[PartFrame]) -> list[tuple[str | None, int | None]]:
    """Which part got which frame; None for an end with a fault."""
    return [(s.part.name, s.frame.seq if s.frame else None) for s in shots]


def test_only_frames_from_after_the_trigger_count(track: Any, clock: FakeClock) -> None:
    """A frame captured before the trigger, or before its delay is over, is never used."""
    tracker = track(delay_ms=100)
    tracker.trigger("request", "p")
    early, due = frame(1, tick=clock.at - 0.001), frame(3, tick=clock.at + 0.1)
    assert tracker.match(early) == []
    assert tracker.match(frame(2, tick=clock.at + 0.0999)) == []
    assert taken(tracker.match(due)) == [("p", 3)]
    assert tracker.unused == 2


def test_a_part_is_noted_before_its_trigger_is_answered(environment: Clock) -> None:
    """An accepted part is noted before the trigger is answered; a refused part is not noted."""
    noted: list[str | None] = []
    config = TriggerConfig.read({"kind": "request", "queue": 0})
    tracker = PartTracker(
        "top", config, environment, on_accepted=lambda part: noted.append(part.name)
    )
    assert tracker.trigger("request", "a").name in noted
    with pytest.raises(TriggerError):
        tracker.trigger("request", "b")
    assert noted == ["a"]


def test_a_frame_without_a_trigger_is_of_no_part(track: Any) -> None:
    """Frames that no part waits for are counted, not judged."""
    tracker = track()
    assert tracker.match(frame(1)) == []
    assert tracker.unused == 1


def test_a_frame_serves_one_part_only(track: Any, clock: FakeClock) -> None:
    """Of two parts announced at once, the second gets the next frame, not the same."""
    tracker = track()
    for name in ("a", "b"):
        tracker.trigger("request", name)
    got = [tracker.match(frame(seq, tick=clock.at + seq)) for seq in (0, 0, 0)]
    assert [taken(shots) for shots in got] == [[("a", 0)], [("b", 0)], []]


def test_several_frames_go_to_the_part_ahead_first(track: Any, clock: FakeClock) -> None:
    """A part of two frames takes both before the part behind it gets one."""
    tracker = track(frames=2)
    for name in ("a", "b"):
        tracker.trigger("request", name)
    got = [taken(tracker.match(frame(seq, tick=clock.at + 0.1)))[0] for seq in range(4)]
    assert got == [("a", 0), ("a", 1), ("b", 2), ("b", 3)]


@pytest.mark.parametrize("queue", [0, 1, 3])
def test_the_queue_is_bounded_and_refusals_are_told(track: Any, queue: int) -> None:
    """One part is handled and `queue` wait; one more is refused with the reason, and counted."""
    tracker = track(queue=queue)
    for number in range(queue + 1):
        tracker.trigger("request", f"p{number}")
    with pytest.raises(TriggerError, match=rf"busy with {queue + 1} parts.*queue is {queue}") as e:
        tracker.trigger("request", "one more")
    assert e.value.kind == "busy"
    assert (tracker.triggered, tracker.refused, tracker.open) == (queue + 2, 1, queue + 1)
    assert tracker.overdue(1e9)[-1].part.name != "one more"


@pytest.mark.parametrize("kind", ["gpio", "presence"])
def test_a_refused_wire_gets_an_error(track: Any, kind: Any) -> None:
    """A gpio or presence trigger gets no answer: its refused part gets an `error` at once."""
    options = {"pin": 4} if kind == "gpio" else {}
    tracker = track(kind, queue=0, **options)
    tracker.trigger(kind)
    with pytest.raises(TriggerError):
        tracker.trigger(kind)
    (shot,) = tracker.overdue(0.0)
    assert shot.refused
    assert "busy" in str(shot.fault)
    assert tracker.overdue(0.0) == []


def test_a_part_that_is_open_is_not_opened_again(track: Any) -> None:
    """The same part id, while it waits for its verdict, is refused; afterwards it is welcome."""
    tracker = track()
    part = tracker.trigger("request", "P-7")
    with pytest.raises(TriggerError, match="'P-7' waits for its verdict already"):
        tracker.trigger("request", "P-7")
    tracker.close(part)
    assert tracker.trigger("request", "P-7").number == 3


def test_parts_without_names_are_told_by_number(track: Any) -> None:
    """Two parts without an id are two parts."""
    tracker = track()
    assert [tracker.trigger("request").number for _ in range(3)] == [1, 2, 3]


def test_a_camera_fault_ends_every_part_that_waits_for_frames(track: Any, clock: FakeClock) -> None:
    """A fault of the camera is the end of all parts that still need a frame, and only of those."""
    tracker = track()
    for name in ("a", "b", "c"):
        tracker.trigger("request", name)
    tracker.match(frame(1, tick=clock.at))
    shots = tracker.match(frame(2, fault="camera lost", tick=clock.at))
    assert taken(shots) == [("b", None), ("c", None)]
    assert {s.fault for s in shots} == {"camera lost"}
    assert tracker.match(frame(3, tick=clock.at)) == []


def test_a_frame_of_the_next_part_is_not_taken(track: Any, clock: FakeClock) -> None:
    """Past window_ms another part may be in view: the part ends, the frame is for the next."""
    tracker = track(window_ms=50)
    tracker.trigger("request", "a")
    clock.at += 0.06
    tracker.trigger("request", "b")
    shots = tracker.match(frame(1, tick=clock.at))
    assert taken(shots) == [("a", None), ("b", 1)]
    assert "0 of 1 frames came within 0.05 s of the trigger (trigger.window_ms)" in str(
        shots[0].fault
    )


def test_overdue_parts_say_what_was_missing(track: Any, clock: FakeClock) -> None:
    """At the deadline, not before, a part ends with the count of its frames and the camera's
    last fault; a part whose frames came says that they were not judged in time."""
    tracker = track(frames=2, deadline_ms=500)
    part = tracker.trigger("request", "a")
    tracker.match(frame(1, tick=clock.at))
    assert tracker.next_deadline() == clock.at + 0.5
    assert tracker.overdue(clock.at + 0.499) == []
    (shot,) = tracker.overdue(clock.at + 0.5)
    assert shot.fault == "1 of 2 frames came within 0.5 s of the trigger (trigger.deadline_ms)"
    tracker.match(frame(2, tick=clock.at))
    (shot,) = tracker.overdue(clock.at + 0.5)
    assert shot.fault == "not judged within 0.5 s of the trigger (trigger.deadline_ms)"
    tracker.close(part)
    assert tracker.overdue(clock.at + 9) == []
    assert tracker.next_deadline() is None


def test_a_dead_camera_is_named(track: Any, clock: FakeClock) -> None:
    """A part triggered while the camera is lost ends at its deadline with the reason."""
    tracker = track()
    tracker.match(frame(1, fault="v4l2: no such device"))
    tracker.trigger("request", "a")
    (shot,) = tracker.overdue(clock.at + 1)
    assert "(camera: v4l2: no such device)" in str(shot.fault)


def test_nothing_is_taken_after_the_door_is_shut(track: Any) -> None:
    """A trigger while the daemon stops is refused; what was open is handed out."""
    tracker = track()
    part = tracker.trigger("request", "a")
    assert tracker.stop_accepting() == [part]
    with pytest.raises(TriggerError, match="the daemon stops") as caught:
        tracker.trigger("request", "b")
    assert caught.value.kind == "stopping"


def test_a_frame_that_waits_owns_its_pixels(track: Any, clock: FakeClock) -> None:
    """A camera that writes into its buffer again does not change what is judged."""
    tracker = track()
    tracker.trigger("request", "a")
    ring = np.stack([solid(10), solid(20)])
    shots = tracker.match(Frame("top", 1, ring[0], 0.0, clock.at))
    ring[:] = 99
    assert shots[0].frame is not None
    assert shots[0].frame.pixels is not None
    assert shots[0].frame.pixels.max() < 99


def test_mailbox_hands_over_every_frame_of_a_part(track: Any, clock: FakeClock) -> None:
    """Frames of parts are never replaced by newer ones; the others never reach inspection."""
    tracker = track(frames=3)
    mailbox = Mailbox({"top": tracker})
    mailbox.offer(frame(1, tick=clock.at))
    tracker.trigger("request", "a")
    for seq in range(2, 9):
        mailbox.offer(frame(seq, tick=clock.at))
    mailbox.close()
    got = []
    while not mailbox.drained:
        shot = mailbox.take(0)
        assert isinstance(shot, PartFrame)
        assert shot.frame is not None
        got.append(shot.frame.seq)
    assert got == [2, 3, 4]
    assert (mailbox.replaced("top"), tracker.unused) == (0, 5)


def test_parts_and_other_cameras_take_turns(track: Any, clock: FakeClock) -> None:
    """A camera without a trigger is not starved by one with many parts, nor the other way round."""
    tracker = track(frames=4)
    mailbox = Mailbox({"top": tracker})
    tracker.trigger("request", "a")
    for seq in range(4):
        mailbox.offer(frame(seq, tick=clock.at))
    order = []
    for seq in range(3):
        mailbox.offer(frame(seq, camera="side"))
        for _ in range(2):
            order.append(type(mailbox.take(0)).__name__)
    assert order.count("Frame") == 3
    assert order.count("PartFrame") == 3


def test_a_wake_ends_the_wait(track: Any) -> None:
    """`wake` makes `take` return at once, so that a nearer deadline is heeded."""
    mailbox = Mailbox()
    mailbox.wake()
    assert mailbox.take(3600) is None


@pytest.fixture
def watched(track: Any) -> Any:
    """A tracker by presence, and a mailbox before it."""
    return track("presence", contrast=20, share=0.2)


def bright(seq: int, tick: float, part: bool) -> Frame:
    """The empty place is dark; a part fills its left half."""
    pixels = np.full((48, 64, 3), 30, np.uint8)
    if part:
        pixels[:, :32] = 200
    return Frame("top", seq, pixels, 0.0, tick)


def test_a_part_that_enters_is_judged_by_the_frame_that_shows_it(
    watched: PartTracker, clock: FakeClock
) -> None:
    """Presence needs no wire: each entry is one part, however long it stays."""
    parts: list[Part] = []
    for seq, there in enumerate([0, 0, 1, 1, 1, 0, 0, 1, 0]):
        clock.at += 0.1
        parts += [s.part for s in watched.match(bright(seq, clock.at, bool(there)))]
    assert [(p.kind, p.number) for p in parts] == [("presence", 1), ("presence", 2)]
    assert watched.open == 2


def test_a_new_background_is_learned(track: Any, clock: FakeClock) -> None:
    """What stays longer than relearn_s is the place itself; a slow change of light is no part."""
    tracker = track("presence", contrast=20, share=0.2, relearn_s=5)
    for seq in range(100):
        clock.at += 0.1
        tracker.match(bright(seq, clock.at, part=seq > 1))
    assert tracker.triggered == 1
    tracker.match(bright(100, clock.at, part=False))
    assert tracker.triggered == 2  # the place without it is new now
    light = track("presence", contrast=20, share=0.2)
    for level in range(30, 200):
        pixels = np.full((48, 64, 3), 30 + (level - 30) // 2, np.uint8)
        light.match(Frame("top", level, pixels, 0.0, clock.at))
    assert light.triggered == 0


def test_what_happens_outside_the_area_is_no_part(track: Any, clock: FakeClock) -> None:
    """Only the area is watched: a hand at the edge of the picture triggers nothing."""
    tracker = track("presence", contrast=20, share=0.2, area=[0.5, 0, 0.5, 1])
    for seq, there in enumerate([0, 1, 0, 1]):
        tracker.match(bright(seq, clock.at, bool(there)))
    assert tracker.triggered == 0
