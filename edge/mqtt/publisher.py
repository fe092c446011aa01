"""The thread that empties the outbox: rows go to the broker, at most a window of them at a time,
and a row is forgotten only when the broker's PUBACK says that it has it."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Literal

from edge.config import Config
from edge.core.clock import Clock
from edge.mqtt.backoff import Backoff
from edge.mqtt.connection import await_connack
from edge.mqtt.diagnostics import LinkError, NotAcceptedError
from edge.mqtt.event_queue import BEAT_S, EventQueue, Wake
from edge.mqtt.events import (
    Connected,
    Connection,
    Event,
    LinkFactory,
    Lost,
    OnRequest,
    Protocol_,
    PubAck,
    Received,
    Refused,
    ReplyTo,
    SubscribeRefused,
)
from edge.mqtt.failover import BrokerFailover
from edge.mqtt.inflight_window import InFlightWindow
from edge.mqtt.puback import Cause
from edge.mqtt.retained import RetainedTopics
from edge.mqtt.send_scheduler import WINDOW, Acknowledge, RowSource, SendScheduler
from edge.mqtt.sender import Sender
from edge.mqtt.status import BirthAndWill
from edge.storage import OutboxError

log = logging.getLogger(__name__)

State = Literal["connecting", "online", "refused", "offline", "stopped"]
_GOODBYE_S = 2.0
_LASTS_S = 30.0  # a connection that lives so long was a good one
_SILENT = 1.5  # of keepalive: so long a PUBACK may take
_CLOSING_S = 1.0  # while closing, the end is looked for so often
_LEAST_S = 0.01


class Publisher:
    """Public attributes are for `health`: `state`, `why`, `reconnects`, `beat`, `at`, `refused`."""

    def __init__(
        self,
        *,
        config: Config,
        session: str,
        inbox: EventQueue,
        view: RowSource,
        acknowledge: Acknowledge,
        environment: Clock,
        link_factory: LinkFactory,
        may_send: Callable[[], bool] = lambda: True,
        backoff: Backoff | None = None,
    ) -> None:
        """`may_send`: asked before rows are handed over; False leaves them in the outbox. `inbox`:
        its events; the writer of the outbox puts a `Wake` there."""
        self.state: State = "connecting"
        self.why = ""  # there is no connection; empty when there is one
        self.reconnects = 0
        self._topic = config.topic
        self._environment = environment
        self._factory = link_factory
        self._backoff = backoff or Backoff(1.0, 60.0)
        topic = f"{self._topic}/result"
        self._lanes = SendScheduler(
            view, acknowledge, environment, topic=topic, backoff=self._backoff
        )
        self._session = session
        self._speak_as(config)
        self._announcements = RetainedTopics(self._topic)
        self._inbox = inbox
        self._closing: tuple[float, str] | None = None
        self._moving_to: Config | None = None
        self._reported: set[str] = set()
        self._wrong_version = self._lasted = False
        self._since = 0.0  # when this connection was accepted
        self._flight = InFlightWindow()
        self._sender = Sender(
            self._announcements,
            self._lanes,
            self._flight,
            view,
            topic=topic,
            max_age_s=config.outbox.max_age_h * 3600,
            may_send=may_send,
        )

    @property
    def beat(self) -> float:
        """When its thread last looked around, in monotonic seconds."""
        return self._inbox.beat

    @property
    def version(self) -> Protocol_:
        """The MQTT that the broker speaks, as far as it is known."""
        return self._brokers.version

    @property
    def broker(self) -> tuple[str, int]:
        """Host and port of the broker that is spoken to, or tried next."""
        return self._brokers.current

    @property
    def at(self) -> str:
        """The same as text."""
        return str(self._brokers)

    @property
    def refused(self) -> dict[Cause, int]:
        """How many times the broker would not take a row, by cause."""
        return dict(self._lanes.refused)

    def faults(self) -> list[str]:
        """What stands between the box and its plant, a sentence each."""
        return [text for text in (self.why, self._lanes.trouble) if text] + self._presence.faults()

    def wake(self) -> None:
        """New rows are in the outbox."""
        self._inbox.wake()

    def announce(self, name: str, body: bytes) -> None:
        """Publishes the retained `<prefix>/<station>/<name>`; only the newest body matters."""
        self._announcements.announce(name, body)
        self._inbox.wake()

    def reply(self, name: str, body: bytes, to: ReplyTo | None = None) -> bool:
        """Publishes on `<prefix>/<station>/response/<name>`, once, and where else `to` wants it;
        not kept past a restart. False: too many wait."""
        kept = self._announcements.reply(name, body, to)
        self._inbox.wake()
        return kept

    def move(self, config: Config) -> None:
        """Another broker, or other words to the same: says `stopped` and connects anew."""
        self._moving_to = config
        self._inbox.wake()

    def close(self, grace_s: float, reason: str) -> None:
        """Send what is there for at most `grace_s` seconds, say `stopped`, and end."""
        self._closing = self._environment.tick() + grace_s, reason
        self._inbox.wake()

    def run(self, on_request: OnRequest | None = None) -> None:
        """Until closed: connect, serve the connection until it is lost, wait, again. `on_request`
        is called on the connection's thread; None: nothing can be requested."""
        while self._closing is None:
            if self._moving_to is not None:
                config, self._moving_to = self._moving_to, None
                self._speak_as(config)
                self._backoff.reset()
                log.info("delivery: connecting anew, as config.yaml says now")
            self._wrong_version = False
            try:
                self._serve(on_request)
            except NotAcceptedError as error:
                self._wrong_version = error.wrong_version
                self._down("refused" if error.refused else "offline", str(error))
            except (LinkError, OutboxError) as error:
                self._down("offline", str(error))
            except Exception as error:  # outermost loop: a fault here must not silence the box
                log.exception("delivery: unexpected fault")
                self._down("offline", f"internal fault ({error!r})")
            if self._moving_to is None and self._brokers.failed(self._wrong_version):
                self._inbox.pass_time(self._backoff.next(), self._is_leaving)
            self.state = "connecting"
        self.state = "stopped"

    def _speak_as(self, config: Config) -> None:
        self._keepalive_s = config.mqtt.keepalive_s
        self._brokers = BrokerFailover(config.mqtt)
        self._presence = BirthAndWill(config, self._session, self._environment)
        self._lanes.replay_per_s = config.mqtt.replay_per_s

    def _serve(self, on_request: OnRequest | None) -> None:
        """One connection, from CONNECT to its end. Raises LinkError when it is lost."""
        hear = partial(self._hear, on_request)
        link = self._factory(self._brokers.version, self._presence.will(), hear)
        try:
            self._inbox.clear()
            link.open()
            accepted = await_connack(
                self._inbox.next, self._environment.tick, self._is_leaving, self.at
            )
            self._greet(link, accepted)
            link.subscribe(self._presence.topic)
            if on_request is not None:
                link.subscribe(f"{self._topic}/request/+")
            while self._moving_to is None and not self._finished():
                for event in self._inbox.all(self._fill(link)):
                    self._handle(event)
                self._watch(link)
            self._say_goodbye(link)
        finally:
            link.close()

    def _hear(self, on_request: OnRequest | None, event: Event) -> None:
        """What the link says. A request is handled at once, on the link's thread: a trigger must
        not wait for the disk."""
        if not isinstance(event, Received):
            self._inbox.put(event)
        elif event.topic == self._presence.topic:
            self._presence.hear(event, self.wake)
        elif on_request is not None:
            name = event.topic.removeprefix(f"{self._topic}/request/")
            on_request(name, event.body, event.retained, event.reply_to)

    def _greet(self, link: Connection, accepted: Connected) -> None:
        if self._reported:
            self.reconnects += 1
        log.info("delivery: connected to the broker, MQTT %s, at %s", self.version, self.at)
        self.state, self.why, self._reported = "online", "", {"online"}
        self._lasted, self._since = False, self._environment.tick()
        window = max(1, min(WINDOW, accepted.receive_maximum))
        self._flight.begin(window, _SILENT * (accepted.keepalive_s or self._keepalive_s))
        self._lanes.begin(window)
        self._flight.add(self._presence.online(link, self._since), self._since)
        self._announcements.connected()

    def _fill(self, link: Connection) -> float:
        """Hands the broker as many messages as its window has room for. Returns for how many
        seconds nothing more is due, if nothing happens."""
        now = self._environment.tick()
        if self._flight.room and self._presence.due(now):
            self._flight.add(self._presence.online(link, now), now)
        self._sender.fill(link, now)
        due = [BEAT_S]
        if self._flight.room:
            due.append(self._presence.due_in_s(now))
        if self._closing is not None:
            due += [_CLOSING_S, self._closing[0] - now]
        return self._sender.wait_s(now, max(_LEAST_S, min(due)))

    def _handle(self, event: Event | Wake | None) -> None:
        if isinstance(event, Lost | Refused):
            self._presence.lost(event, self._environment.tick() - self._since)
            raise LinkError(f"the connection to the broker is lost ({event.why})")
        if isinstance(event, PubAck):
            if seq := self._flight.answered(event.mid):
                self._lanes.settle(seq, event.code, event.why)
            else:
                self._presence.announced(event)
        elif isinstance(event, SubscribeRefused):
            self._presence.deaf(event)

    def _watch(self, link: Connection) -> None:
        """A connection that looks alive and is not is thrown away. Raises LinkError."""
        now = self._environment.tick()
        if not self._lasted and now - self._since > _LASTS_S:
            self._lasted = True
            self._backoff.reset()
            self._brokers.lasts()
        if self._flight.overdue(now):
            raise LinkError(f"no answer to a message for {self._flight.bound_s:g} s")
        if self._inbox.empty() and not link.alive() and self._inbox.empty():
            raise LinkError("the connection's thread has ended")

    def _is_leaving(self) -> bool:
        return self._closing is not None or self._moving_to is not None

    def _finished(self) -> bool:
        if self._closing is None:
            return False
        return self._environment.tick() >= self._closing[0] or self._sender.done

    def _say_goodbye(self, link: Connection) -> None:
        reason = self._closing[1] if self._closing else "the configuration of the broker changed"
        mid = self._presence.stopped(link, reason)
        end = self._environment.tick() + _GOODBYE_S
        while self._environment.tick() < end:
            self._handle(event := self._inbox.next(0.1))
            if isinstance(event, PubAck) and event.mid == mid:
                return

    def _down(self, state: State, why: str) -> None:
        self.state, self.why = state, why
        if why not in self._reported and self._closing is None:
            log.warning("delivery: %s; verdicts are kept in the outbox", why)
        self._reported.add(why)
