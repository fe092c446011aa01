"""Starts and stops the daemon's components."""

import logging
import os
import threading
from functools import partial
from pathlib import Path

from edge.capture import OpenCamera
from edge.config import Config
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EXIT_DONE
from edge.core.signals import listen_for_signals
from edge.core.threads import start_thread
from edge.daemon.composition import Composition

log = logging.getLogger(__name__)

_JOIN_S = 5.0
_RELOAD_S = 0.1  # at the end: a reload that still loads a model has changed nothing, and is left


class Daemon:
    """Runs all components until SIGTERM or SIGINT."""

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        *,
        open_camera: OpenCamera,
        path: Path | None = None,
    ) -> None:
        """Builds the components; see `Composition`. Raises EdgeInspectError."""
        self._parts = Composition(config, clock or Clock(), open_camera=open_camera, path=path)
        self._supervisor_stop = StopEvent()  # set last: the supervisor also watches the shutdown

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT. Returns the exit code. Raises EdgeInspectError when a
        component cannot start; then all others are stopped again."""
        parts, stop = self._parts, threading.Event()
        listen_for_signals(stop.set, parts.reload_queue.handle_sighup, parts.clock)
        threads: dict[str, threading.Thread] = {}
        try:
            self._start(threads)
        except BaseException:
            self._shut_down(threads)
            raise
        stop.wait()
        hung = self._shut_down(threads)
        self._leave_hung(hung)
        return EXIT_DONE

    def _start(self, threads: dict[str, threading.Thread]) -> None:
        parts = self._parts
        threads["history"] = start_thread("history", parts.history.run, vital=False)
        parts.delivery.start(parts.requests.handle)
        for verdict in parts.unjudged:
            parts.delivery.writer.submit(verdict)
        parts.evidence.start()
        parts.labels.prepare()
        parts.local_socket.start()
        if parts.web is not None:
            threads["web"] = start_thread("web", parts.web.run)
        parts.pipeline.start()
        parts.plant.start()
        threads["supervisor"] = start_thread(
            "supervisor", partial(parts.supervisor.run, self._supervisor_stop)
        )
        threads["records"] = start_thread("records", parts.record_requests.run, vital=False)
        threads["reload"] = start_thread("reload", parts.reloader.run)
        threads["recipes"] = start_thread(
            "recipes", partial(parts.recipe_changes.run, parts.pipeline.load_recipe), vital=False
        )
        for name, run in parts.models.threads().items():
            threads[name] = start_thread(name, run, vital=False)

    def _shut_down(self, threads: dict[str, threading.Thread]) -> list[str]:
        """Stops in the direction of the data: capture, inspection, outbox, publisher. Returns the
        names of hanging threads."""
        parts = self._parts
        log.info("stopping: stores and sends the remaining verdicts first")
        parts.notifier.stopping()
        parts.reload_queue.close()
        parts.record_requests.close()
        if not parts.reconfiguration.stop(_JOIN_S):
            log.warning("stopping: a reload does not end; the daemon stops without it")
        parts.pipeline.stop_accepting()
        hung = parts.pipeline.stop()
        hung += parts.pipeline.workers.join(_JOIN_S)
        hung += parts.delivery.drain()
        self._supervisor_stop.set()
        if parts.web is not None:
            parts.web.close()
        parts.local_socket.close()
        parts.recipe_changes.close()
        parts.models.close()
        parts.history.close()
        parts.evidence.close()
        parts.plant.release()
        for name in ("supervisor", "web", "records"):
            if name in threads:
                threads[name].join(_JOIN_S)
        if parts.web is not None and "web" not in threads:
            parts.web.run()  # releases its port
        if "reload" in threads:
            threads["reload"].join(_RELOAD_S)
        parts.local_socket.join(_JOIN_S)
        parts.evidence.join(_JOIN_S)
        for name in ("history", "recipes", *parts.models.threads()):
            if name in threads:
                threads[name].join(_JOIN_S)
        parts.delivery.close()
        parts.part_journal.close()
        parts.trigger_numbers.close()
        parts.current_recipes.close()
        return hung + [name for name, thread in threads.items() if thread.is_alive()]

    @staticmethod
    def _leave_hung(hung: list[str]) -> None:
        """Exits at once when a thread hangs in a driver: Python aborts if that thread writes
        while the interpreter shuts down."""
        if hung:
            log.warning("stopped, though %s did not end", ", ".join(hung))
            logging.shutdown()
            os._exit(EXIT_DONE)
