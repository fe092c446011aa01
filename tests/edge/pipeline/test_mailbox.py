"""The first hand-over: one frame a camera, newest wins, nothing lost in silence."""

import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.clock import StopEvent
from edge.core.frame import Frame
from edge.core.part import PartFrame
from edge.pipeline.mailbox import Mailbox
from tests.support.clock import FakeClock, Patience
from tests.support.frames import frame, noise_frame
from tests.support.waiting import wait_until


def took(mailbox: Mailbox, timeout: float) -> Frame | None:
    """What `take` gives where no camera has a trigger."""
    taken = mailbox.take(timeout)
    assert not isinstance(taken, PartFrame)
    return taken


def test_newest_frame_wins_and_the_others_are_counted() -> None:
    """Of three frames that were not taken, the last stays and two are counted as replaced."""
    mailbox = Mailbox()
    for seq in (1, 2, 3):
        mailbox.offer(frame(seq))
    taken = took(mailbox, 0)
    assert taken is not None
    assert taken.seq == 3
    assert mailbox.replaced("top") == 2
    assert took(mailbox, 0) is None


def test_another_of_one_source_is_taken_unless_somebody_waits() -> None:
    """In order; the source that waited for room goes on. A camera that waits keeps its turn."""
    mailbox, stop = Mailbox(), StopEvent()
    for seq in range(1, 5):
        mailbox.put(frame(seq, camera="files"), stop)
    assert took(mailbox, 0) is not None
    seqs = [one.seq for one in (mailbox.take_more("files") for _ in range(2)) if one]
    assert seqs == [2, 3]
    for seq in (5, 6, 7):
        assert mailbox.put(frame(seq, camera="files"), stop)
    mailbox.offer(frame(1, camera="top"))
    assert mailbox.take_more("files") is None
    assert {took(mailbox, 0).camera for _ in range(2)} == {"files", "top"}  # type: ignore[union-attr]
    seqs = [one.seq for one in (mailbox.take_more("files") for _ in range(9)) if one]
    assert seqs == [5, 6, 7]
    assert mailbox.take_more("unknown") is None


def test_fault_is_never_replaced_by_a_picture() -> None:
    """A lost camera is heard of, even when it is back before anyone looked."""
    mailbox = Mailbox()
    mailbox.offer(frame(1, fault="lost"))
    mailbox.offer(frame(2))
    taken = took(mailbox, 0)
    assert taken is not None
    assert (taken.seq, taken.fault) == (1, "lost")
    assert mailbox.replaced("top") == 1


def test_fault_replaces_a_picture_and_an_older_fault() -> None:
    """The newest fault stays; what it replaced is counted."""
    mailbox = Mailbox()
    for seq, fault in ((1, None), (2, "lost"), (3, "lost again")):
        mailbox.offer(frame(seq, fault=fault))
    taken = took(mailbox, 0)
    assert taken is not None
    assert taken.fault == "lost again"
    assert mailbox.replaced("top") == 2


def test_cameras_do_not_replace_each_other() -> None:
    """Each camera has its own slot, and the oldest slot is served first."""
    mailbox = Mailbox()
    mailbox.offer(frame(1, camera="slow"))
    for seq in range(1, 6):
        mailbox.offer(frame(seq, camera="fast"))
    order = [took(mailbox, 0), took(mailbox, 0)]
    assert [f.camera for f in order if f] == ["slow", "fast"]
    assert (mailbox.replaced("slow"), mailbox.replaced("fast")) == (0, 4)
    assert mailbox.replaced("unknown") == 0


def test_fast_camera_does_not_starve_a_slow_one() -> None:
    """After each frame of a camera the other cameras have their turn."""
    mailbox = Mailbox()
    taken = []
    for seq in range(1, 7):
        mailbox.offer(frame(seq, camera="a"))
        mailbox.offer(frame(seq, camera="b"))
        got = took(mailbox, 0)
        assert got is not None
        taken.append(got.camera)
    assert taken == ["a", "b"] * 3


def test_put_waits_until_the_item_before_is_taken() -> None:
    """An item waits for room; nothing is replaced and the order is kept."""
    mailbox, stop = Mailbox(capacity=1), StopEvent()
    put: list[int] = []

    def run() -> None:
        for seq in (1, 2, 3):
            assert mailbox.put(frame(seq), stop)
            put.append(seq)

    thread = threading.Thread(target=run, name="putter")
    thread.start()
    taken = []
    for seq in (1, 2, 3):
        wait_until(lambda seq=seq: put == list(range(1, seq + 1)))  # type: ignore[misc]
        got = took(mailbox, 5)
        assert got is not None
        taken.append(got.seq)
    thread.join(5)
    assert taken == [1, 2, 3]
    assert mailbox.replaced("top") == 0


def test_put_gives_up_when_the_daemon_stops() -> None:
    """An item that finds no room before the stop is not put, and the one before stays."""
    mailbox, stop = Mailbox(capacity=1), StopEvent()
    assert mailbox.put(frame(1), stop)
    threading.Timer(0.02, stop.set).start()
    assert mailbox.put(frame(2), stop) is False
    got = took(mailbox, 0)
    assert got is not None
    assert got.seq == 1
    assert mailbox.put(frame(3), stop) is False


def test_closed_mailbox_hands_out_what_is_left() -> None:
    """After close the waiting frame is still judged, then the mailbox is drained."""
    mailbox = Mailbox()
    mailbox.offer(frame(1))
    mailbox.close()
    assert not mailbox.drained
    assert took(mailbox, 60) is not None
    assert mailbox.drained
    assert took(mailbox, 60) is None


def test_close_wakes_who_waits() -> None:
    """A take that waits ends at once when the mailbox closes."""
    mailbox, got = Mailbox(), []
    thread = threading.Thread(target=lambda: got.append(took(mailbox, 60)), name="taker")
    thread.start()
    mailbox.close()
    thread.join(5)
    assert got == [None]


@given(st.lists(st.sampled_from(["a", "b", "a fault", "take"]), max_size=40))
def test_every_frame_is_taken_counted_or_waiting(steps: list[str]) -> None:
    """Whatever the order: frames offered = taken + replaced + waiting, and no fault is lost to a
    picture."""
    mailbox = Mailbox()
    offered, taken = 0, []
    unheard: Frame | None = None
    for step in steps:
        if step == "take":
            got = took(mailbox, 0)
            if got is not None:
                taken.append(got)
                unheard = None if got is unheard else unheard
        else:
            offered += 1
            sent = frame(offered, camera=step[0], fault="lost" if "fault" in step else None)
            mailbox.offer(sent)
            unheard = sent if sent.fault else unheard
    mailbox.close()
    waiting = []
    while (got := took(mailbox, 0)) is not None:
        waiting.append(got)
    assert offered == len(taken) + len(waiting) + mailbox.replaced("a") + mailbox.replaced("b")
    assert unheard is None or unheard in waiting


def test_waiting_put_ends_under_a_turned_clock(clock: FakeClock) -> None:
    """`put` asks the stop it is given, whatever clock that runs on."""
    mailbox, patience = Mailbox(capacity=1), Patience(clock)
    assert mailbox.put(frame(1), patience)
    patience.set()
    assert mailbox.put(frame(2), patience) is False


def test_a_few_items_may_wait_and_sources_are_taken_in_turn() -> None:
    """Two sources put what there is room for; each is taken from in turn and in its own order."""
    mailbox, stop = Mailbox(capacity=3), StopEvent()
    for seq in (1, 2, 3):
        assert mailbox.put(frame(seq, camera="a"), stop)
    for seq in (1, 2):
        assert mailbox.put(frame(seq, camera="b"), stop)
    taken = []
    while (got := took(mailbox, 0)) is not None:
        taken.append((got.camera, got.seq))
    assert taken == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)]


class ObservedCondition(threading.Condition):
    """Calls the test at each notification, and instead of each wait."""

    def __init__(self) -> None:
        super().__init__()
        self.on_notify: Callable[[], None] = lambda: None
        self.on_wait: Callable[[], None] | None = None

    def notify_all(self) -> None:
        self.on_notify()
        super().notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        if self.on_wait is None:
            return super().wait(timeout)
        self.on_wait()
        return True


def test_a_source_is_woken_for_several_items_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiting source is woken when half of its queue is free, and then puts several files."""
    condition, stop = ObservedCondition(), StopEvent()
    with monkeypatch.context() as patched:
        patched.setattr(threading, "Condition", lambda: condition)
        mailbox = Mailbox(capacity=4)
    put: list[int] = []

    def run() -> None:
        for seq in range(1, 9):
            assert mailbox.put(frame(seq), stop)
            put.append(seq)

    thread = threading.Thread(target=run, name="putter")
    thread.start()
    wait_until(lambda: len(put) == 4)
    woken: list[int] = []
    condition.on_notify = lambda: woken.append(len(put))
    assert took(mailbox, 0) is not None
    assert woken == []
    assert took(mailbox, 0) is not None
    assert woken
    wait_until(lambda: len(put) == 6)
    while len(put) < 8 or mailbox.has_frame("top"):
        took(mailbox, 0.01)
    thread.join(5)
    assert put == list(range(1, 9))


def test_large_pictures_wait_by_twos(monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue is also limited by bytes: of pictures of 3 MB it takes two. The source is woken as
    soon as one was taken, so that it reads while the worker judges."""
    condition, stop = ObservedCondition(), StopEvent()
    with monkeypatch.context() as patched:
        patched.setattr(threading, "Condition", lambda: condition)
        mailbox = Mailbox()
    taken: list[int] = []
    woken: list[int] = []

    def while_it_waits() -> None:
        got = mailbox.take_more("top") if len(taken) % 2 else took(mailbox, 0)
        assert got is not None
        taken.append(got.seq)

    condition.on_wait = while_it_waits
    condition.on_notify = lambda: woken.append(len(taken))
    for seq, before in ((1, 0), (2, 0), (3, 1), (4, 2), (5, 3)):
        assert mailbox.put(noise_frame(seq, 1024), stop)
        assert taken == list(range(1, before + 1))
    assert woken == [0, 0, 0, 1, 1, 2, 2, 3]  # each put, and each taking before it


@pytest.mark.slow
def test_one_picture_larger_than_the_room_waits_alone() -> None:
    """Whatever its size, one is always taken in."""
    mailbox, stop = Mailbox(), StopEvent()
    assert mailbox.put(noise_frame(1, 2048), stop)
    stop.set()
    assert not mailbox.put(noise_frame(2, 2048), stop)
    assert took(mailbox, 0) is not None
    assert took(mailbox, 0) is None


def test_a_closed_inlet_lets_nothing_in() -> None:
    """A driver that returns after its camera was replaced hands nothing over; another does."""
    mailbox, stop = Mailbox(), StopEvent()
    late, new = mailbox.inlet(), mailbox.inlet()
    late.close()
    late.offer(noise_frame(1, 8))
    assert not late.put(noise_frame(2, 8), stop)
    assert took(mailbox, 0) is None
    new.offer(noise_frame(3, 8))
    taken = took(mailbox, 0)
    assert taken is not None
    assert taken.seq == 3
