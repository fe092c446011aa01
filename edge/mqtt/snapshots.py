"""Pictures on `snapshot/<id>`: over a connection of their own, since a picture on the verdicts'
connection would make the verdict behind it wait. What cannot be sent now is counted and forgotten:
evidence that must not be lost belongs into the archive."""

import contextlib
import logging
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import SnapshotsConfig
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError
from edge.core.frame import Frame
from edge.core.verdict import Verdict
from edge.mqtt.backoff import Backoff
from edge.mqtt.diagnostics import LinkError
from edge.mqtt.events import Connected, Connection, Event, Lost, PubAck, Refused
from edge.mqtt.request_router import Data, TokenBucket, settle

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
Skip = Literal["busy", "rate", "unusable", "offline"]
SKIPS: tuple[Skip, ...] = ("busy", "rate", "unusable", "offline")
Source = Callable[[], Pixels | bytes]  # uint8 (height, width, 3) BGR, or a JPEG
PictureLink = Callable[[Callable[[Event], None]], Connection]

_QUEUE = 4  # whole pictures: 4 at 1080p are 25 MB
_QUALITY = 85
_LEAST_SIDE = 32  # pixels; a smaller picture shows nothing
_ANSWER_S = 10.0  # for CONNACK and for PUBACK
_LEAST_S = 0.01
_IDLE_S = 60.0  # a connection that nobody needs is given back to the broker
_STEP_S = 1.0  # while an answer is awaited, the end is noticed so late
_NICE = 10  # a verdict's work goes first on a busy processor


class SnapshotError(EdgeInspectError):
    """A picture that was not sent; the sentence says why."""


@dataclass(frozen=True, slots=True)
class _SnapshotOrder:
    """`source` gives the picture, asked in the thread that sends. `answer`: who wants it."""

    id: str
    source: Source
    answer: Future[Data] | None


class SnapshotSender:
    """`offer` and `order` return at once; `run` encodes and sends in a thread of its own. `sent`
    and `skipped` count; an `order` that is skipped is answered with why."""

    def __init__(
        self,
        config: SnapshotsConfig,
        topic: str,
        environment: Clock,
        link: PictureLink,
        backoff: Backoff | None = None,
    ) -> None:
        """`topic` is `<prefix>/<station>`. `link` makes a connection, given where its events go."""
        self.sent = 0
        self.skipped: Counter[Skip] = Counter()
        self._config, self._topic = config, topic
        self._environment, self._new_link = environment, link
        self._backoff = backoff or Backoff(1.0, 60.0)
        self._allowance = TokenBucket(max(1.0, config.max_per_s), environment.tick)
        self._passed: Counter[str] = Counter()
        self._orders: queue.Queue[_SnapshotOrder | None] = queue.Queue(_QUEUE)
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._link: Connection | None = None
        self._used = self._not_before = 0.0
        self._reported = ""
        self._stale = False
        self._closing = threading.Event()

    def offer(self, frame: Frame, verdict: Verdict) -> None:
        """The picture behind a verdict, when config.yaml wants it. Never waits."""
        if not frame.has_picture or not self._wanted(verdict):
            return
        if not self._allowance.take():
            self.skipped["rate"] += 1
            return
        self._queue(_SnapshotOrder(verdict.id, lambda: _shown(frame), None))

    def order(self, name: str, source: Source, answer: Future[Data]) -> None:
        """Queues a picture that was requested, for `snapshot/<name>`; never waits.

        - `source` is called on the thread that sends; an EdgeInspectError of it is the answer.
        - `answer` is settled when the broker has the picture, or with why it does not get it.
        """
        self._queue(_SnapshotOrder(name, source, answer))

    def counts(self) -> dict[str, Any]:
        """For `health`."""
        return {"sent": self.sent, "skipped": {why: self.skipped[why] for why in SKIPS}}

    def adopt(self, config: SnapshotsConfig) -> None:
        """Which pictures from now on; the connection is made anew."""
        self._config = config
        self._allowance = TokenBucket(max(1.0, config.max_per_s), self._environment.tick)
        self._stale = True

    def close(self) -> None:
        """Ends the thread; what is queued is not sent any more."""
        self._closing.set()
        self._wake()

    def run(self) -> None:
        """Until closed."""
        with contextlib.suppress(OSError):  # a sandbox that forbids it must not cost the pictures
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._closing.is_set():
            order = None
            with contextlib.suppress(queue.Empty):
                order = self._orders.get(timeout=self._idle_s())
            if order is not None:
                self._send(order)
            else:
                self._look_after_link()
        self._drop_link()

    def _wake(self) -> None:
        with contextlib.suppress(queue.Full):  # it has orders: it looks round after them
            self._orders.put_nowait(None)

    def _hear(self, event: Event) -> None:
        self._events.put(event)
        if isinstance(event, Lost | Refused):
            self._wake()

    def _idle_s(self) -> float | None:
        """For how many seconds a connection that nobody needs is kept; None: there is none."""
        if self._link is None:
            return None
        return max(0.0, self._used + _IDLE_S - self._environment.tick()) + _LEAST_S

    def _wanted(self, verdict: Verdict) -> bool:
        if verdict.verdict in self._config.send:
            return True
        if verdict.verdict != "pass" or not self._config.pass_every:
            return False
        self._passed[verdict.camera] += 1
        return self._passed[verdict.camera] % self._config.pass_every == 0

    def _queue(self, order: _SnapshotOrder) -> None:
        try:
            self._orders.put_nowait(order)
        except queue.Full:
            self._skip(order, "busy", "too many pictures wait to be sent; ask again later")

    def _skip(self, order: _SnapshotOrder, why: Skip, sentence: str) -> None:
        self.skipped[why] += 1
        if order.answer is not None:
            settle(order.answer, SnapshotError(sentence))

    def _send(self, order: _SnapshotOrder) -> None:
        try:
            data, width, height = encode(order.source(), self._config.max_kb * 1024)
        except EdgeInspectError as error:
            self._skip(order, "unusable", str(error))
            return
        topic = f"{self._topic}/snapshot/{order.id}"
        if self._is_pausing():
            self._skip(order, "offline", "there is no connection to the broker; ask again later")
            return
        try:
            self._deliver(topic, data)
        except Exception as error:  # outermost door: one picture's trouble must not end the thread
            if not isinstance(error, LinkError):
                log.exception("pictures: unexpected fault")
            self._fail(f"{error}")
            self._skip(order, "offline", f"the picture could not be sent: {error}")
            return
        self.sent += 1
        self._reported = ""
        if order.answer is not None:
            settle(
                order.answer,
                {
                    "id": order.id,
                    "topic": topic,
                    "bytes": len(data),
                    "width": width,
                    "height": height,
                },
            )

    def _is_pausing(self) -> bool:
        """Whether it is too early for another attempt: only attempts make a new pause."""
        if self._stale:
            self._stale = False
            self._drop_link()
            self._not_before = 0.0
        return self._link is None and self._environment.tick() < self._not_before

    def _deliver(self, topic: str, data: bytes) -> None:
        """Raises LinkError unless the broker has acknowledged it."""
        link = self._link
        if link is None:
            link = self._link = self._new_link(self._hear)
            link.open()
            self._await(lambda event: isinstance(event, Connected))
            self._backoff.reset()
        mid = link.publish(topic, data, retain=False)
        self._used = self._environment.tick()
        answered = self._await(lambda event: isinstance(event, PubAck) and event.mid == mid)
        if isinstance(answered, PubAck) and answered.code >= 0x80:
            raise LinkError(f"the broker will not take it ({answered.why})")

    def _await(self, wanted: Callable[[Event], bool]) -> Event:
        deadline = self._environment.tick() + _ANSWER_S
        while (left := deadline - self._environment.tick()) > 0 and not self._closing.is_set():
            try:
                event = self._events.get(timeout=min(left, _STEP_S))
            except queue.Empty:
                continue
            if wanted(event):
                return event
            if isinstance(event, Lost | Refused):
                raise LinkError(event.why)
        raise LinkError("the broker does not answer")

    def _fail(self, why: str) -> None:
        if why != self._reported:
            log.warning("pictures: %s; they are not kept", why)
        self._reported = why
        self._drop_link()
        self._not_before = self._environment.tick() + self._backoff.next()

    def _look_after_link(self) -> None:
        if self._link is None:
            return
        while not self._events.empty():
            if isinstance(self._events.get(), Lost):
                self._drop_link()
                return
        if self._environment.tick() - self._used > _IDLE_S:
            self._drop_link()

    def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()
        while not self._events.empty():
            self._events.get()


def _shown(frame: Frame) -> Pixels | bytes:
    shown = frame.shown()
    assert shown is not None
    return shown


def encode(pixels: Pixels | bytes, limit: int) -> tuple[bytes, int, int]:
    """A JPEG of at most `limit` bytes, and its width and height in pixels: a picture that is too
    large is made smaller until it fits.

    `pixels` is uint8, (height, width, 3), BGR, or the bytes of a JPEG, which stay as they are when
    they fit. Raises PictureError when no size that shows anything fits.
    """
    ready: bytes | None = None
    if isinstance(pixels, bytes):
        ready = pixels
        decoded = cv2.imdecode(np.frombuffer(pixels, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise SnapshotError("the picture in the archive cannot be read")
        pixels = np.asarray(decoded, np.uint8)
    picture = pixels
    while True:
        height, width = picture.shape[:2]
        if ready is None:
            done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            if not done:
                raise SnapshotError("the picture cannot be encoded")
            ready = data.tobytes()
        if len(ready) <= limit:
            return ready, width, height
        scale = max(0.25, min(0.9, 0.95 * (limit / len(ready)) ** 0.5))
        size = round(width * scale), round(height * scale)
        if min(size) < _LEAST_SIDE:
            raise SnapshotError(
                f"the picture does not fit into {limit} bytes; raise mqtt.snapshots.max_kb"
            )
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        picture, ready = np.asarray(small, np.uint8), None
