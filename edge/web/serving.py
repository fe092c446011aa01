"""A WSGI application on waitress: the loop, slow clients, and JSON answers.

The HTTP server on a port and the local socket share it.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import waitress
from waitress import wasyncore
from waitress.trigger import trigger
from werkzeug.exceptions import HTTPException, Unauthorized
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from edge.core.messages import to_json
from edge.core.threads import WATCH

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

_CONNECTIONS = 32  # each may buffer a request of the largest size
_SWEEP_S = 0.5  # interval of the check for slow clients, while there are connections
_SILENT_CLIENT_S = 20  # waitress closes a connection after this silence
_REQUEST_S = 30.0  # from the first byte of a request to its last
_UNREAD_S = 20.0  # a client that reads nothing of its answer for this time is disconnected
_BUFFERED = 2**18  # bytes of an answer in memory; the rest waits until the client has read

Endpoint = Callable[..., Response]


class Application:
    """A WSGI application: finds the endpoint of an address; each error becomes a JSON answer."""

    def __init__(
        self,
        rules: Sequence[Rule],
        max_bytes: int,
        authorise: Callable[[Request, Endpoint], None] = lambda _request, _endpoint: None,
    ) -> None:
        """
        rules      each with the endpoint that answers
        max_bytes  of a request
        authorise  raises HTTPException when the request may not call the endpoint
        """
        self._routes = Map(rules)
        self._max_bytes, self._authorise = max_bytes, authorise

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answers a request."""
        request = Request(environ)
        request.max_content_length = self._max_bytes
        try:
            endpoint, values = self._routes.bind_to_environ(environ).match()
            self._authorise(request, endpoint)
            response: Response = endpoint(request, **values)
        except HTTPException as error:
            response = json_answer({"error": error.description}, error.code or 500)
            if isinstance(error, Unauthorized):
                response.headers["WWW-Authenticate"] = "Bearer"
        except Exception:  # outermost loop of a request: the client gets an answer
            log.exception("web: unexpected fault")
            response = json_answer({"error": "internal fault; see the log"}, 500)
        return response(environ, start_response)


class HttpServing:
    """Listens from the moment it is built; `run` serves until `close`."""

    def __init__(
        self,
        application: Application,
        tick: Callable[[], float],
        *,
        threads: int,
        max_bytes: int,
        listen: tuple[str, int] | socket.socket,
    ) -> None:
        """Raises OSError when the address cannot be used.

        tick       monotonic seconds
        threads    that answer requests
        max_bytes  of a request
        listen     host and port, or a bound socket, which belongs to this object from now on
        """
        self._closing = threading.Event()
        self._sockets: dict[int, Any] = {}
        self._waker = trigger(self._sockets)
        self._slow = SlowClients(self._sockets, _REQUEST_S, tick)
        logging.getLogger("waitress").setLevel(logging.ERROR)
        others = set(threading.enumerate())
        where: dict[str, Any] = (
            {"host": listen[0], "port": listen[1]}
            if isinstance(listen, tuple)
            else {"sockets": [listen]}
        )
        self._server = waitress.create_server(
            application,
            map=self._sockets,
            threads=threads,
            max_request_body_size=max_bytes,
            channel_timeout=_SILENT_CLIENT_S,
            connection_limit=_CONNECTIONS,
            outbuf_high_watermark=_BUFFERED,
            ident=None,
            **where,
        )
        self._own_sockets = len(self._sockets)  # the listening socket and the waker
        self._helpers = [
            thread
            for thread in threading.enumerate()
            if thread.name.startswith("waitress-") and thread not in others
        ]
        for thread in self._helpers:
            WATCH.add(thread, vital=False)

    def run(self) -> None:
        """Serves until closed."""
        # This thread closes the sockets: `select` would fail if another thread did.
        while not self._closing.is_set():
            connected = len(self._sockets) > self._own_sockets
            wasyncore.loop(timeout=_SWEEP_S if connected else None, map=self._sockets, count=1)
            self._slow.sweep()
        for thread in self._helpers:
            WATCH.remove(thread)
        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._sockets, ignore_all=True)

    def close(self) -> None:
        """Ends the server; before `run`, the next `run` returns at once."""
        if not self._closing.is_set():
            self._waker.pull_trigger(self._closing.set)  # runs on the serving thread


class SlowClients:
    """Ends connections with a slow request, and those that do not read their answer.

    waitress itself only ends silent ones, so a few slow clients would take every connection, or
    every thread that answers.
    """

    def __init__(
        self,
        channels: Mapping[int, Any],
        limit_s: float,
        tick: Callable[[], float],
        unread_s: float = _UNREAD_S,
    ) -> None:
        """Ends nothing yet.

        channels  waitress's channels and listening sockets, by file descriptor
        limit_s   seconds until a request must be complete
        tick      monotonic seconds
        unread_s  seconds in which a client must read something of its answer
        """
        self._channels, self._limit_s, self._tick = channels, limit_s, tick
        self._unread_s = unread_s
        self._since: dict[int, tuple[Any, float]] = {}
        self._unread: dict[int, tuple[Any, float]] = {}
        self.ended = 0

    def sweep(self) -> None:
        """Ends slow requests and unread answers. The serving thread calls it twice a second."""
        now = self._tick()
        since: dict[int, tuple[Any, float]] = {}
        unread: dict[int, tuple[Any, float]] = {}
        for number, channel in list(self._channels.items()):
            if getattr(channel, "total_outbufs_len", 0):
                progress = channel, channel.last_activity
                before, began = self._unread.get(number, (None, now))
                unread[number] = progress, began if before == progress else now
                if now - unread[number][1] > self._unread_s:
                    channel.handle_close()  # also wakes the thread that waits for room
                    self.ended += 1
                    continue
            request = getattr(channel, "request", None)  # None when the request is complete
            if request is None:
                continue
            before, began = self._since.get(number, (None, now))
            if before is not request:
                began = now
            since[number] = request, began
            if now - began > self._limit_s:
                channel.will_close = True
                self.ended += 1
        self._since, self._unread = since, unread


def json_answer(body: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON object."""
    return Response(to_json(body) + b"\n", status, mimetype="application/json")
