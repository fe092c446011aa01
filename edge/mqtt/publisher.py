"""The thread that sends the outbox to the broker. A row leaves the outbox only when the broker's
PUBACK says that the broker has it."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Literal

from edge.config import Config
from edge.core.clock import Clock
from edge.mqtt.breaking_messages import BreakingMessages, SentMessage
from edge.mqtt.diagnostics import BrokerConnectionError, NotAcceptedError
from edge.mqtt.event_queue import BEAT_S, EventQueue, Wake
from edge.mqtt.events import (
    MAX_PACKET,
    Connected,
    Connection,
    ConnectionFactory,
    Event,
    Lost,
    MqttVersion,
    OnRequest,
    PubAck,
    Received,
    Refused,
    ReplyTo,
    Subscribed,
    SubscribeRefused,
    await_connack,
)
from edge.mqtt.failover import Backoff, BrokerFailover
from edge.mqtt.retained import RetainedTopics
from edge.mqtt.send_scheduler import WINDOW, AckSink, Cause, SendScheduler
from edge.mqtt.sender import InFlightWindow, Sender
from edge.mqtt.status import BirthAndWill
from edge.mqtt.subscriptions import Subscriptions
from edge.storage import OutboxError, SendQueue

log = logging.getLogger(__name__)

State = Literal["connecting", "online", "refused", "offline", "stopped"]
_GOODBYE_S = 2.0  # for the PUBACK of `stopped`
_STABLE_S = 30.0  # a connection that lasts this long was a good one
_ACK_TIMEOUT = 1.5  # of keepalive
_SHORTEST_KEEPALIVE_S = 5  # for the timeout: a broker may ask for one second
_CLOSING_STEP_S = 1.0  # a closing publisher checks for its end at this interval
_SHORTEST_WAIT_S = 0.01


class Publisher:
    """Health reads the public attributes. `why`: why there is no connection; empty when there is
    one. `reconnects`: connections after the first."""

    def __init__(
        self,
        *,
        config: Config,
        session: str,
        events: EventQueue,
        rows: SendQueue,
        acks: AckSink,
        clock: Clock,
        connect: ConnectionFactory,
        may_send: Callable[[], bool] = lambda: True,
        backoff: Backoff | None = None,
    ) -> None:
        """
        events: its event queue; the outbox's writer puts a `Wake` there.
        may_send: asked before rows are sent; False leaves them in the outbox.
        """
        self.state: State = "connecting"
        self.why = ""
        self.reconnects = 0
        self.max_packet = MAX_PACKET  # of the broker of this connection, or of the last one
        self._topic = config.topic
        self._session, self._clock, self._connect = session, clock, connect
        self._end: Lost | Refused | None = None  # how the connection ended
        self._requests = False
        self._full_window = 1
        self._backoff = backoff or Backoff(1.0, 60.0)
        self._events = events
        self._retained = RetainedTopics(self._topic)
        self._window = InFlightWindow()
        topic = f"{self._topic}/result"
        self._scheduler = SendScheduler(rows, acks, clock, topic=topic, backoff=self._backoff)
        self._sender = Sender(
            self._retained,
            self._scheduler,
            self._window,
            rows,
            topic=topic,
            max_age_s=config.outbox.max_age_h * 3600,
            may_send=may_send,
        )
        self._use(config)
        self._closing: tuple[float, str] | None = None
        self._new_config: Config | None = None
        self._reported: set[str] = set()
        self._wrong_version = self._stable = False
        self._connected_at = 0.0

    @property
    def beat(self) -> float:
        """When its thread last made progress, monotonic seconds."""
        return self._events.beat

    @property
    def version(self) -> MqttVersion:
        """The version of MQTT that is spoken, or tried next."""
        return self._brokers.version

    @property
    def broker(self) -> tuple[str, int]:
        """Host and port of the broker that is connected, or tried next."""
        return self._brokers.current

    @property
    def at(self) -> str:
        """`broker` as text."""
        return str(self._brokers)

    @property
    def refused(self) -> dict[Cause, int]:
        """The broker's refusals of rows, by cause."""
        return dict(self._scheduler.refused)

    def faults(self) -> list[str]:
        """The present faults of the connection, one sentence each."""
        why = [self.why] if self.why else []
        parts = (self._scheduler, self._status, self._subscriptions, self._breaking)
        return why + [fault for part in parts for fault in part.faults()]

    def wake(self) -> None:
        """New rows are in the outbox."""
        self._events.wake()

    def announce(self, name: str, body: bytes) -> None:
        """Publishes the retained `<prefix>/<station>/<name>`; only the newest body matters."""
        self._retained.announce(name, body)
        self._events.wake()

    def reply(self, name: str, body: bytes, to: ReplyTo | None = None) -> bool:
        """Publishes once on `<prefix>/<station>/response/<name>`, and where `to` asks. A restart
        loses it. False: too many replies wait."""
        queued = self._retained.reply(name, body, to)
        self._events.wake()
        return queued

    def event(self, body: bytes) -> None:
        """Publishes once on `<prefix>/<station>/event`. A restart loses it; the journal has it."""
        if self._retained.event(body):
            self._events.wake()

    def reconfigure(self, config: Config) -> None:
        """Publishes `stopped` and connects again with the settings of `config`."""
        self._new_config = config
        self._events.wake()

    def close(self, grace_s: float, reason: str) -> None:
        """Sends the outbox for at most `grace_s` seconds, publishes `stopped`, and ends."""
        self._closing = self._clock.tick() + grace_s, reason
        self._events.wake()

    def run(self, on_request: OnRequest | None = None) -> None:
        """Connects and serves connections until closed. `on_request` is called on the connection's
        thread; None: no requests are subscribed to."""
        self._requests = on_request is not None
        self._use_subscriptions()
        while self._closing is None:
            if self._new_config is not None:
                config, self._new_config = self._new_config, None
                self._use(config)
                self._backoff.reset()
                log.info("delivery: connecting again with the new settings of config.yaml")
            self._wrong_version = False
            try:
                self._serve(on_request)
            except NotAcceptedError as error:
                self._wrong_version = error.wrong_version
                if error.hung_up:
                    self._brokers.hung_up()
                if error.no_retain and self._brokers.retain:
                    self._brokers.drop_retain(certain=True)
                    log.warning("delivery: %s; connecting without them", error)
                    continue
                self._set_down("refused" if error.refused else "offline", str(error))
            except (BrokerConnectionError, OutboxError) as error:
                self._set_down("offline", str(error))
            except Exception as error:  # outermost loop: the publisher must go on
                log.exception("delivery: unexpected fault")
                self._set_down("offline", f"internal fault ({error!r})")
            if self._new_config is None and self._brokers.advance(
                wrong_version=self._wrong_version
            ):
                self._events.sleep(self._backoff.next(), self._is_leaving)
            self.state = "connecting"
        self.state = "stopped"

    def _use(self, config: Config) -> None:
        self._keepalive_s = config.mqtt.keepalive_s
        self._brokers = BrokerFailover(config.mqtt)
        self._status = BirthAndWill(config, self._session, self._clock)
        self._scheduler.replay_per_s = config.mqtt.replay_per_s
        self._breaking_at: dict[str, BreakingMessages] = {}  # by broker
        self._breaking = BreakingMessages()
        self._use_subscriptions()

    def _use_subscriptions(self) -> None:
        requests = [f"{self._topic}/request/+"] if self._requests else []
        self._subscriptions = Subscriptions([self._status.topic, *requests])

    def _serve(self, on_request: OnRequest | None) -> None:
        """One connection, from CONNECT to its end. Raises BrokerConnectionError."""
        receive = partial(self._receive, on_request)
        brokers, will = self._brokers, self._status.will()
        connection = self._connect(brokers.version, will, receive, brokers.retain)
        try:
            self._events.clear()
            connection.open()
            accepted = await_connack(self._events.next, self._clock.tick, self._is_leaving, self.at)
            self._send_until_end(connection, accepted)
            self._say_goodbye(connection)
        finally:
            connection.close()

    def _send_until_end(self, connection: Connection, accepted: Connected) -> None:
        """Raises BrokerConnectionError, after the cause was looked for."""
        try:
            self._begin(connection, accepted)
            while self._new_config is None and not self._finished():
                for event in self._events.drain(self._fill(connection)):
                    self._handle(event)
                self._check(connection)
        except BrokerConnectionError as error:
            for event in self._events.drain(0):  # sending may fail before its reason is read
                if isinstance(event, PubAck):
                    self._handle(event)
                elif isinstance(event, Lost | Refused):
                    self._end = event
            self._find_cause(self._end or Lost(str(error)), self._clock.tick())
            raise

    def _receive(self, on_request: OnRequest | None, event: Event) -> None:
        """An event of the connection, on its thread. A request is answered there: a trigger must
        not wait for the disk."""
        if not isinstance(event, Received):
            self._events.put(event)
        elif event.topic == self._status.topic:
            self._status.status_received(event, self.wake)
        elif on_request is not None:
            name = event.topic.removeprefix(f"{self._topic}/request/")
            on_request(name, event)

    def _begin(self, connection: Connection, accepted: Connected) -> None:
        """Starts the window of a new connection, and publishes `online`."""
        if self._reported:
            self.reconnects += 1
        log.info("delivery: connected to the broker, MQTT %s, at %s", self.version, self.at)
        self.state, self.why, self._reported = "online", "", {"online"}
        self._stable, self._connected_at, self._end = False, self._clock.tick(), None
        self.max_packet = accepted.max_packet
        self._brokers.accepted()
        if not (accepted.keeps_retained and self._brokers.retain):
            log.warning(
                "delivery: the broker at %s keeps no retained messages: a client that subscribes "
                "later gets status, info and health only when they are sent again",
                self.at,
            )
        self._breaking = self._breaking_at.setdefault(self.at, BreakingMessages())
        self._breaking.connected()
        if self._breaking.careful:
            log.warning("delivery: sending verdicts first and one message at a time: the broker "
                        "has ended connections within seconds")  # fmt: skip
        self._full_window = max(1, min(WINDOW, accepted.receive_maximum))
        size = 1 if self._breaking.careful else self._full_window
        keepalive_s = min(self._keepalive_s, accepted.keepalive_s or self._keepalive_s)
        self._window.begin(size, _ACK_TIMEOUT * max(_SHORTEST_KEEPALIVE_S, keepalive_s))
        self._scheduler.begin(self._full_window)
        self._sender.begin(self._breaking, self._connected_at)
        self._subscriptions.connected()
        self._subscribe(connection, self._connected_at)  # first: who sees `online` may ask
        self._publish_online(connection, self._connected_at)
        self._retained.connected()

    def _publish_online(self, connection: Connection, now: float) -> None:
        mid = self._status.online(connection, now)
        self._window.add(mid, SentMessage(now, self._status.topic, 0))

    def _fill(self, connection: Connection) -> float:
        """Fills the window. Returns how many seconds may pass until more is due."""
        now = self._clock.tick()
        if self._window.room and self._status.due_in_s(now) <= 0:
            self._publish_online(connection, now)
        self._sender.fill(connection, now)
        due = [BEAT_S, self._subscribe(connection, now)]
        if self._window.room:
            due.append(self._status.due_in_s(now))
        if self._closing is not None:
            due += [_CLOSING_STEP_S, self._closing[0] - now]
        return self._sender.wait_s(now, max(_SHORTEST_WAIT_S, min(due)))

    def _subscribe(self, connection: Connection, now: float) -> float:
        """Subscribes where that is due. Returns how many seconds may pass until more is."""
        if not self._breaking.careful:
            self._subscriptions.send(connection, now, most=2)
        elif self._window.empty and not self._sender.verdicts_only(now):
            if self._subscriptions.waiting is None:
                self._subscriptions.send(connection, now, most=1)
        else:
            return BEAT_S
        return self._subscriptions.due_in_s(now)

    def _handle(self, event: Event | Wake | None) -> None:
        if isinstance(event, Lost | Refused):
            self._end = event
            raise BrokerConnectionError(f"the connection to the broker is lost ({event.why})")
        if isinstance(event, PubAck):
            message = self._window.acknowledge(event.mid)
            if message is not None and message.seq:
                self._scheduler.settle(message.seq, event.code, event.why)
                return
            self._status.acknowledged(event)
            if message is not None:
                self._breaking.taken(message)
        elif isinstance(event, SubscribeRefused):
            self._subscriptions.refused(event, self._clock.tick())
        elif isinstance(event, Subscribed):
            self._subscriptions.granted(event.pattern)

    def _find_cause(self, event: Lost | Refused, now: float) -> None:
        """Finds what ended the connection: a message of ours, a SUBSCRIBE, a message for us, or
        another client with our name."""
        lost = event if isinstance(event, Lost) else Lost(event.why)
        lasted_s, waiting = now - self._connected_at, self._subscriptions.waiting
        if lost.too_long_on is not None:
            self._subscriptions.too_long(lost.too_long_on, lost.why, now)
            return
        proven = lost.code != 0
        in_flight = self._window.in_flight()
        sent = self._breaking.connection_ended(in_flight, lasted_s, proven=proven)
        if self._breaking.checks_suspect and not lost.taken_over:
            return
        if lost.taken_over or (sent is None and not (self._breaking.careful and waiting)):
            self._status.connection_ended(lost, lasted_s)
        elif sent is None:
            self._subscriptions.broke(waiting or "", now)
        elif sent.seq:
            self._scheduler.suspect(sent.seq, sent.size, lost.why, proven=proven)
        elif sent.topic == self._status.topic:
            self._brokers.drop_retain(certain=False)
        else:
            self._breaking.hold(sent, now, shortens=sent.topic == f"{self._topic}/health")

    def _check(self, connection: Connection) -> None:
        """Raises BrokerConnectionError for a connection that only looks alive."""
        now = self._clock.tick()
        if not self._stable and now - self._connected_at > _STABLE_S:
            self._stable = True
            self._backoff.reset()
            self._brokers.mark_stable()
            self._breaking.stable()
            self._subscriptions.stable()
            self._window.size = self._full_window
        if self._window.overdue_in_s(now) < 0:
            raise BrokerConnectionError(
                f"no answer to a message for {self._window.ack_timeout_s:g} s"
            )
        # an event may come between the first look into the queue and the end of the thread
        if self._events.empty() and not connection.alive() and self._events.empty():
            raise BrokerConnectionError("the connection's thread has ended")

    def _is_leaving(self) -> bool:
        return self._closing is not None or self._new_config is not None

    def _finished(self) -> bool:
        if self._closing is None:
            return False
        return self._clock.tick() >= self._closing[0] or self._sender.done

    def _say_goodbye(self, connection: Connection) -> None:
        """Publishes `stopped`, and waits for its PUBACK."""
        reason = self._closing[1] if self._closing else "the configuration of the broker changed"
        mid = self._status.stopped(connection, reason)
        deadline = self._clock.tick() + _GOODBYE_S
        while self._clock.tick() < deadline:
            self._handle(event := self._events.next(0.1))
            if isinstance(event, PubAck) and event.mid == mid:
                return

    def _set_down(self, state: State, why: str) -> None:
        self.state, self.why = state, why
        if why not in self._reported and self._closing is None:
            log.warning("delivery: %s; verdicts are kept in the outbox", why)
        self._reported.add(why)
