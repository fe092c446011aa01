"""Which broker is tried next, in which version of MQTT, and after what pause."""

import random

from edge.config import MqttConfig
from edge.mqtt.events import MqttVersion

_HANG_UPS = 2


class Backoff:
    """Decorrelated jitter: pause = min(cap, uniform(base, 3 × previous pause)). Forty boxes that
    lose one broker do not all reconnect in the same second."""

    def __init__(self, base_s: float, cap_s: float, rng: random.Random | None = None) -> None:
        self._base, self._cap = base_s, cap_s
        self._rng = rng or random.Random()
        self._pause = base_s

    def next(self) -> float:
        """The pause before the next attempt, in seconds."""
        self._pause = min(self._cap, self._rng.uniform(self._base, self._pause * 3))
        return self._pause

    def reset(self) -> None:
        """Starts from the base again, after a success."""
        self._pause = self._base


class BrokerFailover:
    """Goes through the brokers of config.yaml in their order of preference. After a failure it
    takes the next one; after the loss of a stable connection it takes the first one."""

    def __init__(self, config: MqttConfig) -> None:
        self._brokers = config.brokers
        self._auto = config.version == "auto"
        first: MqttVersion = "3.1.1"
        if not config.embedded and config.version in ("auto", "5"):
            first = "5"
        self._versions: list[MqttVersion] = [first] * len(self._brokers)
        self._index = 0
        self._other_version_tried = self._stable = False
        self._no_retain: dict[int, bool] = {}  # broker -> whether that is certain
        self._hang_ups = 0
        self._accepted = False

    @property
    def retain(self) -> bool:
        """Whether messages may be retained there."""
        return self._index not in self._no_retain

    @property
    def current(self) -> tuple[str, int]:
        """Host and port of the broker that is tried."""
        return self._brokers[self._index]

    @property
    def version(self) -> MqttVersion:
        """The version of MQTT that is tried."""
        return self._versions[self._index]

    def __str__(self) -> str:
        return f"{self.current[0]}:{self.current[1]}"

    def mark_stable(self) -> None:
        """The present connection has lasted."""
        self._stable = True
        self._other_version_tried = False

    def drop_retain(self, *, certain: bool) -> None:
        """The present broker keeps no retained messages. `certain`: it said so; else the next
        connection is tried with retained messages again."""
        self._no_retain[self._index] = certain

    def hung_up(self) -> None:
        """The present broker ended the connection without CONNACK. Over MQTT 3.1.1 that is also
        how a broker without retained messages refuses our will: the attempt after two of these
        goes without."""
        if self.version == "5":
            return
        self._hang_ups += 1
        if not self.retain:
            self._no_retain.pop(self._index, None)
        elif self._hang_ups >= _HANG_UPS:
            self.drop_retain(certain=False)

    def accepted(self) -> None:
        """The present broker accepted the connection."""
        self._accepted = True
        self._hang_ups = 0 if self.retain else _HANG_UPS - 1

    def advance(self, *, wrong_version: bool) -> bool:
        """Chooses the next broker or MQTT version after a failure. True when all brokers were
        tried, so that a pause is due. `wrong_version`: the other version of MQTT may work."""
        if self._accepted:
            self._accepted = False
            if self._no_retain.get(self._index) is False:
                del self._no_retain[self._index]
        if self._stable:
            self._stable = False
            self._index = 0
            return True
        if wrong_version and self._auto:
            self._versions[self._index] = "3.1.1" if self.version == "5" else "5"
            self._other_version_tried = not self._other_version_tried
            if self._other_version_tried:
                return len(self._brokers) == 1
        self._other_version_tried = False
        self._index = (self._index + 1) % len(self._brokers)
        return self._index == 0
