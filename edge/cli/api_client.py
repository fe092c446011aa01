"""A client of the running daemon's local socket."""

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.messages import to_json
from edge.core.unix_socket import connect
from edge.plant import RequestError, UnknownRecordError

_SOCKET = "api.sock"
_SERVICE_SOCKET = Path("/run/edge-inspect") / _SOCKET
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


class ApiClient:
    """Requests to the daemon that listens at a path."""

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

    def send(self, address: str, body: Mapping[str, Any]) -> bytes:
        """The answer to a POST with this JSON body. Raises EdgeInspectError."""
        return self.ask("POST", address, body=to_json(body))

    def ask(
        self,
        method: str,
        address: str,
        fields: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> bytes:
        """The answer to a request. Raises EdgeInspectError."""
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


def find_daemon(outbox: Path) -> Path | None:
    """The socket of the running daemon with this outbox; None: none answers."""
    places = (outbox.with_name(_SOCKET), _SERVICE_SOCKET)
    return next((path for path in places if ApiClient(path).serves(outbox)), None)


def _sentence(status: int, data: bytes) -> str:
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the daemon answered with status {status}; see its log"
