"""Reloads config.yaml while the daemon runs: applies all of it, or nothing.

The requester, the log, `info`, `health` and systemd get the outcome.
"""

import logging
import queue
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Protocol

from edge.config import Config, ConfigDiff, ReloadState, diff_configs
from edge.core.errors import ConfigError, EdgeInspectError, TriggerError
from edge.core.systemd import SystemdNotifier
from edge.mqtt import Data, settle

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
        self._queue: queue.Queue[Future[Data] | None] = queue.Queue(_CAPACITY)

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
        try:
            self._queue.put_nowait(answer)
        except queue.Full:
            raise TriggerError("too many reloads wait already; try again later", "busy") from None
        return answer

    def handle_sighup(self) -> None:
        """Queues a reload without waiting."""
        try:
            self._queue.put_nowait(Future())
        except queue.Full:
            log.warning("reload: too many wait already; this SIGHUP is ignored")

    def get(self) -> Future[Data] | None:
        """Waits for the next request; None when closed."""
        return self._queue.get()

    def close(self) -> None:
        """Refuses all waiting requests; `get` returns None from now on."""
        while True:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                break
            if waiting is not None:
                settle(waiting, EdgeInspectError("the daemon stops"))
        self._queue.put(None)


class Reloader:
    """Reloads one request after the other, in its own thread."""

    def __init__(
        self,
        queue: ReloadQueue,
        state: ReloadState,
        target: Reconfigurable,
        notifier: SystemdNotifier,
    ) -> None:
        self.done = self.refused = 0
        self._queue, self._state = queue, state
        self._target, self._notifier = target, notifier

    def run(self) -> None:
        """Serves until the queue is closed."""
        while (answer := self._queue.get()) is not None:
            self._notifier.reloading()
            try:
                settle(answer, self.run_once())
            except EdgeInspectError as error:
                settle(answer, error)
            finally:
                self._notifier.ready()
            self._target.announce()

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
        state.config = changes.config
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
