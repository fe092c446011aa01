"""The messages besides verdicts: retained topics, of which the newest body matters, and replies to
requests and events, which are sent once."""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.core.messages import MessageProperties, to_json
from edge.mqtt.events import ReplyTo

_MAX_REPLIES = 1000  # replies that may wait for the broker
_MAX_TOPIC_BYTES = 256
_MAX_CORRELATION = 1024  # bytes; a longer one is not returned: a thousand replies may wait
HEALTH_SHORT_SCHEMA = "edge-inspect/health-short/1"
_SHORT_FAULTS = 3
_SHORT_FAULT = 200  # characters


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message to publish."""

    topic: str
    body: bytes
    retain: bool
    about: MessageProperties


class RetainedTopics:
    """Safe between threads. `base` is `<prefix>/<station>`."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._lock = threading.Lock()
        self._newest: dict[str, bytes] = {}  # sent again at every connect
        self._unsent: dict[str, None] = {}
        self._replies: deque[OutgoingMessage] = deque()

    def announce(self, name: str, body: bytes) -> None:
        """Replaces the body of the retained topic `<base>/<name>`."""
        topic = f"{self._base}/{name}"
        with self._lock:
            self._newest[topic] = body
            self._unsent[topic] = None

    def reply(self, name: str, body: bytes, to: ReplyTo | None) -> bool:
        """Queues a reply for `<base>/response/<name>`, and for the request's own response topic if
        that lies below `<base>/response/`: a reply must not look like a verdict. False: too many
        replies wait."""
        correlation = None if to is None else to.correlation
        if correlation is not None and len(correlation) > _MAX_CORRELATION:
            correlation = None
        about = MessageProperties(correlation=correlation)
        topics = [f"{self._base}/response/{name}"]
        other = None if to is None else to.topic
        if other is not None and other not in topics and self._is_allowed(other):
            topics.append(other)
        with self._lock:
            if len(self._replies) >= _MAX_REPLIES:
                return False
            self._replies += [OutgoingMessage(topic, body, False, about) for topic in topics]
        return True

    def event(self, body: bytes) -> bool:
        """Queues a message for `<base>/event`, which is sent once. False: too many wait."""
        message = OutgoingMessage(f"{self._base}/event", body, False, MessageProperties())
        with self._lock:
            if len(self._replies) >= _MAX_REPLIES:
                return False
            self._replies.append(message)
        return True

    def connected(self) -> None:
        """A new connection: every retained topic is due again."""
        with self._lock:
            self._unsent = dict.fromkeys(self._newest)

    def next(
        self, is_left_out: Callable[[str], bool] = lambda _topic: False
    ) -> OutgoingMessage | None:
        """Takes the next message that is due; None: there is none. Retained topics that are left
        out stay due, replies are dropped."""
        with self._lock:
            for topic in self._unsent:
                if not is_left_out(topic):
                    del self._unsent[topic]
                    return OutgoingMessage(topic, self._newest[topic], True, MessageProperties())
            while self._replies:
                reply = self._replies.popleft()
                if not is_left_out(reply.topic):
                    return reply
            return None

    def replies_wait(self) -> bool:
        """Whether a reply is due."""
        with self._lock:
            return bool(self._replies)

    def _is_allowed(self, topic: str) -> bool:
        below = topic.startswith(f"{self._base}/response/")
        return below and len(topic.encode()) <= _MAX_TOPIC_BYTES and not set(topic) & set("+#\0")


def shortened(message: OutgoingMessage) -> OutgoingMessage | None:
    """`health` in its short form, for a broker that does not take the whole; None: other topics
    have none."""
    if not message.topic.endswith("/health") or not message.retain:
        return None
    try:
        body = json.loads(message.body)
        faults = [str(fault)[:_SHORT_FAULT] for fault in body["faults"][:_SHORT_FAULTS]]
        kept = {name: body[name] for name in ("time", "session", "healthy")}
    except (ValueError, TypeError, KeyError):
        return None
    return replace(message, body=to_json({"schema": HEALTH_SHORT_SCHEMA, **kept, "faults": faults}))
