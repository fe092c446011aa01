"""A request must be complete in time, even from a sender that is never silent."""

from types import SimpleNamespace
from typing import Any

from edge.web.serving import SlowClients


def channel(request: object) -> Any:
    """A channel of waitress with its incomplete request."""
    return SimpleNamespace(request=request, will_close=False)


def test_only_late_requests_are_ended() -> None:
    """Time counts from the first sight of a request, for each request of a connection."""
    now = [0.0]
    late, idle, busy = channel(object()), channel(None), channel(object())
    channels = {1: late, 2: idle, 3: busy, 4: SimpleNamespace()}
    clients = SlowClients(channels, 60.0, lambda: now[0])
    for second in range(0, 61, 10):
        now[0] = second
        busy.request = object() if second % 20 == 0 else busy.request
        clients.sweep()
    assert not late.will_close
    now[0] = 61.0
    clients.sweep()
    assert late.will_close
    assert not idle.will_close
    assert not busy.will_close
    assert clients.ended == 1


def test_only_clients_that_read_nothing_are_ended() -> None:
    """Time counts from the last byte that a client took."""
    now = [0.0]
    closed: list[str] = []

    def answering(name: str, waiting: int) -> Any:
        return SimpleNamespace(
            request=None,
            total_outbufs_len=waiting,
            last_activity=0.0,
            handle_close=lambda: closed.append(name),
        )

    stuck, reading, done = answering("stuck", 9), answering("reading", 9), answering("done", 0)
    clients = SlowClients({1: stuck, 2: reading, 3: done}, 60.0, lambda: now[0], 20.0)
    for second in range(0, 21, 5):
        now[0] = second
        reading.last_activity = second
        clients.sweep()
    assert closed == []
    now[0] = 21.0
    clients.sweep()
    assert closed == ["stuck"]
    assert clients.ended == 1
