"""Something to be done once, while several threads stand still between two pieces of work."""

import threading
from collections.abc import Callable


class Errand:
    """Each of the threads attends; the last to come acts, and then all go on. Whoever asked may
    give up before: then it is never done."""

    def __init__(self, action: Callable[[], None], threads: int) -> None:
        self._action, self._threads = action, threads
        self._changed = threading.Condition()
        self._here = 0
        self._over = self._acted = False
        self._error: Exception | None = None

    def attend(self) -> None:
        """On one of the threads: returns when it was done or given up."""
        with self._changed:
            self._here += 1
            if self._here < self._threads:
                self._changed.wait_for(lambda: self._over)
                return
            if self._over:
                return
            try:
                self._action()
            except Exception as error:  # noqa: BLE001  raised again where it was asked for
                self._error = error
            self._over = self._acted = True
            self._changed.notify_all()

    def wait(self, timeout: float) -> bool:
        """Where it was asked for: False when not all came within `timeout` seconds. Raises what
        the action raises."""
        with self._changed:  # an action that has begun holds this, and is waited for
            if not self._changed.wait_for(lambda: self._over, timeout):
                self._over = True
                self._changed.notify_all()
        if self._error is not None:
            raise self._error
        return self._acted
