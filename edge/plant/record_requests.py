"""The MQTT requests `history` and `label`: thin adapters over `Records`.

Both wait for the disk, so a thread of their own answers them, never the connection's.
"""

import logging
import queue
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.messages import to_json
from edge.mqtt import Data, settle
from edge.plant.record_values import (
    LabelRequest,
    RecordQuery,
    Records,
    RequestError,
    UndoRequest,
    read_request,
)

log = logging.getLogger(__name__)

MOST_BYTES = 65_536  # of an answer; hosted brokers take 128 kB and more
MOST_LABELLED = 500  # ids in one request: their answer stays within MOST_BYTES
_AROUND = 2048  # bytes of an answer beside the verdicts: topic, transaction, correlation data
_WAITING = 8  # requests; one more is refused
_STEP = 10  # verdicts between two pauses, in which inspection gets Python's lock
_PAUSE_S = 0.002
_REMEMBERED = 256  # answers; QoS 1 may repeat a request

_Work = tuple[Callable[[], Data], "Future[Data]"]


class RecordRequests:
    """Safe between threads. `run` is the thread that answers."""

    def __init__(
        self, records: Records, now: Callable[[], float], max_packet: Callable[[], int]
    ) -> None:
        """
        now: seconds since the epoch.
        max_packet: bytes of the longest message that the broker takes.
        """
        self._records, self._now, self._max_packet = records, now, max_packet
        self._queue: queue.Queue[_Work | None] = queue.Queue(_WAITING)
        self._given: OrderedDict[tuple[str | None, bytes], dict[str, Any]] = OrderedDict()
        self._closed = False

    def history(self, _transaction: str | None, fields: Mapping[str, Any]) -> Future[Data]:
        """`request/history`: the parameters of `GET /api/v1/history`. Raises EdgeInspectError."""
        query = RecordQuery.read(_texts(fields), self._now())
        return self._put(lambda: self._remembered(query))

    def label(self, transaction: str | None, fields: Mapping[str, Any]) -> Future[Data]:
        """`request/label`: the body of `POST /api/v1/labels`; with `undo` true, that of
        `POST /api/v1/labels/undo`. Raises EdgeInspectError."""
        given = dict(fields)
        undo = given.pop("undo", False)
        if not isinstance(undo, bool):
            raise RequestError(f"undo: must be true or false (got {undo!r:.60})")
        wanted: LabelRequest | UndoRequest = (
            read_request(UndoRequest, given) if undo else read_request(LabelRequest, given)
        )
        if len(wanted.ids) > MOST_LABELLED:
            raise RequestError(
                f"ids: at most {MOST_LABELLED} in one request (got {len(wanted.ids)}); send more "
                "requests"
            )
        return self._put(lambda: self._labelled(wanted, (transaction, to_json(dict(fields)))))

    def run(self) -> None:
        """Until closed."""
        while (work := self._queue.get()) is not None:
            action, answer = work
            try:
                settle(answer, action())
            except EdgeInspectError as error:
                settle(answer, error)
            except Exception:  # outermost loop: the next request must be answered
                log.exception("requests: unexpected fault")
            finally:
                settle(answer, EdgeInspectError("internal fault; see the log"))

    def close(self) -> None:
        """Refuses new requests, and ends the thread after those that wait."""
        self._closed = True
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            self._queue.get_nowait()
            self._queue.put_nowait(None)

    def _put(self, action: Callable[[], Data]) -> Future[Data]:
        answer: Future[Data] = Future()
        if self._closed:
            raise RefusedError("the daemon stops")
        try:
            self._queue.put_nowait((action, answer))
        except queue.Full:
            raise RefusedError(
                f"busy: {_WAITING} requests for history and labels wait already; ask again later"
            ) from None
        return answer

    def _remembered(self, query: RecordQuery) -> Data:
        room = min(MOST_BYTES, self._max_packet()) - _AROUND
        verdicts: list[dict[str, Any]] = []
        before_seq: int | None = None
        for row in self._records.history(query):
            body = row.to_dict()
            room -= len(to_json(body)) + 1
            if room < 0:
                if not verdicts:
                    raise RefusedError(
                        f"the broker takes at most {self._max_packet()} bytes, too few for a "
                        "verdict; raise its max_packet_size"
                    )
                return {"verdicts": verdicts, "cut": "bytes", "before_seq": before_seq}
            verdicts.append(body)
            if len(verdicts) % _STEP == 0:
                time.sleep(_PAUSE_S)
            before_seq = row.seq
        full = len(verdicts) == query.of_model.limit
        return {
            "verdicts": verdicts,
            "cut": "limit" if full else None,
            "before_seq": before_seq if full else None,
        }

    def _labelled(self, wanted: LabelRequest | UndoRequest, key: tuple[str | None, bytes]) -> Data:
        if (before := self._given.get(key)) is not None:
            return {**before, "duplicate": True}
        if isinstance(wanted, UndoRequest):
            done = self._records.undo(wanted)
        else:
            done = self._records.label(wanted)
        answer = {
            "ids": [one.id for one in done.labels],
            "label": None if isinstance(wanted, UndoRequest) else wanted.label,
            "remarks": list(done.remarks),
            "duplicate": False,
        }
        self._given[key] = answer
        if len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)
        return answer


def _texts(fields: Mapping[str, Any]) -> dict[str, str]:
    """The texts that `RecordQuery.read` takes. Raises RequestError."""
    texts = {}
    for name, value in fields.items():
        if isinstance(value, bool):
            texts[name] = "true" if value else "false"
        elif isinstance(value, str | int):
            texts[name] = str(value)
        else:
            raise RequestError(
                f"{name[:40]}: must be text, a whole number or true (got {value!r:.60})"
            )
    return texts
