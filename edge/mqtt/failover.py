"""Which broker is tried next, and in which version of MQTT."""

from edge.config import MqttConfig
from edge.mqtt.events import Protocol_


class BrokerFailover:
    """The brokers of config.yaml in their order of preference: after a failure the next one; after
    a connection that lasted, the first one again."""

    def __init__(self, config: MqttConfig) -> None:
        self._brokers = config.brokers
        self._auto = config.version == "auto"
        first: Protocol_ = "3.1.1"
        if not config.embedded and config.version in ("auto", "5"):
            first = "5"
        self._versions: list[Protocol_] = [first] * len(self._brokers)
        self._at = 0
        self._other_tried = self._lasted = False

    @property
    def current(self) -> tuple[str, int]:
        """Host and port."""
        return self._brokers[self._at]

    @property
    def version(self) -> Protocol_:
        """The MQTT that it speaks, as far as it is known."""
        return self._versions[self._at]

    def __str__(self) -> str:
        return f"{self.current[0]}:{self.current[1]}"

    def lasts(self) -> None:
        """The connection has proved good."""
        self._lasted = True
        self._other_tried = False

    def failed(self, wrong_version: bool) -> bool:
        """Goes on to the next. True when all were tried, so that it is time to wait."""
        if self._lasted:
            self._lasted = False
            self._at = 0
            return True
        if wrong_version and self._auto:
            self._versions[self._at] = "3.1.1" if self.version == "5" else "5"
            self._other_tried = not self._other_tried
            if self._other_tried:
                return len(self._brokers) == 1
        self._other_tried = False
        self._at = (self._at + 1) % len(self._brokers)
        return self._at == 0
