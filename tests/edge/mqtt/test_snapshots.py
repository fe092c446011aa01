"""Pictures on `snapshot/<id>`: which are sent, how large, and how the others are counted."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.config.mqtt import SnapshotsConfig
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError
from edge.core.verdict import Outcome, Verdict
from edge.mqtt.failover import Backoff
from edge.mqtt.request_router import Data, result_or_error
from edge.mqtt.snapshots import SnapshotError, SnapshotSender, encode
from tests.support.clock import FakeClock
from tests.support.snapshot_broker import NOISE, PICTURE, SnapshotBroker
from tests.support.verdicts import a_verdict
from tests.support.waiting import wait_until


class RunningSender:
    """A SnapshotSender on a separate thread."""

    def __init__(self, broker: SnapshotBroker, **config: Any) -> None:
        self.sender = SnapshotSender(
            SnapshotsConfig.read(config),
            "inspection/line1",
            Clock(),
            broker.connect,
            Backoff(0.001, 0.001),
        )
        self._thread = threading.Thread(target=self.sender.run)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self.sender.close()
        if self._thread.is_alive():
            self._thread.join(30)
            assert not self._thread.is_alive()


MakeSender = Callable[..., RunningSender]


@pytest.fixture
def make_sender() -> Iterator[MakeSender]:
    """Makes senders that end with the test."""
    made: list[RunningSender] = []

    def make(broker: SnapshotBroker, **config: Any) -> RunningSender:
        made.append(RunningSender(broker, **config))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _verdict(outcome: Outcome, number: int = 1) -> Verdict:
    return replace(a_verdict(), verdict=outcome, id=f"{number:08}-0000-7000-8000-000000000000")


def _answer(answer: Future[Data]) -> Any:
    wait([answer], 30)
    return result_or_error(answer)


@settings(max_examples=25, deadline=None)
@given(st.integers(300, 120_000), st.integers(32, 400), st.integers(32, 400))
def test_no_picture_is_larger_than_the_limit(limit: int, width: int, height: int) -> None:
    """A picture of noise, which compresses worst, becomes a readable JPEG within the limit with the
    same proportions, or is refused."""
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    try:
        data, encoded_width, encoded_height = encode(pixels, limit)
    except SnapshotError:
        assert limit < 10_000 or limit < width * height
        return
    assert len(data) <= limit
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None
    assert seen.shape == (encoded_height, encoded_width, 3)
    assert encoded_width / encoded_height == pytest.approx(width / height, rel=0.1)


def test_a_kept_jpeg_that_fits_is_not_touched() -> None:
    """A JPEG of the archive is sent unchanged; only a too large one is encoded again."""
    kept = cv2.imencode(".jpg", NOISE)[1].tobytes()
    assert encode(kept, len(kept)) == (kept, 320, 240)
    smaller, width, _height = encode(kept, len(kept) - 1)
    assert len(smaller) < len(kept)
    assert width < 320
    with pytest.raises(SnapshotError, match="cannot be read"):
        encode(b"no picture", 1000)


def test_pictures_follow_the_verdicts_that_are_wanted(
    make_sender: MakeSender,
) -> None:
    """With send: [fail] and pass_every: 2, each fail and every second pass is sent."""
    broker = SnapshotBroker()
    one = make_sender(broker, send=["fail"], pass_every=2, max_per_s=100)
    one.start()
    said: list[Outcome] = ["pass", "fail", "review", "pass", "error", "pass", "pass"]
    wanted = []
    for number, word in enumerate(said):
        verdict = _verdict(word, number)
        before = one.sender.sent
        one.sender.offer(PICTURE, verdict)
        if number in (1, 3, 6):
            wanted.append(f"inspection/line1/snapshot/{verdict.id}")
            wait_until(lambda before=before: one.sender.sent > before, "a picture")  # type: ignore[misc]
    assert [topic for topic, _, _ in broker.arrived] == wanted
    assert not any(retain for _, _, retain in broker.arrived)
    assert all(body[:2] == b"\xff\xd8" for _, body, _ in broker.arrived)
    assert broker.opened == 1, "one connection serves all"


def test_too_many_at_once_are_counted(make_sender: MakeSender) -> None:
    """While the thread has not started, `offer` returns at once, four pictures wait and the others
    are counted; a requested picture is answered with the reason."""
    one = make_sender(SnapshotBroker(), send=["fail"], max_per_s=100)
    for number in range(10):
        one.sender.offer(PICTURE, _verdict("fail", number))
    answer: Future[Data] = Future()
    one.sender.order("x", lambda: NOISE, answer)
    assert one.sender.counts()["skipped"] == {
        "busy": 7,
        "rate": 0,
        "unusable": 0,
        "offline": 0,
    }
    assert "too many" in str(_answer(answer))
    one.start()
    wait_until(lambda: one.sender.sent == 4, "the four that waited")


def test_the_rate_is_limited() -> None:
    """With max_per_s below 1 one picture may go at once; the next is counted as `rate`."""
    one = RunningSender(SnapshotBroker(), send=["fail"], max_per_s=0.01)
    for number in range(3):
        one.sender.offer(PICTURE, _verdict("fail", number))
    assert one.sender.skipped["rate"] == 2


def _broken() -> NDArray[np.uint8]:
    raise EdgeInspectError("no picture of it is kept")


@pytest.mark.parametrize(
    ("manner", "why", "words"),
    [
        ("absent", "offline", "no broker answers"),
        ("refuses", "offline", "not you"),
        ("hangs up", "offline", "gone"),
        ("forbids", "offline", "Not authorized"),
    ],
)
def test_a_failure_is_answered_and_the_next_picture_is_sent(
    make_sender: MakeSender, manner: str, why: str, words: str
) -> None:
    """The picture is counted, its request gets the reason, and the connection is closed; the next
    picture is sent over a new connection when the broker works."""
    broker = SnapshotBroker(manner)
    one = make_sender(broker)
    one.start()
    answer: Future[Data] = Future()
    one.sender.order("a", lambda: NOISE, answer)
    assert words in str(_answer(answer))
    assert one.sender.counts()["skipped"][why] == 1
    wait_until(lambda: broker.closed == 1, "the connection is closed")
    broker.manner = "takes"

    def arrives() -> bool:
        again: Future[Data] = Future()
        one.sender.order("b", lambda: NOISE, again)
        return not isinstance(_answer(again), EdgeInspectError)

    wait_until(arrives, "the second picture")


def test_a_source_without_a_picture_is_the_answer(
    make_sender: MakeSender,
) -> None:
    """The answer is the archive's sentence, and no connection is opened."""
    broker = SnapshotBroker()
    one = make_sender(broker)
    one.start()
    answer: Future[Data] = Future()
    one.sender.order("a", _broken, answer)
    assert "is kept" in str(_answer(answer))
    assert one.sender.skipped["unusable"] == 1
    assert broker.opened == 0


@pytest.mark.slow
def test_pictures_come_again_after_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    """Ten minutes without a broker, with a picture a second: few attempts and one line in the log.
    When the broker is back, pictures are sent again within the longest pause."""
    clock, broker = FakeClock(), SnapshotBroker("absent")
    sender = SnapshotSender(
        SnapshotsConfig.read({"send": ["fail"], "max_per_s": 100}),
        "inspection/line1",
        Clock(now=clock.now, tick=clock.tick),
        broker.connect,
        Backoff(1.0, 60.0),
    )

    def pass_seconds(count: int) -> None:
        for number in range(count):
            clock.at += 1
            sender.offer(PICTURE, _verdict("fail", number))
            sender.run_once()

    pass_seconds(600)
    assert 5 < broker.opened < 200
    assert sender.skipped["offline"] == 600
    assert len(caplog.records) == 1
    broker.manner = "takes"
    pass_seconds(61)
    assert sender.sent > 0
    sent = sender.sent
    pass_seconds(30)
    assert sender.sent == sent + 30
