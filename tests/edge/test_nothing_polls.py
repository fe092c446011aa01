"""An idle thread sleeps until its event comes, or shows progress every few seconds. Each test
records for how long a thread is ready to sleep, and shows that its event ends the sleep."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from edge.capture.sources.folder import FolderCamera
from edge.capture.sources.inotify import FolderWatch
from edge.config import ArchiveConfig
from edge.config.mqtt import SnapshotsConfig
from edge.core.clock import Clock, StopEvent
from edge.core.gpio import OutputPin
from edge.mqtt.breaking_messages import SentMessage
from edge.mqtt.event_queue import EventQueue
from edge.mqtt.sender import InFlightWindow
from edge.mqtt.snapshots import SnapshotSender
from edge.plant.signal_outputs import SignalOutputs
from edge.storage.evidence.archive import Archive, NoLabels
from edge.storage.outbox.store import OutboxStore
from edge.storage.outbox.writer import OutboxWriter
from tests.edge.mqtt.virtual_time import PublisherSimulation
from tests.support.clock import FakeClock, Patience
from tests.support.snapshot_broker import PICTURE, SnapshotBroker
from tests.support.verdicts import a_verdict, verdict
from tests.support.waiting import wait_until

BEAT_S = 5.0
DEADLINE_S = 60.0
Sleeps = list[float | None]


Kind = Literal["Condition", "Queue", "SimpleQueue"]


@contextlib.contextmanager
def recorded_sleeps(kind: Kind) -> Iterator[Sleeps]:
    """Records for how long objects may sleep that are created inside: each wait of a condition, or
    each `get` of a queue. Recording goes on after the end of the block."""
    sleeps: Sleeps = []

    class Condition(threading.Condition):
        def wait(self, timeout: float | None = None) -> bool:
            sleeps.append(timeout)
            return super().wait(timeout)

    class Queue(queue.Queue[Any]):
        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if block:
                sleeps.append(timeout)
            return super().get(block, timeout)

    with pytest.MonkeyPatch.context() as patched:
        if kind == "Condition":
            patched.setattr(threading, kind, Condition)
        else:
            patched.setattr(queue, kind, Queue)
        yield sleeps


def ended(thread: threading.Thread) -> bool:
    """Whether it ends by itself."""
    thread.join(DEADLINE_S)
    return not thread.is_alive()


def test_a_watched_folder_is_heard_of(clock: FakeClock, tmp_path: Path) -> None:
    """An empty folder that is watched is looked at every 2 s, for network drives, and no wait is
    shorter once what lay there at the start has rested."""
    patience = Patience(clock, 30)
    camera = FolderCamera(
        tmp_path, lambda _: False, Clock(tick=clock.tick), watch=FolderWatch.on(tmp_path)
    )
    assert camera.read(patience) is None
    camera.close()
    assert min(patience.waits[4:]) == pytest.approx(2.0)


def test_a_file_ends_the_sleep_before_a_watched_folder(tmp_path: Path) -> None:
    """The kernel's word is heard while the thread waits, not at its next look."""
    watch = FolderWatch.on(tmp_path)
    assert watch is not None
    waiting = threading.Thread(target=StopEvent().wait, args=(3600, watch.fileno()))
    waiting.start()
    (tmp_path / "a.png").write_bytes(b"1")
    assert ended(waiting)
    watch.close()


@pytest.mark.slow
def test_the_outbox_writer_sleeps_until_something_is_due(tmp_path: Path) -> None:
    """Without work it wakes to show progress alone; acknowledgements are gathered for a second in
    one sleep, not in slices."""
    store = OutboxStore(tmp_path / "outbox.db", 2**24, 3600.0, Clock())
    with recorded_sleeps("Condition") as recorded:
        writer = OutboxWriter(store, Clock())
    thread = threading.Thread(target=writer.run)
    thread.start()
    wait_until(lambda: len(recorded) == 1)
    writer.submit(a_verdict())
    wait_until(lambda: writer.stats().stored == 1)
    del recorded[:]
    writer.accept(1)
    wait_until(lambda: writer.stats().acked == 1)
    writer.close()
    assert ended(thread)
    writer.send_queue.close()
    store.close()
    sleeps = [seconds for seconds in recorded if seconds is not None]
    assert len(sleeps) <= 3
    assert max(sleeps) == pytest.approx(BEAT_S)
    assert 0.5 < min(sleeps) <= 1.0


def test_the_publisher_sleeps_until_something_is_due(tmp_path: Path) -> None:
    """With every verdict acknowledged it waits for events, and wakes only to show progress. With
    one in window it waits no longer than its PUBACK may take."""
    w = PublisherSimulation(tmp_path, 1)
    w.play()
    assert max(w.events.sleeps) == BEAT_S


@pytest.mark.parametrize(("sent_at", "left"), [(1000.0, 45.0), (958.0, 3.0)])
def test_an_answer_that_is_overdue_is_noticed_on_time(sent_at: float, left: float) -> None:
    """The window says when its oldest message is overdue; an empty window never is."""
    window = InFlightWindow()
    window.begin(20, 45.0)
    assert window.overdue_in_s(1000.0) == float("inf")
    window.add(1, SentMessage(sent_at, "t", 1))
    assert window.overdue_in_s(1000.0) == pytest.approx(left)
    assert window.overdue_in_s(sent_at + 45.0) >= 0
    assert window.overdue_in_s(sent_at + 45.1) < 0


def test_waiting_for_the_broker_shows_progress_and_ends_at_once() -> None:
    """A pause between two attempts is slept in steps of 5 s; closing ends it."""
    with recorded_sleeps("SimpleQueue") as sleeps:
        events = EventQueue(Clock().tick)
    closing = threading.Event()
    thread = threading.Thread(target=events.sleep, args=(3600.0, closing.is_set))
    thread.start()
    wait_until(lambda: sleeps)
    closing.set()
    events.wake()
    assert ended(thread)
    assert sleeps == [BEAT_S]


def test_the_snapshot_sender_sleeps_until_a_picture_comes() -> None:
    """Without a connection the thread sleeps without limit, with one until a minute has passed;
    closing ends either sleep."""
    broker = SnapshotBroker()
    config = SnapshotsConfig.read({"send": ["fail"]})
    with recorded_sleeps("Queue") as sleeps:
        pictures = SnapshotSender(config, "line1", Clock(), broker.connect)
    thread = threading.Thread(target=pictures.run)
    thread.start()
    pictures.offer(PICTURE, a_verdict())
    wait_until(lambda: len(sleeps) == 2)
    pictures.close()
    assert ended(thread)
    assert sleeps[0] is None
    assert 50 < (sleeps[1] or 0) < 61


def test_the_archive_sleeps_until_there_is_a_picture(tmp_path: Path) -> None:
    """Its thread sleeps for ever, and closing ends it."""
    with recorded_sleeps("Queue") as sleeps:
        archive = Archive(
            ArchiveConfig(enabled=True, path=tmp_path / "archive"), Clock(), NoLabels()
        )
    thread = threading.Thread(target=archive.run)
    thread.start()
    wait_until(lambda: sleeps)
    archive.close()
    assert ended(thread)
    assert set(sleeps) == {None}


def test_outputs_sleep_until_a_pulse_ends_or_a_beat_is_due(clock: FakeClock) -> None:
    """With nothing on the wires there is no time to wake at; a pulse and a beat have theirs."""

    class Lamp(OutputPin):
        def __init__(self) -> None:
            self.fault = ""

        def show(self, *, active: bool) -> bool:
            del active
            return True

        def close(self) -> None:
            pass

    environment = Clock(tick=clock.tick)
    options: dict[str, Any] = {"trackers": {}, "alive": lambda: True}
    quiet = SignalOutputs({"top": {"pass": Lamp()}}, {"top": 0.1}, {}, environment, **options)
    assert quiet.run_once() is None
    quiet.start_pulse(verdict("pass"))
    assert quiet.run_once() == pytest.approx(0.1)
    beating = SignalOutputs({}, {}, {"alive": Lamp()}, environment, **options)
    assert beating.run_once() == pytest.approx(0.5)
