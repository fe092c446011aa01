"""How SIGTERM, SIGINT and SIGHUP are heard, whichever thread the kernel gives them to.

A Python handler runs only when the main thread comes back to Python: a signal that arrives just
before it blocks, or in a library's thread, would not be heard. So the C handler writes the number
into a socket, and a thread of ours reads it.
"""

import logging
import os
import signal
import socket
from collections.abc import Callable

from edge.core.clock import Clock
from edge.core.errors import EXIT_NO
from edge.core.threads import start_thread

log = logging.getLogger(__name__)

# `timeout` and some shells signal a process and its group: that is one wish, not two
SAME_WISH_S = 0.5


def listen_for_signals(
    ask: Callable[[], None], reload: Callable[[], None], environment: Clock
) -> None:
    """Calls `ask` at the first SIGTERM or SIGINT; a later second one ends the process at once.
    Calls `reload` at each SIGHUP.

    To be called once, in the main thread.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: None)

    def hear() -> None:
        first: float | None = None
        with ours, theirs:
            while True:
                for number in ours.recv(64):
                    if number == signal.SIGHUP:
                        reload()
                    elif first is None:
                        first = environment.tick()
                        ask()
                    elif environment.tick() - first > SAME_WISH_S:
                        log.error("second %s: exit at once", signal.Signals(number).name)
                        os._exit(EXIT_NO)

    start_thread("signals", hear)
