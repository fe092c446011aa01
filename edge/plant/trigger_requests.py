"""Requests that trigger a part, over MQTT or HTTP: one check of the body for both."""

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import Field

from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.core.record import Model
from edge.core.validation import ValidationError
from edge.pipeline import PartTracker

_REMEMBERED = 4096
_REMEMBERED_S = 30.0  # QoS 1 may bring a request again after a reconnect, hardly later

_Key = tuple[str, str, str | None]
S = TypeVar("S", bound=Model)


def checked(model: type[S], fields: Mapping[str, Any], keys: str) -> S:
    """The body of a request as a `model`; `keys` says in words which keys there are. Raises
    TriggerError, which names the first mistake."""
    try:
        return model.read(dict(fields))
    except ValidationError as error:
        first = error.problems[0]
        raise TriggerError(f"{first.key}: {first.text}{first.seen}; {keys}", "malformed") from None


class TriggerRequest(Model):
    """The body of a trigger request."""

    camera: Annotated[str, Field(max_length=64)] | None = None
    part: Annotated[str, Field(min_length=1, max_length=256)] | None = None


class TriggerRequests:
    """Safe between threads."""

    def __init__(self, trackers: Mapping[str, PartTracker], environment: Clock) -> None:
        """`trackers` of the cameras that have a trigger; those by request are obeyed. They may
        change meanwhile."""
        self._all = trackers
        self._environment = environment
        self._lock = threading.Lock()
        self._answers: OrderedDict[_Key, tuple[float, dict[str, Any]]] = OrderedDict()

    def ask(self, transaction: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Triggers a part now. `fields` may name `camera` and `part`.

        The same request again within 30 s (same transaction, camera and part) is the same part: it
        is answered as before, with `duplicate` true. Raises TriggerError.
        """
        request = checked(
            TriggerRequest, fields, "a trigger has the keys transaction, camera and part, all text"
        )
        tracker = self._tracker(request.camera)
        with self._lock:
            key = None if transaction is None else (transaction, tracker.camera, request.part)
            known = None if key is None else self._known(key)
            if known is not None:
                return {**known, "duplicate": True}
            part = tracker.trigger("request", request.part, transaction)
            answer = {
                "camera": part.camera,
                "part": part.name,
                "number": part.number,
                "deadline_ms": tracker.config.deadline_ms,
                "duplicate": False,
            }
            if key is not None:
                self._answers[key] = self._environment.tick(), answer
                while len(self._answers) > _REMEMBERED:
                    self._answers.popitem(last=False)
            return answer

    def _known(self, key: _Key) -> dict[str, Any] | None:
        tick = self._environment.tick()
        while self._answers:
            oldest = next(iter(self._answers))
            if tick - self._answers[oldest][0] <= _REMEMBERED_S:
                break
            del self._answers[oldest]
        known = self._answers.get(key)
        return None if known is None else known[1]

    def _tracker(self, camera: str | None) -> PartTracker:
        trackers = {t.camera: t for t in self._all.values() if t.config.kind == "request"}
        names = ", ".join(sorted(trackers)) or "none; set cameras[].trigger.kind: request"
        if camera is None:
            if len(trackers) == 1:
                return next(iter(trackers.values()))
            raise TriggerError(f"camera: say which one (by request: {names})", "malformed")
        tracker = trackers.get(camera)
        if tracker is None:
            raise TriggerError(
                f"camera: {camera!r} is not triggered by request (by request: {names})", "unknown"
            )
        return tracker
