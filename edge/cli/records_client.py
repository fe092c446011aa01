"""The box's records through the running daemon: a client of its local socket."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.messages import to_json
from edge.core.unix_socket import connect
from edge.plant import (
    HistoryEntry,
    LabelReply,
    LabelRequest,
    Picture,
    RecordQuery,
    RequestError,
    UndoRequest,
    UnknownRecordError,
    VerdictDetails,
)
from edge.storage import Label

_PAGE = 500  # the daemon never waits for a client that pauses in the middle of an answer
_TIMEOUT_S = 60.0
_FIRST_S = 10.0  # the daemon loads its HTTP server for the first client
_ERRORS: dict[int, type[EdgeInspectError]] = {400: RequestError, 404: UnknownRecordError}


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path, self._timeout_s = path, timeout_s

    def connect(self) -> None:
        """Connects."""
        self.sock: socket.socket = connect(self._path, self._timeout_s)


class RecordsClient:
    """`Records` of the daemon that listens at a path."""

    def __init__(self, path: Path) -> None:
        """Opens one connection for each request."""
        self.path = path

    def serves(self, outbox: Path) -> bool:
        """Whether a daemon answers here, and it is the one with this outbox."""
        try:
            status, data = self._exchange("GET", "", None, _FIRST_S)
            return status == 200 and json.loads(data)["outbox"] == str(outbox)
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            return False

    def history(self, query: RecordQuery) -> Iterator[HistoryEntry]:
        """Verdicts that the box remembers, newest first."""
        left, question = query.of_model.limit, query.of_model
        while left is None or left > 0:
            limit = _PAGE if left is None else min(_PAGE, left)
            page = replace(query, of_model=replace(question, limit=limit))
            data = self._ask("GET", "/history", page.fields())
            rows = [HistoryEntry.from_dict(json.loads(line)) for line in data.splitlines()]
            yield from rows
            if len(rows) < limit:
                return
            question = replace(question, before_seq=rows[-1].seq)
            left = None if left is None else left - len(rows)

    def show(self, name: str) -> VerdictDetails:
        """All that is known of one verdict."""
        return VerdictDetails.from_dict(
            json.loads(self._ask("GET", f"/verdicts/{quote(name, safe='')}"))
        )

    def picture(self, name: str, number: int = 1) -> Picture:
        """A kept picture of a verdict."""
        address = f"/verdicts/{quote(name, safe='')}/picture"
        data = self._ask("GET", address, {"n": str(number)})
        kind = "image/png" if data.startswith(b"\x89PNG") else "image/jpeg"
        return Picture(data, kind)

    def label(self, request: LabelRequest) -> LabelReply:
        """Labels all, or none."""
        return LabelReply.from_dict(json.loads(self._send("/labels", request.to_dict())))

    def undo(self, request: UndoRequest) -> LabelReply:
        """Takes back all, or none."""
        return LabelReply.from_dict(json.loads(self._send("/labels/undo", request.to_dict())))

    def labels(self) -> Sequence[Label]:
        """All labels that count."""
        return [Label(**json.loads(line)) for line in self._ask("GET", "/labels").splitlines()]

    def estimate(self, since: float | None = None) -> dict[str, Any]:
        """Escape and false-reject rate of the line."""
        fields = {} if since is None else {"since": f"{since:.3f}"}
        answer: dict[str, Any] = json.loads(self._ask("GET", "/estimate", fields))
        return answer

    def _send(self, address: str, body: Mapping[str, Any]) -> bytes:
        return self._ask("POST", address, body=to_json(body))

    def _ask(
        self,
        method: str,
        address: str,
        fields: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> bytes:
        where = f"{address}?{urlencode(fields)}" if fields else address
        try:
            status, data = self._exchange(method, where, body, _TIMEOUT_S)
        except (OSError, http.client.HTTPException) as error:
            raise RefusedError(
                f"{self.path}: the daemon does not answer ({error or type(error).__name__}); try "
                "again, and see its log"
            ) from error
        if status == 200:
            return data
        raise _ERRORS.get(status, RefusedError)(_sentence(status, data))

    def _exchange(
        self, method: str, address: str, body: bytes | None, timeout_s: float
    ) -> tuple[int, bytes]:
        connection = _Connection(self.path, timeout_s)
        try:
            connection.request(method, f"/api/v1{address}", body, {"Connection": "close"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def _sentence(status: int, data: bytes) -> str:
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the daemon answered with status {status}; see its log"
