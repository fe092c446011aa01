"""The local socket: the API for processes of the same user and group, in the thread `api`.

waitress and werkzeug take 3 MB. They are imported when the first client connects, so that a box
whose API nobody uses does not pay for them.
"""

import contextlib
import logging
import select
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from edge.core.clock import Clock, StopEvent
from edge.core.errors import RefusedError
from edge.core.threads import start_thread
from edge.core.unix_socket import listen
from edge.plant import Models, Records

if TYPE_CHECKING:
    from edge.web.recipe_route import ChooseRecipe
    from edge.web.serving import HttpServing

log = logging.getLogger(__name__)

NAME = "api.sock"
_MODE = 0o660
_THREADS = 2
_MAX_BYTES = 262_144  # of a request: the ids of some thousand verdicts
_LONG_S = 86_400.0


class LocalSocket:
    """Serves records, models and recipes. Without it verdicts go on: `fault` says why."""

    def __init__(
        self,
        path: Path,
        records: Records,
        outbox: Path,
        clock: Clock,
        *,
        models: Models | None = None,
        choose_recipe: "ChooseRecipe | None" = None,
    ) -> None:
        """Opens nothing yet.

        outbox: of this daemon; a client asks for it.
        models: None: requests about models are unknown.
        choose_recipe: as `RecipeRequests.handle`; None: requests for a recipe are unknown.
        """
        self.path = path
        self.fault = ""
        self._records, self._outbox, self._clock = records, outbox, clock
        self._models = models
        self._choose_recipe = choose_recipe
        self._stop, self._lock = StopEvent(), threading.Lock()
        self._listening: socket.socket | None = None
        self._inode = 0
        self._serving: HttpServing | None = None
        self._thread: threading.Thread | None = None

    @staticmethod
    def place(outbox: Path, runtime_directory: str | None) -> Path:
        """In systemd's runtime directory, else beside the outbox."""
        if runtime_directory:
            return Path(runtime_directory.split(":")[0]) / NAME
        return outbox.with_name(NAME)

    def start(self) -> None:
        """Listens, and starts the thread."""
        try:
            self._listening = listen(self.path, _MODE)
            self._inode = self.path.lstat().st_ino
        except (RefusedError, OSError) as error:
            self.fault = str(error)
            log.error("local socket: %s; verdicts go on", error)
            return
        self._thread = start_thread("api", self.run, vital=False)

    def run(self) -> None:
        """Serves until closed."""
        if self._serving is None and not self._wait_for_client():
            return
        with self._lock:
            if self._stop.is_set():
                return
            if self._serving is None:
                self._serving = self._build()
        self._serving.run()

    def close(self) -> None:
        """Ends the thread."""
        self._stop.set()
        with self._lock:
            if self._serving is not None:
                self._serving.close()

    def join(self, timeout: float) -> bool:
        """Removes the socket. Whether the thread has ended, waiting up to `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        if self._listening is not None:
            self._listening.close()
            with contextlib.suppress(OSError):
                if self.path.lstat().st_ino == self._inode:  # not the one of a later daemon
                    self.path.unlink()
        return self._thread is None or not self._thread.is_alive()

    def _wait_for_client(self) -> bool:
        """Whether one connects before the end."""
        assert self._listening is not None
        number = self._listening.fileno()
        while not self._stop.wait(_LONG_S, number):
            if select.select([number], [], [], 0)[0]:
                return True
        return False

    def _build(self) -> "HttpServing":
        from edge.web.api import api_rules
        from edge.web.models_api import model_rules
        from edge.web.serving import Application, HttpServing

        assert self._listening is not None
        rules = api_rules(self._records, str(self._outbox), self._clock, self._choose_recipe)
        if self._models is not None:
            rules += model_rules(self._models)
        return HttpServing(
            Application(rules, _MAX_BYTES),
            self._clock.tick,
            threads=_THREADS,
            max_bytes=_MAX_BYTES,
            listen=self._listening.dup(),
        )
