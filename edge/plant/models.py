"""The commands over model versions. All transports and the command line call them.

Installing and removing change nothing that judges. Activating switches the store's record first and
then makes the daemon take it over; when it refuses, the record is put back.
"""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Protocol

from pydantic import Field

from edge.config import Config, names_model
from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.record import Items, Model
from edge.inspection import ModelFile, load_inspector
from edge.models import (
    ModelStore,
    NameRecord,
    ProbationRecord,
    Switch,
    Version,
    configs_judging_by,
    open_store,
)
from edge.pipeline import build_inspector, check_views
from edge.plant.shadow import Shadow
from edge.plant.shadow_report import ShadowReport

Name = Annotated[str, Field(min_length=1, max_length=300)]
By = Annotated[str, Field(min_length=1, max_length=100)]


class SwitchRequest(Model):
    """`activate`. `version`: name@version, or digits of its SHA-256."""

    version: Name
    by: By


class RollbackRequest(Model):
    """`rollback`. `name`: of the model; None: the one that config.yaml names."""

    name: Name | None = None
    by: By


class ShadowRequest(Model):
    """`shadow`. `version`: the one that judges along; None: none from now on."""

    version: Name | None = None
    by: By


class Switched(Model):
    """What a switch did. `before`: None when no version was active. `judges`: whether config.yaml
    or one of its recipes names this model, so that the daemon judges by `after` now, or from its
    next start."""

    before: Version | None
    after: Version
    judges: bool

    @property
    def changed(self) -> bool:
        return self.before is None or self.before.sha256 != self.after.sha256


class NamedVersions(Model):
    """The versions of a name, and its last probation."""

    record: NameRecord
    versions: Items[Version]
    probation: ProbationRecord | None = None


class ModelListing(Model):
    """All versions. `running`: the SHA-256 of the model that the daemon judges by; None: none
    runs. `shadow`: the version that judges along."""

    names: Items[NamedVersions]
    running: str | None = None
    shadow: ShadowReport | None = None


class Models(Protocol):
    """The commands that a running daemon takes part in. All raise EdgeInspectError."""

    def listing(self) -> ModelListing:
        """All versions."""
        ...

    def activate(self, request: SwitchRequest) -> Switched:
        """Makes a version the active one of its name."""
        ...

    def rollback(self, request: RollbackRequest) -> Switched:
        """Activates the version that was active before."""
        ...

    def shadow(self, request: ShadowRequest) -> ShadowReport:
        """Begins or ends that a version judges along. Returns the figures so far."""
        ...


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
    ) -> None:
        """
        config     the running one; a reload changes it
        take_over  makes the running daemon judge by the active versions, or raises EdgeInspectError
        running    the SHA-256 of the model that judges
        note       enters a change into the journal: who asked, before, after, the model's name
        shadow     of the running daemon; None: none runs
        """
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
        shadow = None if self._shadow is None else self._shadow.report()
        return ModelListing(names=tuple(named), running=self._running(), shadow=shadow)

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
        """Makes a version the active one of its name."""
        with self._switching:
            version = self.verify(request.version)
            store = self._store()
            return self._taken_over(store, store.activate(version, request.by), request.by)

    def rollback(self, request: RollbackRequest) -> Switched:
        """Activates the version that was active before."""
        with self._switching:
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
