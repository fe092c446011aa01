"""What is published besides verdicts: retained topics of which only the newest body matters, and
answers to requests, which are said once."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from edge.delivery.events import About, ReplyTo

_REPLIES = 1000  # answers that may wait for the broker
_TOPIC_BYTES = 256


@dataclass(frozen=True, slots=True)
class Said:
    """One message to publish."""

    topic: str
    body: bytes
    retain: bool
    about: About


class Announcements:
    """Safe between threads. `base` is `<prefix>/<station>`."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._newest: dict[str, bytes] = {}  # kept for every connect
        self._unsent: dict[str, None] = {}
        self._replies: deque[Said] = deque()

    def announce(self, name: str, body: bytes) -> None:
        """Retained `<base>/<name>`."""
        self._newest[f"{self._base}/{name}"] = body
        self._unsent[f"{self._base}/{name}"] = None

    def reply(self, name: str, body: bytes, to: ReplyTo | None) -> bool:
        """`<base>/response/<name>`; and where the request wants it, below `<base>/response/`: an
        answer must not pass for a verdict, and nobody shall make us write elsewhere. False: too
        many wait already."""
        if len(self._replies) >= _REPLIES:
            return False
        about = About(correlation=None if to is None else to.correlation)
        topic = f"{self._base}/response/{name}"
        self._replies.append(Said(topic, body, False, about))
        if to is None or to.topic is None or to.topic == topic:
            return True
        allowed = to.topic.startswith(f"{self._base}/response/")
        if allowed and len(to.topic.encode()) <= _TOPIC_BYTES and not set(to.topic) & set("+#\0"):
            self._replies.append(Said(to.topic, body, False, about))
        return True

    def connected(self) -> None:
        """All that is retained is due again."""
        self._unsent = dict.fromkeys(self._newest)

    def take(self, room: int) -> Iterator[Said]:
        """At most so many that are due."""
        for topic in list(self._unsent)[: max(0, room)]:
            self._unsent.pop(topic, None)
            room -= 1
            yield Said(topic, self._newest[topic], True, About())
        while room > 0 and self._replies:
            room -= 1
            yield self._replies.popleft()

    def replies_wait(self) -> bool:
        """Whether answers are due."""
        return bool(self._replies)
