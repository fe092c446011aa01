"""Receives SIGTERM, SIGINT and SIGHUP on any thread.

A Python handler runs only when the main thread returns to Python, so a blocked main thread misses
signals. Therefore the C handler writes the number into a socket, and the thread `signals` reads it.
"""

import logging
import os
import signal
import socket
from collections.abc import Callable
from functools import partial

from edge.core.clock import Clock
from edge.core.errors import EXIT_NO
from edge.core.threads import start_thread

log = logging.getLogger(__name__)

# `timeout` and some shells signal a process and its group: two signals, one request
REPEAT_WINDOW_S = 0.5


def listen_for_signals(
    on_stop: Callable[[], None], on_reload: Callable[[], None], clock: Clock
) -> None:
    """Call it once, in the main thread.

    - `on_stop` runs at the first SIGTERM or SIGINT; a later second one ends the process at once.
    - `on_reload` runs at each SIGHUP.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)

    first: list[float] = []  # when the first request to stop came

    def obey(number: int) -> None:
        if number == signal.SIGHUP:
            on_reload()
        elif not first:
            first.append(clock.tick())
            on_stop()
        elif clock.tick() - first[0] > REPEAT_WINDOW_S:
            log.error("second %s: exit at once", signal.Signals(number).name)
            os._exit(EXIT_NO)

    start_thread("signals", partial(_receive, (ours, theirs), obey))


def _receive(pair: tuple[socket.socket, socket.socket], obey: Callable[[int], None]) -> None:
    """Reads the numbers that the C handler writes. After an exception it may be called again.

    `pair`: both ends, which stay open as long as this thread refers to them.
    """
    while True:
        for number in pair[0].recv(64):
            obey(number)
