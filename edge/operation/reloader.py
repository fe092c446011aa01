"""Reading config.yaml again while the daemon runs: all of it or nothing, and the outcome told to
whoever asked, the log, `info`, `health` and systemd."""

import logging
import queue
from collections.abc import Callable, Mapping
from typing import Any

from edge.config import Config
from edge.config.diff import Changes, compare
from edge.delivery.later import Later
from edge.errors import ConfigError, EdgeInspectError, TriggerError
from edge.operation.systemd import Notifier

log = logging.getLogger(__name__)

_MOST_WAITING = 8


class Reloader:
    """One reload at a time, in a thread of its own. `problems` are the sentences for which the last
    one was refused, `restart_required` the keys that wait for a restart; both for `health`."""

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        apply: Callable[[Config, Changes], None],
        model_differs: Callable[[Config], bool],
        notifier: Notifier,
    ) -> None:
        """`config` is what runs. `load` reads the file. `apply(old, changes)` takes the changes
        over, or raises EdgeInspectError with the old still running. `model_differs(config)`: the
        model's file is not the one that runs."""
        self.config = config
        self.problems: tuple[str, ...] = ()
        self.restart_required: tuple[str, ...] = ()
        self.done = self.refused = 0
        self.on_outcome: Callable[[], None] = lambda: None
        self._load, self._apply, self._model_differs = load, apply, model_differs
        self._notifier = notifier
        self._wishes: queue.Queue[Later | None] = queue.Queue(_MOST_WAITING)

    def ask(self, transaction: str | None, fields: Mapping[str, Any]) -> Later:  # noqa: ARG002  a handler's signature
        """`request/reload`: the answer says what changed, or every mistake in the file. Raises
        TriggerError."""
        if fields:
            raise TriggerError(
                f"{next(iter(fields))}: unknown; a reload request has only the key transaction",
                "malformed",
            )
        answer = Later()
        try:
            self._wishes.put_nowait(answer)
        except queue.Full:
            raise TriggerError("too many reloads wait already; ask again later", "busy") from None
        return answer

    def hang_up(self) -> None:
        """SIGHUP. Never waits."""
        try:
            self._wishes.put_nowait(Later())
        except queue.Full:
            log.warning("reload: too many wait already; this SIGHUP is not heard")

    def close(self) -> None:
        """No reload begins any more; ends the thread after the one that runs."""
        while True:
            try:
                waiting = self._wishes.get_nowait()
            except queue.Empty:
                break
            if waiting is not None:
                waiting.fill(EdgeInspectError("the daemon stops"))
        self._wishes.put(None)

    def run(self) -> None:
        """Until closed."""
        while (wish := self._wishes.get()) is not None:
            self._notifier.reloading()
            try:
                wish.fill(self.run_once())
            except EdgeInspectError as error:
                wish.fill(error)
            finally:
                self._notifier.ready()
            self.on_outcome()

    def run_once(self) -> dict[str, Any]:
        """One reload; what it changed. Raises EdgeInspectError, with nothing changed."""
        try:
            new = self._load()
            changes = compare(self.config, new, model_differs=self._model_differs(new))
            if changes.touched:
                self._apply(self.config, changes)
        except EdgeInspectError as error:
            self._refuse(error)
            raise
        except Exception as error:  # the last door: a fault of ours must not end all reloading
            log.exception("reload: unexpected fault")
            fault = EdgeInspectError(f"internal fault ({error!r}); see the log")
            self._refuse(fault)
            raise fault from error
        self.config = changes.config
        self.problems, self.restart_required = (), changes.restart_required
        self.done += 1
        log.info(
            "reload: config %s; changed: %s", changes.config.hash, ", ".join(changes.touched) or "-"
        )
        if changes.restart_required:
            log.warning(
                "reload: %s changed too, which needs a restart: systemctl restart edge-inspect",
                ", ".join(changes.restart_required),
            )
        return {
            "config": changes.config.hash,
            "changed": list(changes.touched),
            "restart_required": list(changes.restart_required),
        }

    def _refuse(self, error: EdgeInspectError) -> None:
        self.refused += 1
        problems = error.problems if isinstance(error, ConfigError) else [str(error)]
        self.problems = tuple(problems)
        for problem in problems:
            log.error("reload: %s", problem)
        log.error("reload: nothing was changed; the box goes on as before")
