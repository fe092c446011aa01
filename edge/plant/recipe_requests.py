"""Requests for a recipe, over MQTT, HTTP or the local socket.

The number is current when `handle` returns. The answer comes when the recipe can judge.
"""

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from edge.core.errors import TriggerError
from edge.core.record import Model
from edge.core.text import typed
from edge.mqtt import Data
from edge.pipeline import RecipeSelection
from edge.plant.recipe_changes import RecipeChanges
from edge.plant.trigger_requests import validate_fields

_KEYS = "a recipe request has the keys transaction, camera, recipe (a number) and by"


class RecipeRequest(Model):
    """The body of a recipe request. `by`: who asks, for the journal."""

    camera: Annotated[str, Field(max_length=64), AfterValidator(typed)] | None = None
    recipe: Annotated[int, Field(ge=0, le=65_535)]
    by: Annotated[str, Field(min_length=1, max_length=64), AfterValidator(typed)] | None = None


class RecipeRequests:
    """Handles `request/recipe` and `POST /recipe`. Safe between threads."""

    def __init__(
        self,
        selection: RecipeSelection,
        changes: RecipeChanges,
        cameras: Callable[[], Collection[str]],
    ) -> None:
        """`cameras`: the ids of the running ones."""
        self._selection, self._changes, self._cameras = selection, changes, cameras

    def handle(
        self, transaction: str | None, fields: Mapping[str, Any], transport: str = "mqtt"
    ) -> Future[Data]:
        """Makes a recipe current. The answer names it, the one before, and how long its model took
        to load; or it is the reason why its parts get `error`. Raises TriggerError."""
        request = validate_fields(RecipeRequest, fields, _KEYS)
        camera = self._camera(request.camera)
        if not self._selection.names:
            raise TriggerError("recipe: config.yaml has no recipes; add recipes", "unknown")
        by = f"{transport}: {request.by or transaction or 'without a name'}"
        change = self._selection.choose(camera, request.recipe, by)
        before = request.recipe if change is None else change.before
        return self._changes.answer(camera, request.recipe, before)

    def _camera(self, camera: str | None) -> str:
        known = sorted(self._cameras())
        names = ", ".join(known)
        if camera is None and len(known) == 1:
            return known[0]
        if camera is None:
            raise TriggerError(f"camera: say which one ({names})", "malformed")
        if camera not in known:
            raise TriggerError(f"camera: there is no {camera!r} here (cameras: {names})", "unknown")
        return camera
