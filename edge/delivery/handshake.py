"""Waiting for the broker's answer to CONNECT: accepted, refused, hung up on, or silence."""

from collections.abc import Callable

from edge.delivery.events import Connected, Lost, Refused
from edge.delivery.troubles import LinkError

CONNACK_S = 5.0
_STEP_S = 1.0


class NotAcceptedError(LinkError):
    """There was a connection, but the broker does not want it. `wrong_version`: it may in the
    other version of MQTT. `refused`: it has said no in so many words."""

    def __init__(self, sentence: str, *, wrong_version: bool, refused: bool = False) -> None:
        super().__init__(sentence)
        self.wrong_version, self.refused = wrong_version, refused


def await_connack(
    next_event: Callable[[float], object],
    tick: Callable[[], float],
    closing: Callable[[], bool],
    at: str,
) -> Connected:
    """The broker's acceptance. `next_event` waits so many seconds at most. Raises
    NotAcceptedError, and LinkError when the daemon stops meanwhile."""
    deadline = tick() + CONNACK_S
    while (left := deadline - tick()) > 0:
        event = next_event(min(left, _STEP_S))
        if isinstance(event, Connected):
            return event
        if isinstance(event, Refused):
            raise NotAcceptedError(event.why, wrong_version=event.wrong_version, refused=True)
        if isinstance(event, Lost):
            raise NotAcceptedError(
                f"the broker at {at} hung up before it answered ({event.why}); check that "
                "mqtt.port is its MQTT port (a TLS port needs mqtt.tls), and see its log",
                wrong_version=True,
            )
        if closing():
            raise LinkError("stopping")
    raise NotAcceptedError(  # amqtt, for one, meets version 5 with silence
        f"{at} took the connection but did not answer in {CONNACK_S:g} s; check that mqtt.port is "
        "the broker's MQTT port (with mqtt.tls its TLS port)",
        wrong_version=True,
    )
