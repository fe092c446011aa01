"""The network thread sleeps until bytes come or a ping is due: real paho, virtual time."""

import select
import socket
from collections.abc import Callable

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edge.mqtt.io_loop import IoLoop
from tests.support.clock import FakeClock

KEEPALIVE_S = 30
_CONNACK, _PINGREQ, _PINGRESP = b"\x20\x02\x00\x00", b"\xc0\x00", b"\xd0\x00"
_CHATTER = b"\x30\x04\x00\x01tx"  # PUBLISH, QoS 0: needs no answer


class Peer:
    """A broker that is stepped on the thread of the test."""

    def __init__(self, clock: FakeClock, *, answers: bool, chatters_every_s: float, goes_at: float):
        self.pings: list[float] = []
        self.sleeps: list[float] = []
        self.server = socket.create_server(("127.0.0.1", 0))
        self._clock, self._answers, self._goes_at = clock, answers, goes_at
        self._every_s, self._next = chatters_every_s, clock.at + chatters_every_s
        self._socket: socket.socket | None = None

    def step(self) -> bool:
        """Reads and answers once. Whether it has sent bytes or closed its socket."""
        if self._socket is None:
            self._socket, _ = self.server.accept()
            self._socket.setblocking(False)
        try:
            received = self._socket.recv(4096)
        except BlockingIOError:
            received = b""
        except OSError:
            return False
        answer = b""
        if received[:1] == b"\x10":
            answer = _CONNACK
        elif _PINGREQ in received:
            self.pings.append(self._clock.at)
            answer = _PINGRESP if self._answers else b""
        if self._clock.at >= self._next:
            self._next += self._every_s
            answer += _CHATTER
        if answer:
            self._socket.sendall(answer)
        if self._clock.at >= self._goes_at:
            self._socket.close()
            return True
        return bool(answer)


def serve(clock: FakeClock, monkeypatch: pytest.MonkeyPatch, peer: Peer) -> list[str]:
    """Runs a connection to its end; why it ended."""
    monkeypatch.setattr("paho.mqtt.client.time_func", clock.tick)
    real = select.poll

    class Poll:
        def __init__(self) -> None:
            self._poll = real()
            self.register: Callable[..., None] = self._poll.register

        def poll(self, milliseconds: float | None) -> list[tuple[int, int]]:
            if found := self._poll.poll(0):
                return found
            if peer.step():
                return self._poll.poll(1000)
            assert milliseconds is not None
            peer.sleeps.append(milliseconds / 1000)
            clock.at += milliseconds / 1000
            return []

    monkeypatch.setattr("edge.mqtt.io_loop.select.poll", Poll)
    client = paho.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    ends: list[str] = []
    port = peer.server.getsockname()[1]
    io_loop = IoLoop(
        client,
        lambda: (client.connect("127.0.0.1", port, keepalive=KEEPALIVE_S), None)[1],
        ends.append,
        clock.tick,
    )
    with peer.server:
        io_loop.run()
    return ends


@pytest.mark.slow
@pytest.mark.parametrize("chatters_every_s", [10.0, 1e9])
def test_pings_are_on_time_and_little_else_wakes(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch, chatters_every_s: float
) -> None:
    """Over ten minutes a ping is sent each keepalive, also while the broker sends messages; the
    thread sleeps in between."""
    peer = Peer(
        clock, answers=True, chatters_every_s=chatters_every_s, goes_at=clock.at + 20 * KEEPALIVE_S
    )
    began = clock.at
    assert serve(clock, monkeypatch, peer)
    gaps = [b - a for a, b in zip([began, *peer.pings], peer.pings)]
    assert len(gaps) >= 19
    assert max(gaps) < KEEPALIVE_S + 0.1
    assert len(peer.sleeps) < 5 * len(gaps)  # those of our chattering peer included


def test_a_silent_peer_is_noticed_within_one_and_a_half_keepalives(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A silent broker ends the connection after 1.4 to 1.5 keepalives, with a few sleeps."""
    peer = Peer(clock, answers=False, chatters_every_s=1e9, goes_at=clock.at + 1e9)
    began = clock.at
    (why,) = serve(clock, monkeypatch, peer)
    assert "silent" in why
    assert 1.4 * KEEPALIVE_S <= clock.at - began <= 1.5 * KEEPALIVE_S
    assert len(peer.sleeps) < 10
