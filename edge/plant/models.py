"""The commands over model versions. All transports and the command line call them.

Installing and removing change nothing that judges. Activating switches the store's record first and
then makes the daemon take it over; when it refuses, the record is put back.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge.config import Config, names_model
from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.messages import rfc3339
from edge.inspection import ModelFile, load_inspector
from edge.models import (
    ModelStore,
    ProbationRecord,
    Switch,
    Version,
    WaitingRecord,
    configs_judging_by,
    open_store,
)
from edge.pipeline import build_inspector, check_views
from edge.plant.model_values import (
    ModelListing,
    NamedVersions,
    RollbackRequest,
    ShadowRequest,
    Switched,
    SwitchRequest,
)
from edge.plant.shadow import Shadow
from edge.plant.shadow_report import ShadowReport
from edge.plant.switch_window import SwitchWindow

log = logging.getLogger(__name__)


class ModelsService:
    """Safe between threads."""

    def __init__(
        self,
        config: Callable[[], Config],
        *,
        take_over: Callable[[], None] = lambda: None,
        running: Callable[[], str | None] = lambda: None,
        note: Callable[[str, str, str, str], None] = lambda _by, _before, _after, _name: None,
        shadow: Shadow | None = None,
        window: SwitchWindow | None = None,
    ) -> None:
        """
        config     the running one; a reload changes it
        take_over  makes the running daemon judge by the active versions, or raises EdgeInspectError
        running    the SHA-256 of the model that judges
        note       enters a change into the journal: who asked, before, after, the model's name
        shadow     of the running daemon; None: none runs
        window     when a version may begin to judge; None: always
        """
        self._window = window
        self.waits = window is not None and open_store(config()).waiting() is not None
        self._shadow = shadow
        self._config, self._take_over = config, take_over
        self._running, self._note = running, note
        self._switching = threading.Lock()

    def listing(self) -> ModelListing:
        """All versions."""
        store = self._store()
        versions = store.versions()
        named = [
            NamedVersions(
                record=store.record(name),
                versions=tuple(one for one in versions if one.name == name),
                probation=store.probation(name),
            )
            for name in dict.fromkeys(one.name for one in versions)
        ]
        waiting = None if self._window is None else store.waiting()
        return ModelListing(
            names=tuple(named),
            running=self._running(),
            shadow=None if self._shadow is None else self._shadow.report(),
            waiting=waiting,
            waits_for=None
            if waiting is None or self._window is None
            else self._window.why_closed(),
        )

    def install(self, path: Path, by: str) -> Version:
        """Checks a model file, and makes it a version of the store."""
        store = self._store()
        candidate = store.read_candidate(path)
        self._check(store, candidate.name, candidate.file)
        return store.install(candidate, by)

    def verify(self, name: str) -> Version:
        """Checks an installed version as `activate` does."""
        store = self._store()
        version = store.find(name)
        self._check(store, version.name, store.load(version))
        return version

    def remove(self, name: str) -> Version:
        """Deletes a version."""
        store = self._store()
        version = store.find(name)
        store.remove(version)
        return version

    def activate(self, request: SwitchRequest) -> Switched:
        """Makes a version the active one of its name, now or when the window is open."""
        with self._switching:
            version = self.verify(request.version)
            store = self._store()
            closed = None if request.now else self._why_closed()
            if closed is not None:
                return self._wait(store, version, request.by, closed)
            self._stop_waiting(store)
            return self._taken_over(store, store.activate(version, request.by), request.by)

    def switch_waiting(self) -> None:
        """Carries out the activation that waits, once its window is open. One that is refused then
        is given up: the log and the journal say why."""
        if not self.waits or self._why_closed() is not None:
            return
        with self._switching:
            store = self._store()
            waiting = store.waiting()
            self._stop_waiting(store)
            if waiting is None:
                return
            try:
                version = self.verify(waiting.sha256)
                self._taken_over(store, store.activate(version, waiting.by), waiting.by)
            except EdgeInspectError as error:
                log.error(
                    "models: %s waited for its window, and is refused: %s", waiting.title, error
                )
                refused = f"{waiting.title}: refused ({error})"
                self._note(waiting.by, refused, refused, waiting.name)

    def _wait(self, store: ModelStore, version: Version, by: str, closed: str) -> Switched:
        store.save_waiting(
            WaitingRecord(
                name=version.name,
                version=version.version,
                sha256=version.sha256,
                at=rfc3339(time.time()),
                by=by,
            )
        )
        self.waits = True
        return Switched(
            before=store.version_of(store.record(version.name)),
            after=version,
            judges=bool(configs_judging_by(self._config(), version.name)),
            waits=closed,
        )

    def _stop_waiting(self, store: ModelStore) -> None:
        store.save_waiting(None)
        self.waits = False

    def _why_closed(self) -> str | None:
        return None if self._window is None else self._window.why_closed()

    def rollback(self, request: RollbackRequest) -> Switched:
        """Activates the version that was active before."""
        with self._switching:
            self._stop_waiting(self._store())
            return self._rolled_back(request.name or self._configured_name(), request.by)

    def send_back(self, probation: ProbationRecord) -> Switched | None:
        """Activates the version before one that did not pass its probation. None: another version
        is active already. Raises EdgeInspectError."""
        with self._switching:
            if self._store().record(probation.name).active != probation.sha256:
                return None
            return self._rolled_back(probation.name, f"probation: {probation.reason}")

    def _rolled_back(self, name: str, by: str) -> Switched:
        store = self._store()
        previous = store.record(name).previous
        if previous is not None:
            self.verify(previous)
        return self._taken_over(store, store.rollback(name, by), by)

    def shadow(self, request: ShadowRequest) -> ShadowReport:
        """Begins or ends that a version judges along. Returns the figures so far."""
        if self._shadow is None:
            raise RefusedError(
                "no daemon runs, and a version judges along only beside one; start it, or use "
                "edge-inspect models verify --pictures"
            )
        with self._switching:
            if request.version is None:
                return self._shadow.stop()
            return self._shadow.start(self.verify(request.version), request.by)

    def _taken_over(self, store: ModelStore, switch: Switch, by: str) -> Switched:
        before, after = switch.before, switch.after
        old = store.title(before)
        if switch.changed:
            try:
                self._take_over()
            except EdgeInspectError as error:
                self._put_back(store, switch, error)
                raise
            self._note(by, old, store.title(after), after.name)
            if self._shadow is not None and after.active is not None:
                self._shadow.switched(after.active)
        name = after.name
        return Switched(
            before=store.version_of(before),
            after=store.active(name),
            judges=bool(_configs_of(self._config(), name)),
        )

    @staticmethod
    def _put_back(store: ModelStore, switch: Switch, error: EdgeInspectError) -> None:
        try:
            store.restore(switch)
        except RefusedError as second:
            raise RefusedError(
                f"{error}; the old model judges on until the next start, but its record cannot be "
                f"put back: {second}; activate it again"
            ) from error

    def _check(self, store: ModelStore, name: str, file: ModelFile) -> None:
        """Golden pictures, settings, views and labels. Raises EdgeInspectError."""
        config = self._config()
        judging = _configs_of(config, name)
        for one in judging:
            check_views(one.cameras, build_inspector(one, None, file).input)
        if not judging:
            load_inspector(file, None, config.model.interpreter).check_golden()
        active = store.version_of(store.record(name))
        if active is not None and set(file.labels or ()) != set(active.labels):
            raise RefusedError(
                f"{file.path}: has the labels {list(file.labels or ())}, and {active.title}, which "
                f"is active, has {list(active.labels)}; a name keeps its labels: convert it with "
                "another --model-name, and set model.path to that name"
            )

    def _configured_name(self) -> str:
        path = self._config().model.path
        if not names_model(path):
            raise RefusedError(
                f"model.path: names the file {path}, which is never switched; set it to the name "
                "of a model (docs/models.md), or say which: edge-inspect models rollback NAME"
            )
        return str(path)

    def _store(self) -> ModelStore:
        return open_store(self._config())


def _configs_of(config: Config, name: str) -> list[Config]:
    """The configurations that judge by a model of this name."""
    return list(configs_judging_by(config, name).values())
