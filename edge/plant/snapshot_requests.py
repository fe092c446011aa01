"""Requests for a picture, `request/snapshot`: by camera (what it sees now) or by verdict (what the
archive has kept)."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from edge.capture.reader import Reader, Show
from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.core.ids import uuid7
from edge.core.image import Encoded
from edge.core.record import Model, Pattern
from edge.mqtt.request_router import Data, settle
from edge.mqtt.snapshots import SnapshotSender
from edge.plant.trigger_requests import checked
from edge.storage import Evidence

_WAIT_S = 5.0
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class SnapshotRequest(Model):
    """The body of a snapshot request."""

    camera: Annotated[str, Field(max_length=64)] | None = None
    id: Annotated[str, Pattern(_UUID, "be the id of a verdict")] | None = None


class SnapshotRequests:
    """Safe between threads. `overdue` is to be called once a second or so."""

    def __init__(
        self,
        readers: Mapping[str, Reader],
        evidence: Evidence,
        pictures: SnapshotSender,
        environment: Clock,
    ) -> None:
        """`readers` by camera, which may change."""
        self._readers, self._evidence = readers, evidence
        self._pictures, self._environment = pictures, environment
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, Future[Data], Callable[[], None], str]] = []

    def ask(self, transaction: str | None, fields: Mapping[str, Any]) -> Future[Data]:  # noqa: ARG002  a handler's signature
        """The picture will be on `snapshot/<id>`; the answer says so when the broker has it.

        `fields` name a `camera` (or none, when there is one only), or a verdict's `id`. Raises
        TriggerError.
        """
        request = _checked(fields)
        if request.id is not None:
            return self._from_archive(request.id)
        camera = self._camera(request.camera)
        answer: Future[Data] = Future()
        name = uuid7()

        def show(picture: NDArray[np.uint8] | Encoded) -> None:
            def source() -> NDArray[np.uint8] | bytes:
                return picture.shown() if isinstance(picture, Encoded) else picture

            self._pictures.order(name, source, answer)

        if not camera.tap.add(show):
            raise TriggerError(f"camera {camera.id}: too many wait for its picture", "busy")
        self._remember(camera, answer, show)
        return answer

    def overdue(self) -> None:
        """Answers each request that waited too long with an error."""
        tick = self._environment.tick()
        with self._lock:
            self._waiting = [one for one in self._waiting if not one[1].done()]
            late = [one for one in self._waiting if one[0] <= tick]
        for _until, answer, withdraw, camera in late:
            withdraw()
            settle(
                answer,
                TriggerError(
                    f"camera {camera} gave no picture in {_WAIT_S:g} s; see its state in health",
                    "busy",
                ),
            )

    def _remember(self, camera: Reader, answer: Future[Data], show: Show) -> None:
        tap = camera.tap
        until = self._environment.tick() + _WAIT_S
        with self._lock:
            self._waiting.append((until, answer, lambda: tap.remove(show), camera.id))

    def _from_archive(self, name: str) -> Future[Data]:
        archive = self._evidence.archive
        if archive is None:
            raise TriggerError(
                "id: no pictures are kept on this box; set archive.enabled: true", "unknown"
            )
        answer: Future[Data] = Future()
        self._pictures.order(name, partial(archive.find, name), answer)
        return answer

    def _camera(self, camera: str | None) -> Reader:
        readers = {reader.id: reader for reader in self._readers.values()}
        names = ", ".join(sorted(readers))
        if camera is None and len(readers) == 1:
            return next(iter(readers.values()))
        if camera is None:
            raise TriggerError(f"camera: say which one ({names})", "malformed")
        if camera not in readers:
            raise TriggerError(f"camera: there is no {camera!r} here (cameras: {names})", "unknown")
        return readers[camera]


def _checked(fields: Mapping[str, Any]) -> SnapshotRequest:
    keys = "a snapshot request has the keys transaction, and camera or id, all text"
    request = checked(SnapshotRequest, fields, keys)
    if request.camera is not None and request.id is not None:
        raise TriggerError("camera and id: name one of the two", "malformed")
    return request
