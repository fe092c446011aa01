"""The thread that empties the outbox: rows go to the broker in order, at most a window of them at
a time, and a row is forgotten only when the broker's PUBACK says that it has it."""

import logging
import queue
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from edge.config import Config
from edge.delivery.backoff import Backoff
from edge.delivery.link import (
    Answered,
    Connected,
    Event,
    Link,
    LinkError,
    Lost,
    Protocol_,
    Received,
    Refused,
)
from edge.delivery.message import sent_body, status_body
from edge.delivery.outboxfile import OutboxError
from edge.delivery.recent import Recent
from edge.delivery.row import Row
from edge.delivery.waiting import Waiting
from edge.environment import Environment

log = logging.getLogger(__name__)

State = Literal["connecting", "online", "refused", "offline", "stopped"]
OnRequest = Callable[[str, bytes, bool], None]  # name, body, retained
LinkFactory = Callable[[Protocol_, tuple[str, bytes], Callable[[Event], None]], Link]

_WINDOW = 20
_TICK_S = 1.0
_CONNACK_S = 5.0
_LATE_S = 2.0  # a verdict that waited longer is `replayed`
_GOODBYE_S = 2.0
_REPLIES = 1000  # answers to requests that may wait for the broker
_NO_ROW = 0  # seq counts from 1
_BUSY_CODES = frozenset({0x97})  # quota exceeded: the broker may take the row later


@dataclass(frozen=True, slots=True)
class _Wake:
    """There is something to do: new rows, a new announcement, or closing."""


class Acknowledge(Protocol):
    """Where the publisher reports what became of a row."""

    def accept(self, seq: int) -> None: ...
    def park(self, seq: int, reason: str) -> None: ...


class Publisher:
    """Public attributes are for `health`: `state`, `why`, `reconnects`, `beat`."""

    def __init__(
        self,
        *,
        config: Config,
        session: str,
        view: Waiting,
        acknowledge: Acknowledge,
        environment: Environment,
        link_factory: LinkFactory,
        may_send: Callable[[], bool] = lambda: True,
        backoff: Backoff | None = None,
    ) -> None:
        """`may_send`: asked before rows are handed over; False leaves them in the outbox."""
        self.state: State = "connecting"
        self.why = ""
        self.reconnects = 0
        self.beat = environment.tick()
        self._topic = config.topic
        self._auto = config.mqtt.version == "auto"
        self._version = _first_version(config)
        self._session, self._boot_id = session, environment.boot_id()
        self._view, self._acknowledge, self._environment = view, acknowledge, environment
        self._factory = link_factory
        self._may_send = may_send
        self._backoff = backoff or Backoff(1.0, 60.0)
        self._events: queue.SimpleQueue[Event | _Wake] = queue.SimpleQueue()
        self._announced: dict[str, bytes] = {}  # topic -> newest body, kept for every connect
        self._unsent: set[str] = set()
        self.on_request: OnRequest | None = None  # to be set before `run`; called on link's thread
        self._replies: deque[tuple[str, bytes]] = deque(maxlen=_REPLIES)
        self._closing: tuple[float, str] | None = None
        self._moving_to: Config | None = None
        self._reported = ""
        self._cursor = self._handed = 0
        self._window = 1
        self._in_flight: dict[int, int] = {}  # mid -> seq, or _NO_ROW for an announcement
        self._done = Recent(8192)  # accepted, perhaps not yet deleted
        self._hold_until = 0.0

    @property
    def version(self) -> Protocol_:
        """The MQTT that the broker speaks, as far as it is known."""
        return self._version

    def wake(self) -> None:
        """New rows are in the outbox."""
        self._events.put(_Wake())

    def announce(self, name: str, body: bytes) -> None:
        """Publishes the retained `<prefix>/<station>/<name>`; only the newest body matters."""
        self._announced[f"{self._topic}/{name}"] = body
        self._unsent.add(f"{self._topic}/{name}")
        self._events.put(_Wake())

    def reply(self, name: str, body: bytes) -> None:
        """Publishes on `<prefix>/<station>/response/<name>`, once; not kept past a restart."""
        self._replies.append((f"{self._topic}/response/{name}", body))
        self._events.put(_Wake())

    def move(self, config: Config) -> None:
        """Another broker, or other words to the same: says `stopped` and connects anew."""
        self._moving_to = config
        self._events.put(_Wake())

    def close(self, grace_s: float, reason: str) -> None:
        """Send what is there for at most `grace_s` seconds, say `stopped`, and end."""
        self._closing = self._environment.tick() + grace_s, reason
        self._events.put(_Wake())

    def run(self) -> None:
        """Until closed: connect, serve the connection until it is lost, wait, again."""
        while self._closing is None:
            if self._moving_to is not None:
                self._move()
            try:
                self._serve()
            except (LinkError, OutboxError) as error:
                self._down("offline", str(error))
            except Exception as error:  # outermost loop: a fault here must not silence the box
                log.exception("delivery: unexpected fault")
                self._down("offline", f"internal fault ({error!r})")
            if self._moving_to is None:
                self._pause(self._backoff.next())
        self.state = "stopped"

    def _move(self) -> None:
        config, self._moving_to = self._moving_to, None
        assert config is not None
        self._auto = config.mqtt.version == "auto"
        self._version = _first_version(config)
        self._backoff.reset()
        log.info("delivery: connecting anew, as config.yaml says now")

    def _serve(self) -> None:
        """One connection, from CONNECT to its end. Raises LinkError when it is lost."""
        link = self._factory(self._version, self._will(), self._hear)
        try:
            self._discard_events()
            link.open()
            self._await_connack()
            self._greet(link)
            while not self._finished() and self._moving_to is None:
                self._fill(link)
                self._handle(self._next_event(_TICK_S))
            self._say_goodbye(link)
        finally:
            link.close()

    def _await_connack(self) -> None:
        deadline = self._environment.tick() + _CONNACK_S
        while (left := deadline - self._environment.tick()) > 0:
            event = self._next_event(min(left, _TICK_S))
            if isinstance(event, Connected):
                self._window = max(1, min(_WINDOW, event.receive_maximum))
                return
            if isinstance(event, Refused):
                self._other_version(event.wrong_version)
                self.state = "refused"
                raise LinkError(event.why)
            if isinstance(event, Lost):
                self._other_version(wrong=True)
                raise LinkError(f"the broker hung up before it answered ({event.why})")
            if self._closing is not None:
                raise LinkError("stopping")
        self._other_version(wrong=True)  # amqtt, for one, meets version 5 with silence
        raise LinkError(f"the broker took the connection but did not answer in {_CONNACK_S:g} s")

    def _other_version(self, wrong: bool) -> None:
        if wrong and self._auto:
            self._version = "3.1.1" if self._version == "5" else "5"

    def _hear(self, event: Event) -> None:
        """What the link says. A request is handled at once, on the link's thread: a trigger must
        not wait for the disk."""
        if not isinstance(event, Received):
            self._events.put(event)
        elif self.on_request is not None:
            name = event.topic.removeprefix(f"{self._topic}/request/")
            self.on_request(name, event.body, event.retained)

    def _greet(self, link: Link) -> None:
        if self._reported:
            self.reconnects += 1
        log.info("delivery: connected to the broker, MQTT %s", self._version)
        self.state, self.why, self._reported = "online", "", "online"
        self._backoff.reset()
        self._in_flight.clear()
        self._cursor = 0
        self._hold_until = 0.0
        online = self._status("online", "connected")
        self._in_flight[link.publish(f"{self._topic}/status", online, retain=True)] = _NO_ROW
        self._unsent = set(self._announced)
        if self.on_request is not None:
            link.subscribe(f"{self._topic}/request/+")

    def _fill(self, link: Link) -> None:
        """Hands the broker as many rows as its window has room for."""
        for topic in sorted(self._unsent)[: self._room]:
            self._unsent.discard(topic)
            self._in_flight[link.publish(topic, self._announced[topic], retain=True)] = _NO_ROW
        while self._replies and self._room:
            topic, body = self._replies.popleft()
            self._in_flight[link.publish(topic, body, retain=False)] = _NO_ROW
        if self._environment.tick() < self._hold_until or not self._may_send():
            return
        # again and again, since a batch may hold nothing but rows that are done already
        while self._room and (rows := self._view.batch(self._cursor, self._room)):
            for row in rows:
                self._cursor = row.seq
                if row.seq in self._done or row.seq in self._in_flight.values():
                    continue
                body = sent_body(row.body, replayed=self._is_late(row))
                mid = link.publish(f"{self._topic}/result", body, retain=False)
                self._in_flight[mid] = row.seq
                self._handed = max(self._handed, row.seq)

    @property
    def _room(self) -> int:
        return max(0, self._window - len(self._in_flight))

    def _is_late(self, row: Row) -> bool:
        if row.seq <= self._handed:
            return True  # handed to an earlier connection: this is the second time
        return self._view.age_s(row) > _LATE_S

    def _handle(self, event: Event | _Wake | None) -> None:
        if isinstance(event, Lost):
            raise LinkError(f"the connection to the broker is lost ({event.why})")
        if not isinstance(event, Answered):
            return
        seq = self._in_flight.pop(event.mid, _NO_ROW)
        if seq == _NO_ROW:
            return
        if event.code < 0x80:
            self._done.add(seq)
            self._acknowledge.accept(seq)
        elif event.code in _BUSY_CODES:
            self._hold_until = self._environment.tick() + self._backoff.next()
            self._cursor = min(self._cursor, seq - 1)
            log.warning("delivery: the broker is full (%s); verdicts wait in the outbox", event.why)
        else:
            log.error("delivery: the broker will not take verdict %d: %s", seq, event.why)
            self._acknowledge.park(seq, event.why)

    def _finished(self) -> bool:
        if self._closing is None:
            return False
        deadline, _ = self._closing
        if self._environment.tick() >= deadline:
            return True
        if self._in_flight or self._replies:
            return False
        return not self._may_send() or not self._view.batch(self._cursor, 1)

    def _say_goodbye(self, link: Link) -> None:
        reason = self._closing[1] if self._closing else "the configuration of the broker changed"
        body = self._status("stopped", reason)
        mid = link.publish(f"{self._topic}/status", body, retain=True)
        deadline = self._environment.tick() + _GOODBYE_S
        while self._environment.tick() < deadline:
            event = self._next_event(0.1)
            self._handle(event)
            if isinstance(event, Answered) and event.mid == mid:
                return

    def _down(self, state: State, why: str) -> None:
        self.state = "refused" if self.state == "refused" else state
        self.why = why
        if why != self._reported and self._closing is None:
            log.warning("delivery: %s; verdicts are kept in the outbox", why)
        self._reported = why

    def _pause(self, seconds: float) -> None:
        deadline = self._environment.tick() + seconds
        while (
            self._closing is None
            and self._moving_to is None
            and (left := deadline - self._environment.tick()) > 0
        ):
            self._next_event(min(left, _TICK_S))
        if self.state != "stopped":
            self.state = "connecting"

    def _next_event(self, timeout: float) -> Event | _Wake | None:
        self.beat = self._environment.tick()
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def _discard_events(self) -> None:
        """What an earlier connection left behind must not be read as this one's."""
        while not self._events.empty():
            self._events.get()

    def _will(self) -> tuple[str, bytes]:
        return f"{self._topic}/status", self._status("offline", "the connection was lost")

    def _status(self, state: str, reason: str) -> bytes:
        return status_body(state, self._session, self._boot_id, self._environment.now(), reason)


def _first_version(config: Config) -> Protocol_:
    """Which MQTT to try first."""
    modern = not config.mqtt.embedded and config.mqtt.version in ("auto", "5")
    return "5" if modern else "3.1.1"
