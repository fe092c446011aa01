"""Pictures on `snapshot/<id>`: which are sent, how large, and what becomes of the others."""

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
from edge.mqtt.backoff import Backoff
from edge.mqtt.request_router import Data, outcome
from edge.mqtt.snapshots import SnapshotError, SnapshotSender, encode
from tests.support.clock import FakeClock
from tests.support.snapshot_link import NOISE, PICTURE, Wire
from tests.support.verdicts import a_verdict
from tests.support.waiting import wait_until


class Studio:
    """Pictures with a running thread."""

    def __init__(self, wire: Wire, **config: Any) -> None:
        self.pictures = SnapshotSender(
            SnapshotsConfig.read(config),
            "inspection/line1",
            Clock(),
            wire.link,
            Backoff(0.001, 0.001),
        )
        self._thread = threading.Thread(target=self.pictures.run)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self.pictures.close()
        if self._thread.is_alive():
            self._thread.join(30)
            assert not self._thread.is_alive()


@pytest.fixture
def studio() -> Iterator[Callable[..., Studio]]:
    """Builds one that ends with the test."""
    made: list[Studio] = []

    def make(wire: Wire, **config: Any) -> Studio:
        made.append(Studio(wire, **config))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _verdict(outcome: Outcome, number: int = 1) -> Verdict:
    return replace(a_verdict(), verdict=outcome, id=f"{number:08}-0000-7000-8000-000000000000")


def _answer(answer: Future[Data]) -> Any:
    wait([answer], 30)
    return outcome(answer)


@settings(max_examples=25, deadline=None)
@given(st.integers(300, 120_000), st.integers(32, 400), st.integers(32, 400))
def test_no_picture_is_larger_than_the_limit(limit: int, width: int, height: int) -> None:
    """A picture of noise, the worst to compress, becomes a readable JPEG within the limit, in its
    own proportions, or is refused."""
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    try:
        data, wide, high = encode(pixels, limit)
    except SnapshotError:
        assert limit < 10_000 or limit < width * height
        return
    assert len(data) <= limit
    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert seen is not None
    assert seen.shape == (high, wide, 3)
    assert wide / high == pytest.approx(width / height, rel=0.1)


def test_a_kept_jpeg_that_fits_is_not_touched() -> None:
    """What the archive kept goes out byte by byte; only one that is too large is encoded anew."""
    kept = cv2.imencode(".jpg", NOISE)[1].tobytes()
    assert encode(kept, len(kept)) == (kept, 320, 240)
    smaller, width, _height = encode(kept, len(kept) - 1)
    assert len(smaller) < len(kept)
    assert width < 320
    with pytest.raises(SnapshotError, match="cannot be read"):
        encode(b"no picture", 1000)


def test_pictures_follow_the_verdicts_that_are_wanted(studio: Callable[..., Studio]) -> None:
    """Of fail, and of every second pass of a camera: others stay here."""
    wire = Wire()
    one = studio(wire, send=["fail"], pass_every=2, max_per_s=100)
    one.start()
    said: list[Outcome] = ["pass", "fail", "review", "pass", "error", "pass", "pass"]
    wanted = []
    for number, word in enumerate(said):
        verdict = _verdict(word, number)
        before = one.pictures.sent
        one.pictures.offer(PICTURE, verdict)
        if number in (1, 3, 6):
            wanted.append(f"inspection/line1/snapshot/{verdict.id}")
            wait_until(lambda before=before: one.pictures.sent > before, "a picture")  # type: ignore[misc]
    assert [topic for topic, _, _ in wire.arrived] == wanted
    assert not any(retain for _, _, retain in wire.arrived)
    assert all(body[:2] == b"\xff\xd8" for _, body, _ in wire.arrived)
    assert wire.opened == 1, "one connection serves all"


def test_too_many_at_once_are_counted_and_wait_for_nobody(studio: Callable[..., Studio]) -> None:
    """While nothing is sent (the thread has not started) `offer` returns, four wait, others are
    counted; whoever asked for a picture is told."""
    one = studio(Wire(), send=["fail"], max_per_s=100)
    for number in range(10):
        one.pictures.offer(PICTURE, _verdict("fail", number))
    answer: Future[Data] = Future()
    one.pictures.order("x", lambda: NOISE, answer)
    assert one.pictures.counts()["skipped"] == {
        "busy": 7,
        "rate": 0,
        "unusable": 0,
        "offline": 0,
    }
    assert "too many" in str(_answer(answer))
    one.start()
    wait_until(lambda: one.pictures.sent == 4, "the four that waited")


def test_no_more_than_so_many_a_second() -> None:
    """The allowance is one at once when max_per_s is below; the next is counted as `rate`."""
    one = Studio(Wire(), send=["fail"], max_per_s=0.01)
    for number in range(3):
        one.pictures.offer(PICTURE, _verdict("fail", number))
    assert one.pictures.skipped["rate"] == 2


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
def test_what_cannot_be_sent_is_told_and_tried_again(
    studio: Callable[..., Studio], manner: str, why: str, words: str
) -> None:
    """The picture is counted, its asker hears why, the link is dropped; the next picture goes over
    a new one when the broker has thought better of it."""
    wire = Wire(manner)
    one = studio(wire)
    one.start()
    answer: Future[Data] = Future()
    one.pictures.order("a", lambda: NOISE, answer)
    assert words in str(_answer(answer))
    assert one.pictures.counts()["skipped"][why] == 1
    wait_until(lambda: wire.closed == 1, "the link is dropped")
    wire.manner = "takes"

    def arrives() -> bool:
        again: Future[Data] = Future()
        one.pictures.order("b", lambda: NOISE, again)
        return not isinstance(_answer(again), EdgeInspectError)

    wait_until(arrives, "the second picture")


def test_a_source_without_a_picture_is_the_answer(studio: Callable[..., Studio]) -> None:
    """The archive's sentence reaches whoever asked, and no connection was made for it."""
    wire = Wire()
    one = studio(wire)
    one.start()
    answer: Future[Data] = Future()
    one.pictures.order("a", _broken, answer)
    assert "is kept" in str(_answer(answer))
    assert one.pictures.skipped["unusable"] == 1
    assert wire.opened == 0


def test_pictures_come_again_after_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    """A picture a second through ten minutes without a broker: few attempts, one line in the log;
    with the broker back they are sent again within the longest pause, whatever was skipped."""
    clock, wire = FakeClock(), Wire("absent")
    pictures = SnapshotSender(
        SnapshotsConfig.read({"send": ["fail"], "max_per_s": 100}),
        "inspection/line1",
        Clock(now=clock.now, tick=clock.tick),
        wire.link,
        Backoff(1.0, 60.0),
    )

    def pass_seconds(count: int) -> None:
        for number in range(count):
            clock.at += 1
            pictures.offer(PICTURE, _verdict("fail", number))
            order = pictures._orders.get_nowait()
            assert order is not None
            pictures._send(order)

    pass_seconds(600)
    assert 5 < wire.opened < 200
    assert pictures.skipped["offline"] == 600
    assert len(caplog.records) == 1
    wire.manner = "takes"
    pass_seconds(61)
    assert pictures.sent > 0
    sent = pictures.sent
    pass_seconds(30)
    assert pictures.sent == sent + 30
