"""Reloads config.yaml while the daemon runs: applies all of it, or nothing.

The requester, the log, `info`, `health` and systemd get the outcome.
"""

import contextlib
import logging
import queue
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from edge.config import Config, ConfigDiff, ReloadState, diff_configs
from edge.core.errors import ConfigError, EdgeInspectError, TriggerError
from edge.core.systemd import SystemdNotifier
from edge.mqtt import Data, settle
from edge.storage import Journal

log = logging.getLogger(__name__)

_CAPACITY = 8


class Reconfigurable(Protocol):
    """The running components, as `edge.reload.Reconfiguration` changes them."""

    def load(self) -> Config:
        """Reads the file. Raises EdgeInspectError."""

    def model_file_differs(self, config: Config) -> bool:
        """Whether the model's file is not the one that runs."""

    def apply(self, old: Config, changes: ConfigDiff) -> None:
        """Applies the changes, or raises EdgeInspectError with the old configuration running."""

    def announce(self) -> None:
        """Publishes the running configuration."""


class ReloadQueue:
    """Requested reloads, by `request/reload` or SIGHUP. Safe between threads."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Future[Data] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False

    def handle(self, transaction: str | None, fields: Mapping[str, Any]) -> Future[Data]:  # noqa: ARG002  a handler's signature
        """`request/reload`: the answer names the changes, or every mistake in the file.

        Raises TriggerError.
        """
        if fields:
            raise TriggerError(
                f"{next(iter(fields))}: unknown; a reload request has only the key transaction",
                "malformed",
            )
        answer: Future[Data] = Future()
        self._put(answer)
        return answer

    def handle_sighup(self) -> None:
        """Queues a reload without waiting."""
        try:
            self._put(Future())
        except TriggerError as error:
            log.warning("reload: %s; this SIGHUP is ignored", error)

    def wait_for_reload(self) -> None:
        """Reloads, and returns when that is done. Raises EdgeInspectError when it is refused."""
        answer: Future[Data] = Future()
        self._put(answer)
        answer.result()

    def get(self) -> Future[Data] | None:
        """Waits for the next request; None when closed."""
        return self._queue.get()

    def close(self) -> None:
        """Refuses all waiting requests and all that come later; `get` returns None from now on."""
        with self._lock:
            self._closed = True
            with contextlib.suppress(queue.Empty):
                while (waiting := self._queue.get_nowait()) is not None:
                    settle(waiting, EdgeInspectError("the daemon stops"))
            self._queue.put(None)

    def _put(self, answer: Future[Data]) -> None:
        with self._lock:
            if self._closed:
                raise TriggerError("the daemon stops; try again later", "stopping")
            if self._queue.qsize() >= _CAPACITY:
                raise TriggerError("too many reloads wait already; try again later", "busy")
            self._queue.put(answer)


class Reloader:
    """Reloads one request after the other, in its own thread."""

    def __init__(
        self,
        queue: ReloadQueue,
        state: ReloadState,
        target: Reconfigurable,
        notifier: SystemdNotifier,
        journal: Journal,
    ) -> None:
        self.done = self.refused = 0
        self._queue, self._state = queue, state
        self._target, self._notifier, self._journal = target, notifier, journal

    def run(self) -> None:
        """Serves until the queue is closed."""
        while (answer := self._queue.get()) is not None:
            try:
                self._notifier.reloading()
                settle(answer, self.run_once())
            except EdgeInspectError as error:
                settle(answer, error)
            finally:
                settle(answer, EdgeInspectError("internal fault; see the log"))
                self._notifier.ready()
            try:
                self._target.announce()
            except Exception:  # outermost loop: the next reload must come
                log.exception("reload: its outcome cannot be announced")

    def run_once(self) -> dict[str, Any]:
        """One reload; returns its changes. Raises EdgeInspectError, with nothing changed."""
        state, target = self._state, self._target
        try:
            new = target.load()
            changes = diff_configs(
                state.config, new, model_file_differs=target.model_file_differs(new)
            )
            if changes.changed:
                target.apply(state.config, changes)
        except EdgeInspectError as error:
            self._refuse(error)
            raise
        except Exception as error:  # outermost loop: a bug must not end this thread
            log.exception("reload: unexpected fault")
            fault = EdgeInspectError(f"internal fault ({error!r}); see the log")
            self._refuse(fault)
            raise fault from error
        before, state.config = state.config.hash, changes.config
        if before != changes.config.hash:
            self._journal.add("config", "reload", before, changes.config.hash, "config.yaml")
        state.problems, state.restart_required = (), changes.restart_required
        self.done += 1
        log.info(
            "reload: config %s; changed: %s", changes.config.hash, ", ".join(changes.changed) or "-"
        )
        if changes.restart_required:
            log.warning(
                "reload: %s changed too, which needs a restart: systemctl restart edge-inspect",
                ", ".join(changes.restart_required),
            )
        return {
            "config": changes.config.hash,
            "changed": list(changes.changed),
            "restart_required": list(changes.restart_required),
        }

    def _refuse(self, error: EdgeInspectError) -> None:
        self.refused += 1
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
        self._state.problems = tuple(problems)
        for problem in problems:
            log.error("reload: %s", problem)
        log.error("reload: nothing was changed; the old configuration stays in force")
