"""The messages besides verdicts: retained topics, of which the newest body matters, and replies to
requests, which are sent once."""

import threading
from collections import deque
from dataclasses import dataclass

from edge.core.messages import MessageProperties
from edge.mqtt.events import ReplyTo

_MAX_REPLIES = 1000  # replies that may wait for the broker
_MAX_TOPIC_BYTES = 256


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
        about = MessageProperties(correlation=None if to is None else to.correlation)
        topics = [f"{self._base}/response/{name}"]
        other = None if to is None else to.topic
        if other is not None and other not in topics and self._is_allowed(other):
            topics.append(other)
        with self._lock:
            if len(self._replies) >= _MAX_REPLIES:
                return False
            self._replies += [OutgoingMessage(topic, body, False, about) for topic in topics]
        return True

    def connected(self) -> None:
        """A new connection: every retained topic is due again."""
        with self._lock:
            self._unsent = dict.fromkeys(self._newest)

    def next(self) -> OutgoingMessage | None:
        """Takes the next message that is due; None: there is none."""
        with self._lock:
            if self._unsent:
                topic = next(iter(self._unsent))
                del self._unsent[topic]
                return OutgoingMessage(topic, self._newest[topic], True, MessageProperties())
            return self._replies.popleft() if self._replies else None

    def replies_wait(self) -> bool:
        """Whether a reply is due."""
        with self._lock:
            return bool(self._replies)

    def _is_allowed(self, topic: str) -> bool:
        below = topic.startswith(f"{self._base}/response/")
        return below and len(topic.encode()) <= _MAX_TOPIC_BYTES and not set(topic) & set("+#\0")
