"""The MQTT request `models`, the topic `…/models`, and the activation that waits for its window.

All wait for the disk, so the thread `models` does them, never the connection's.
"""

import logging
import queue
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.messages import rfc3339, to_json
from edge.core.record import Model
from edge.core.text import typed
from edge.models import Version
from edge.mqtt import Data, settle
from edge.plant.model_values import (
    ModelListing,
    NamedVersions,
    RollbackRequest,
    ShadowRequest,
    Switched,
    SwitchRequest,
)
from edge.plant.models import ModelsService
from edge.plant.record_values import RequestError, read_request
from edge.plant.switch_window import MOST_PERMIT_S, SwitchWindow

log = logging.getLogger(__name__)

SCHEMA = "edge-inspect/models/1"
_WAITING = 8  # requests; one more is refused
_REMEMBERED = 64  # answers; QoS 1 may repeat a request
_WINDOW_S = 1.0  # how often a closed window is looked at
_ANNOUNCE_S = 30.0  # a command on the files changes versions without the daemon

_Text = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(typed)]
_Work = tuple[Callable[[], Data], "Future[Data]"]


class ModelsRequest(Model):
    """The body of `request/models`.

    - `version`: for `activate` and `shadow`; `shadow` without it ends.
    - `name`: for `rollback`; None: the model of config.yaml.
    - `now`: `activate` without waiting for the window.
    - `for_s`: for `permit`, seconds.
    - `by`: who asks, for the journal.
    """

    action: Literal["list", "activate", "rollback", "shadow", "permit"]
    version: _Text | None = None
    name: _Text | None = None
    now: bool = False
    for_s: Annotated[float, Field(ge=0, le=MOST_PERMIT_S)] | None = None
    by: _Text | None = None


class ModelRequests:
    """Safe between threads. `run` is the thread `models`."""

    def __init__(
        self,
        models: ModelsService,
        window: SwitchWindow,
        announce: Callable[[bytes], None],
        now: Callable[[], float],
    ) -> None:
        """
        announce  publishes the retained body of `…/models`
        now       seconds since the epoch
        """
        self._models, self._window = models, window
        self._announce, self._now = announce, now
        self._queue: queue.Queue[_Work | None] = queue.Queue(_WAITING)
        self._given: OrderedDict[tuple[str | None, bytes], dict[str, Any]] = OrderedDict()
        self._closed = False
        self._announced: dict[str, Any] = {}

    def handle(self, transaction: str | None, fields: Mapping[str, Any]) -> Future[Data]:
        """`request/models`. Raises EdgeInspectError."""
        request = read_request(ModelsRequest, dict(fields))
        _check_keys(request)
        by = f"mqtt: {request.by or transaction or 'without a name'}"
        key = (transaction, to_json(dict(fields)))
        answer: Future[Data] = Future()
        if self._closed:
            raise RefusedError("the daemon stops")
        try:
            self._queue.put_nowait((lambda: self._once(request, by, key), answer))
        except queue.Full:
            raise RefusedError(
                f"busy: {_WAITING} requests for models wait already; ask again later"
            ) from None
        return answer

    def look_again(self) -> None:
        """Versions may have changed, as after each reload. Returns at once."""
        nothing: Future[Data] = Future()
        if not self._closed:
            try:
                self._queue.put_nowait((dict, nothing))
            except queue.Full:
                return  # a request is answered soon, and then the topic is sent

    def run(self) -> None:
        """Until closed."""
        while True:
            self._publish()
            self._switch_waiting()
            try:
                work = self._queue.get(timeout=self._patience())
            except queue.Empty:
                continue
            if work is None:
                return
            _answer(*work)

    def close(self) -> None:
        """Refuses new requests, and ends the thread after those that wait."""
        self._closed = True
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            self._queue.get_nowait()
            self._queue.put_nowait(None)

    def _patience(self) -> float:
        return _WINDOW_S if self._models.waits else _ANNOUNCE_S

    def _once(
        self, request: ModelsRequest, by: str, key: tuple[str | None, bytes]
    ) -> dict[str, Any]:
        """The answer; that of a repeated request is remembered."""
        if (before := self._given.get(key)) is not None:
            return {**before, "duplicate": True}
        answer = {**self._do(request, by), "duplicate": False}
        if key[0] is not None and request.action != "list":
            self._given[key] = answer
            if len(self._given) > _REMEMBERED:
                self._given.popitem(last=False)
        return answer

    def _do(self, request: ModelsRequest, by: str) -> dict[str, Any]:
        if request.action == "activate" and request.version is not None:
            wanted = SwitchRequest(version=request.version, by=by[:100], now=request.now)
            return switched_body(self._models.activate(wanted))
        if request.action == "rollback":
            return switched_body(
                self._models.rollback(RollbackRequest(name=request.name, by=by[:100]))
            )
        if request.action == "shadow":
            wanted_shadow = ShadowRequest(version=request.version, by=by[:100])
            return {"shadow": self._models.shadow(wanted_shadow).to_dict()}
        if request.action == "permit":
            self._window.permit(request.for_s or 0.0)
            return {"permitted_s": request.for_s}
        return models_body(self._models.listing())

    def _switch_waiting(self) -> None:
        try:
            self._models.switch_waiting()
        except EdgeInspectError as error:
            log.error("models: the switch that waits cannot be carried out: %s", error)

    def _publish(self) -> None:
        """Sends the topic when it differs from the last one."""
        try:
            body = models_body(self._models.listing())
        except EdgeInspectError as error:
            log.warning("models: the topic cannot be sent: %s", error)
            return
        if body != self._announced:
            self._announced = body
            time_ = rfc3339(self._now())
            self._announce(to_json({"schema": SCHEMA, "time": time_, **body}))


def models_body(listing: ModelListing) -> dict[str, Any]:
    """What `…/models` says beside schema and time."""
    waiting = listing.waiting
    return {
        "running": listing.running,
        "names": [_name_body(named) for named in listing.names],
        "waiting": None
        if waiting is None
        else {
            "name": waiting.name,
            "version": waiting.version,
            "sha256": waiting.sha256,
            "by": waiting.by,
            "at": waiting.at,
            "for": listing.waits_for,
        },
        "shadow": None if listing.shadow is None else listing.shadow.to_dict(),
    }


def switched_body(done: Switched) -> dict[str, Any]:
    """A switch as an answer."""
    return {
        "before": None if done.before is None else _version_body(done.before),
        "after": _version_body(done.after),
        "judges": done.judges,
        "waits": done.waits,
    }


def _name_body(named: NamedVersions) -> dict[str, Any]:
    by_hash = {one.sha256: one for one in named.versions}
    active = by_hash.get(named.record.active or "")
    previous = by_hash.get(named.record.previous or "")
    probation = named.probation
    return {
        "name": named.record.name,
        "active": None if active is None else _version_body(active),
        "previous": None if previous is None else _version_body(previous),
        "installed": len(named.versions),
        "probation": None
        if probation is None
        else {
            "sha256": probation.sha256,
            "state": probation.state,
            "seen": probation.seen,
            "parts": probation.parts,
            "reason": probation.reason,
        },
    }


def _version_body(version: Version) -> dict[str, Any]:
    return {"name": version.name, "version": version.version, "sha256": version.sha256}


def _check_keys(request: ModelsRequest) -> None:
    """Raises RequestError for a key that the action does not know or lacks."""
    known = {
        "list": (),
        "activate": ("version", "now"),
        "rollback": ("name",),
        "shadow": ("version",),
        "permit": ("for_s",),
    }[request.action]
    given = [key for key in ("version", "name", "for_s") if getattr(request, key) is not None]
    given += ["now"] if request.now else []
    for key in given:
        if key not in known:
            raise RequestError(f"{key}: does not go with action {request.action}; remove it")
    needed = {"activate": "version", "permit": "for_s"}.get(request.action)
    if needed is not None and needed not in given:
        raise RequestError(f"{needed}: is missing; action {request.action} needs it")


def _answer(action: Callable[[], Data], answer: "Future[Data]") -> None:
    try:
        settle(answer, action())
    except EdgeInspectError as error:
        settle(answer, error)
    except Exception:  # outermost loop: the next request must be answered
        log.exception("models: unexpected fault")
    finally:
        settle(answer, EdgeInspectError("internal fault; see the log"))
