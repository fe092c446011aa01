"""Requests that trigger a part, over MQTT or HTTP."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.core.record import Model
from edge.core.text import typed
from edge.core.validation import ValidationError
from edge.pipeline import PartTracker

_REMEMBERED = 4096
_REMEMBERED_S = 30.0  # QoS 1 may repeat a request after a reconnect, hardly later

_Key = tuple[str, str, str | None]
M = TypeVar("M", bound=Model)


def validate_fields(model: type[M], fields: Mapping[str, Any], keys: str) -> M:
    """The fields of a request as a `model`; `keys` is a sentence on the allowed keys.

    Raises TriggerError, which names the first mistake.
    """
    try:
        return model.read(dict(fields))
    except ValidationError as error:
        first = error.problems[0]
        raise TriggerError(f"{first.key}: {first.sentence}; {keys}", "malformed") from None


class TriggerRequest(Model):
    """The body of a trigger request."""

    camera: Annotated[str, Field(max_length=64), AfterValidator(typed)] | None = None
    part: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    recipe: Annotated[int, Field(ge=0, le=65_535)] | None = None


class TriggerRequests:
    """Handles `request/trigger` and `POST /trigger`. Safe between threads."""

    def __init__(self, trackers: Mapping[str, PartTracker], clock: Clock) -> None:
        """`trackers`: of the running cameras with a trigger. Only those by request are served."""
        self._trackers = trackers
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[_Key, tuple[float, dict[str, Any]]] = OrderedDict()

    def handle(self, transaction: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Triggers a part now. `fields` may name `camera`, `part` and `recipe`.

        A repeated request (same transaction, camera and part within 30 s) triggers no second part:
        it gets the same answer with `duplicate` true. Raises TriggerError.
        """
        request = validate_fields(
            TriggerRequest,
            fields,
            "a trigger has the keys transaction, camera and part, all text, and recipe, a number",
        )
        tracker = self._tracker(request.camera)
        with self._lock:
            key = None if transaction is None else (transaction, tracker.camera, request.part)
            self._forget_old()
            if key is not None and key in self._answers:
                return {**self._answers[key][1], "duplicate": True}
            part = tracker.trigger("request", request.part, transaction, request.recipe)
            answer = {
                "camera": part.camera,
                "part": part.name,
                "number": part.number,
                "deadline_ms": round((part.until - part.tick) * 1000, 3),
                "recipe": part.recipe,
                "duplicate": False,
            }
            if key is not None:
                self._answers[key] = self._clock.tick(), answer
            return answer

    def _forget_old(self) -> None:
        oldest_tick = self._clock.tick() - _REMEMBERED_S
        while self._answers:
            answered_tick, _ = next(iter(self._answers.values()))
            if answered_tick >= oldest_tick and len(self._answers) < _REMEMBERED:
                break
            self._answers.popitem(last=False)

    def _tracker(self, camera: str | None) -> PartTracker:
        trackers = {t.camera: t for t in self._trackers.values() if t.config.kind == "request"}
        names = ", ".join(sorted(trackers)) or "none; set cameras[].trigger.kind: request"
        if camera is None:
            if len(trackers) == 1:
                return next(iter(trackers.values()))
            raise TriggerError(f"camera: name one of them (by request: {names})", "malformed")
        if camera not in trackers:
            raise TriggerError(
                f"camera: {camera!r} is not triggered by request (by request: {names})", "unknown"
            )
        return trackers[camera]
