"""Sends pictures on `snapshot/<id>`. They have a connection of their own, because a picture would
delay the verdict behind it. A picture that cannot be sent now is counted and dropped; the archive
keeps the evidence."""

import contextlib
import logging
import os
import queue
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.config import SnapshotsConfig
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError
from edge.core.frame import Frame
from edge.core.verdict import Verdict
from edge.mqtt.diagnostics import BrokerConnectionError
from edge.mqtt.event_queue import EventQueue
from edge.mqtt.events import Connected, Connection, Event, Lost, PubAck, Refused
from edge.mqtt.failover import Backoff
from edge.mqtt.request_router import Data, TokenBucket, settle

log = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
Skip = Literal["busy", "rate", "unusable", "offline"]
SKIPS: tuple[Skip, ...] = get_args(Skip)
Source = Callable[[], Pixels | bytes]  # uint8 (height, width, 3) BGR, or a JPEG
Connect = Callable[[Callable[[Event], None]], Connection]  # takes the receiver of the events

_CAPACITY = 4  # pictures that may wait: 4 at 1080p are 25 MB
_QUALITY = 85
_MIN_SIDE = 32  # pixels; a smaller picture shows nothing
_ANSWER_S = 10.0  # for CONNACK and for PUBACK
_IDLE_S = 60.0  # an unused connection is closed after this time
_SHORTEST_WAIT_S = 0.01
_STEP_S = 1.0  # while an answer is awaited, closing is checked at this interval
_NICE = 10  # verdicts go first on a busy processor


class SnapshotError(EdgeInspectError):
    """A picture was not sent."""


class SnapshotCounts(TypedDict):
    """Pictures since the start."""

    sent: int
    skipped: dict[str, int]


@dataclass(frozen=True, slots=True)
class _SnapshotOrder:
    """`source` is called on the sending thread. `answer`: of the request, if one asked."""

    id: str
    source: Source
    answer: Future[Data] | None


class SnapshotSender:
    """`offer` and `order` return at once; `run` encodes and sends on a separate thread. `sent`
    and `skipped` count pictures. A skipped `order` is answered with the reason."""

    def __init__(
        self,
        config: SnapshotsConfig,
        topic: str,
        clock: Clock,
        connect: Connect,
        backoff: Backoff | None = None,
    ) -> None:
        """`topic` is `<prefix>/<station>`. `connect` makes a connection."""
        self.sent = 0
        self.skipped: Counter[Skip] = Counter()
        self._config, self._topic = config, topic
        self._clock, self._connect = clock, connect
        self._backoff = backoff or Backoff(1.0, 60.0)
        self._rate_limit = TokenBucket(max(1.0, config.max_per_s), clock.tick)
        self._passed: Counter[str] = Counter()
        self._orders: queue.Queue[_SnapshotOrder | None] = queue.Queue(_CAPACITY)
        self._events = EventQueue(clock.tick)
        self._connection: Connection | None = None
        self._used_at = self._not_before = 0.0
        self._reported = ""
        self._config_changed = False
        self._closing = threading.Event()

    def offer(self, frame: Frame, verdict: Verdict) -> None:
        """Queues the picture of a verdict if config.yaml asks for it. Never waits."""
        if not frame.has_picture or not self._wanted(verdict):
            return
        if not self._rate_limit.take():
            self.skipped["rate"] += 1
            return
        self._queue(_SnapshotOrder(verdict.id, lambda: _shown(frame), None))

    def order(self, name: str, source: Source, answer: Future[Data]) -> None:
        """Queues a requested picture for `snapshot/<name>`. Never waits.

        source: called on the sending thread; its EdgeInspectError becomes the answer.
        answer: completed when the broker has the picture, or with the reason why not.
        """
        self._queue(_SnapshotOrder(name, source, answer))

    def counts(self) -> SnapshotCounts:
        """For `health`."""
        return {"sent": self.sent, "skipped": {why: self.skipped[why] for why in SKIPS}}

    def adopt(self, config: SnapshotsConfig) -> None:
        """Applies new settings; the connection is opened again."""
        self._config = config
        self._rate_limit = TokenBucket(max(1.0, config.max_per_s), self._clock.tick)
        self._config_changed = True

    def close(self) -> None:
        """Ends the thread; queued pictures are dropped."""
        self._closing.set()
        self._wake()

    def run(self) -> None:
        """Until closed."""
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._closing.is_set():
            self.run_once()
        self._disconnect()

    def run_once(self) -> None:
        """Waits for a picture and sends it; without one, closes an unused connection."""
        order = None
        with contextlib.suppress(queue.Empty):
            order = self._orders.get(timeout=self._idle_s())
        if order is None:
            self._check_connection()
            return
        try:
            self._send(order)
        except Exception as error:  # outermost loop: one picture's fault must not end the thread
            if not isinstance(error, BrokerConnectionError):
                log.exception("pictures: unexpected fault")
            self._fail(f"{error}")
            self._skip(order, "offline", f"the picture could not be sent: {error}")

    def _wake(self) -> None:
        with contextlib.suppress(queue.Full):  # the thread is awake, and checks after its orders
            self._orders.put_nowait(None)

    def _receive(self, event: Event) -> None:
        self._events.put(event)
        if isinstance(event, Lost | Refused):
            self._wake()

    def _idle_s(self) -> float | None:
        """Seconds until the connection has been unused for too long; None: there is none."""
        if self._connection is None:
            return None
        return max(0.0, self._used_at + _IDLE_S - self._clock.tick()) + _SHORTEST_WAIT_S

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
        """Raises BrokerConnectionError."""
        try:
            data, width, height = encode(order.source(), self._config.max_kb * 1024)
        except EdgeInspectError as error:
            self._skip(order, "unusable", str(error))
            return
        if self._is_pausing():
            self._skip(order, "offline", "there is no connection to the broker; ask again later")
            return
        topic = f"{self._topic}/snapshot/{order.id}"
        self._deliver(topic, data)
        self.sent += 1
        self._reported = ""
        if order.answer is not None:
            size = {"bytes": len(data), "width": width, "height": height}
            settle(order.answer, {"id": order.id, "topic": topic, **size})

    def _is_pausing(self) -> bool:
        """Whether it is too early for the next attempt. Only an attempt starts a pause."""
        if self._config_changed:
            self._config_changed = False
            self._disconnect()
            self._not_before = 0.0
        return self._connection is None and self._clock.tick() < self._not_before

    def _deliver(self, topic: str, data: bytes) -> None:
        """Raises BrokerConnectionError unless the broker has acknowledged the picture."""
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect(self._receive)
            connection.open()
            self._await(lambda event: isinstance(event, Connected))
            self._backoff.reset()
        mid = connection.publish(topic, data, retain=False)
        self._used_at = self._clock.tick()
        answer = self._await(lambda event: isinstance(event, PubAck) and event.mid == mid)
        if isinstance(answer, PubAck) and answer.code >= 0x80:
            raise BrokerConnectionError(f"the broker will not take it ({answer.why})")

    def _await(self, wanted: Callable[[object], bool]) -> object:
        deadline = self._clock.tick() + _ANSWER_S
        while (left := deadline - self._clock.tick()) > 0 and not self._closing.is_set():
            event = self._events.next(min(left, _STEP_S))
            if wanted(event):
                return event
            if isinstance(event, Lost | Refused):
                raise BrokerConnectionError(event.why)
        raise BrokerConnectionError("the broker does not answer")

    def _fail(self, why: str) -> None:
        if why != self._reported:
            log.warning("pictures: %s; they are not kept", why)
        self._reported = why
        self._disconnect()
        self._not_before = self._clock.tick() + self._backoff.next()

    def _check_connection(self) -> None:
        """Closes a connection that is lost or unused."""
        lost = any(isinstance(event, Lost) for event in self._events.drain(0))
        if lost or self._clock.tick() - self._used_at > _IDLE_S:
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._events.clear()


def _shown(frame: Frame) -> Pixels | bytes:
    shown = frame.shown()
    assert shown is not None
    return shown


def encode(picture: Pixels | bytes, limit: int) -> tuple[bytes, int, int]:
    """A JPEG of at most `limit` bytes, with its width and height in pixels. A picture that is too
    large is reduced until it fits.

    picture: uint8 (height, width, 3) BGR, or a JPEG, which stays as it is when it fits.

    Raises SnapshotError when no useful size fits.
    """
    jpeg: bytes | None = None
    if isinstance(picture, bytes):
        jpeg = picture
        decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        if decoded is None:
            raise SnapshotError("the picture in the archive cannot be read")
        picture = np.asarray(decoded, np.uint8)
    while True:
        height, width = picture.shape[:2]
        if jpeg is None:
            done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            if not done:
                raise SnapshotError("the picture cannot be encoded")
            jpeg = data.tobytes()
        if len(jpeg) <= limit:
            return jpeg, width, height
        scale = max(0.25, min(0.9, 0.95 * (limit / len(jpeg)) ** 0.5))
        size = round(width * scale), round(height * scale)
        if min(size) < _MIN_SIDE:
            raise SnapshotError(
                f"the picture does not fit into {limit} bytes; raise mqtt.snapshots.max_kb"
            )
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        picture, jpeg = np.asarray(small, np.uint8), None
