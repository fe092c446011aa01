"""Requests about model versions, and the answers.

`Models` is the port. `ModelsService` answers from the files; the client of the local socket answers
through the running daemon.
"""

from typing import Annotated, Protocol

from pydantic import Field

from edge.core.record import Items, Model
from edge.models import NameRecord, ProbationRecord, Version, WaitingRecord
from edge.plant.shadow_report import ShadowReport

Name = Annotated[str, Field(min_length=1, max_length=300)]
By = Annotated[str, Field(min_length=1, max_length=100)]


class SwitchRequest(Model):
    """`activate`. `version`: name@version, or digits of its SHA-256. `now`: without waiting for the
    window."""

    version: Name
    by: By
    now: bool = False


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
    next start. `waits`: what the switch waits for; None: it is done."""

    before: Version | None
    after: Version
    judges: bool
    waits: str | None = None

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
    runs. `shadow`: the version that judges along. `waiting`: the activation that waits, and
    `waits_for` what for."""

    names: Items[NamedVersions]
    running: str | None = None
    shadow: ShadowReport | None = None
    waiting: WaitingRecord | None = None
    waits_for: str | None = None


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
