"""Requests for a picture, `request/snapshot`: the next one of a camera, or an archived one."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field

from edge.capture.reader import Reader
from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.core.ids import uuid7
from edge.core.image import EncodedPicture
from edge.core.record import Model, Pattern
from edge.core.text import typed
from edge.mqtt import Data, SnapshotSender, settle
from edge.plant.trigger_requests import validate_fields
from edge.storage import Evidence

_WAIT_S = 5.0
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class SnapshotRequest(Model):
    """The body of a snapshot request."""

    camera: Annotated[str, Field(max_length=64), AfterValidator(typed)] | None = None
    id: Annotated[str, Pattern(_UUID, "be the id of a verdict")] | None = None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request that waits for the next frame of a camera until `deadline_tick`."""

    deadline_tick: float
    answer: Future[Data]
    camera: str
    cancel: Callable[[], None]


class SnapshotRequests:
    """Handles `request/snapshot`. Safe between threads."""

    def __init__(
        self,
        readers: Mapping[str, Reader],
        evidence: Evidence,
        pictures: SnapshotSender,
        clock: Clock,
    ) -> None:
        """`readers`: of the running cameras."""
        self._readers, self._evidence = readers, evidence
        self._pictures, self._clock = pictures, clock
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []

    def handle(self, transaction: str | None, fields: Mapping[str, Any]) -> Future[Data]:  # noqa: ARG002  a handler's signature
        """Publishes a picture on `snapshot/<id>`; the answer comes when the broker has it.

        `fields` name a `camera` (optional with a single one) or the `id` of a verdict. Raises
        TriggerError.
        """
        keys = "a snapshot request has the keys transaction, and camera or id, all text"
        request = validate_fields(SnapshotRequest, fields, keys)
        answer: Future[Data] = Future()
        if request.id is None:
            self._order_next_frame(self._reader(request.camera), answer)
        elif request.camera is not None:
            raise TriggerError("camera and id: name one of the two", "malformed")
        elif (archive := self._evidence.archive) is not None:
            self._pictures.order(request.id, partial(archive.find, request.id), answer)
        else:
            raise TriggerError(
                "id: no pictures are kept on this box; set archive.enabled: true", "unknown"
            )
        return answer

    def overdue(self) -> None:
        """Answers each request that waited too long with an error. Call it every second."""
        tick = self._clock.tick()
        with self._lock:
            self._waiting = [waiting for waiting in self._waiting if not waiting.answer.done()]
            late = [waiting for waiting in self._waiting if waiting.deadline_tick <= tick]
        for waiting in late:
            waiting.cancel()
            why = f"camera {waiting.camera} gave no picture in {_WAIT_S:g} s"
            settle(waiting.answer, TriggerError(f"{why}; see its state in health", "busy"))

    def _order_next_frame(self, reader: Reader, answer: Future[Data]) -> None:
        name = uuid7()

        def show(picture: NDArray[np.uint8] | EncodedPicture) -> None:
            def source() -> NDArray[np.uint8] | bytes:
                return picture.shown() if isinstance(picture, EncodedPicture) else picture

            self._pictures.order(name, source, answer)

        if not reader.tap.add(show):
            raise TriggerError(f"camera {reader.id}: too many wait for its picture", "busy")
        with self._lock:
            deadline_tick = self._clock.tick() + _WAIT_S
            cancel = partial(reader.tap.remove, show)
            self._waiting.append(_Waiting(deadline_tick, answer, reader.id, cancel))

    def _reader(self, camera: str | None) -> Reader:
        readers = {reader.id: reader for reader in self._readers.values()}
        names = ", ".join(sorted(readers))
        if camera is None and len(readers) == 1:
            return next(iter(readers.values()))
        if camera is None:
            raise TriggerError(f"camera: name one of them ({names})", "malformed")
        if camera not in readers:
            raise TriggerError(f"camera: there is no {camera!r} here (cameras: {names})", "unknown")
        return readers[camera]
