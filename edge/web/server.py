"""HTTP: POST /predict and /trigger, GET /healthz and /metrics, served by waitress's threads."""

import hmac
import json
import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from edge.config.schema import WebConfig
from edge.core.clock import Clock
from edge.core.errors import (
    EdgeInspectError,
    MissingPartError,
    PictureError,
    RefusedError,
    TriggerError,
    TriggerRefusal,
)
from edge.core.frame import Frame
from edge.core.image import examine_picture
from edge.core.messages import sent_body, stored_body
from edge.monitoring.health import Health
from edge.mqtt.request_router import TokenBucket, parse
from edge.pipeline import Judge
from edge.plant.trigger_requests import TriggerRequests

try:
    import waitress
    from waitress import wasyncore
    from waitress.trigger import trigger
    from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, Unauthorized
    from werkzeug.routing import Map, Rule
    from werkzeug.wrappers import Request, Response

    from edge.monitoring.prometheus import exposition
except ImportError as error:
    raise MissingPartError(
        "web.enabled: true needs the HTTP server; run in edge-inspect's folder: "
        "pip install '.[web]'"
    ) from error

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

_THREADS = 4
_CONNECTIONS = 32  # each may lay a request of `web.max_mb` aside while it comes
_SWEEP_S = 0.5  # while somebody is connected, slow clients are looked for so often
_TRIGGERS_PER_S = 100
_TRIGGER_BYTES = 16_384
_STATUS_OF: dict[TriggerRefusal, int] = {
    "malformed": 400,
    "unknown": 404,
    "busy": 409,
    "flood": 429,
    "stopping": 503,
}
_SLOW_CLIENT_S = 20  # waitress closes a connection that is silent for so long
_REQUEST_S = 30.0  # so long a request may take to come


class WebServer:
    """Listens from the moment it is built; `run` serves until `close`."""

    def __init__(
        self,
        config: WebConfig,
        judge: Judge,
        health: Health,
        environment: Clock,
        desk: TriggerRequests,
        *,
        whose: Callable[[str | None], str],
    ) -> None:
        """`judge` is for /predict, `desk` for /trigger. `whose` gives the camera as which a picture
        is judged, by the name that the client said; it raises RefusedError. Raises
        EdgeInspectError when the port is taken."""
        self._judge, self._health, self._environment = judge, health, environment
        self._desk, self._whose = desk, whose
        self._allowance = TokenBucket(_TRIGGERS_PER_S, environment.tick)
        self._judging = threading.Lock()
        self._seq = 0
        self._limit = int(config.max_mb * 2**20)
        self._token = None
        if config.token_file is not None:
            self._token = config.token_file.read_text(encoding="utf-8").strip()
        self._routes = Map(
            [
                Rule("/predict", methods=["POST"], endpoint=self._predict),
                Rule("/trigger", methods=["POST"], endpoint=self._trigger),
                Rule("/healthz", methods=["GET"], endpoint=self._healthz),
                Rule("/metrics", methods=["GET"], endpoint=self._metrics),
            ]
        )
        self._closing = threading.Event()
        self._sockets: dict[int, Any] = {}
        self._waker = trigger(self._sockets)
        self._slow = SlowClients(self._sockets, _REQUEST_S, environment.tick)
        logging.getLogger("waitress").setLevel(logging.ERROR)
        try:
            self._server = waitress.create_server(
                self._application,
                map=self._sockets,
                host=config.bind,
                port=config.port,
                threads=_THREADS,
                max_request_body_size=self._limit + 65536,  # the multipart frame around a picture
                channel_timeout=_SLOW_CLIENT_S,
                connection_limit=_CONNECTIONS,
                ident=None,
            )
        except OSError as error:
            raise EdgeInspectError(
                f"web.port: {config.bind}:{config.port} cannot be used ({error.strerror}); "
                "stop the other program or choose another web.port"
            ) from error
        self._alone = len(self._sockets)  # what listens, and what wakes us

    def adopt(self, judge: Judge, whose: Callable[[str | None], str]) -> None:
        """Judges by another judge from the next request on; arguments as at the start."""
        with self._judging:
            self._judge, self._whose = judge, whose

    def run(self) -> None:
        """Serves until closed."""
        # Closed by the thread that serves: from another one, select would meet a dead socket.
        while not self._closing.is_set():
            connected = len(self._sockets) > self._alone
            pause = _SWEEP_S if connected else None
            wasyncore.loop(timeout=pause, map=self._sockets, count=1)
            self._slow.sweep()
        self._server.task_dispatcher.shutdown()
        wasyncore.close_all(self._sockets, ignore_all=True)

    def close(self) -> None:
        """Ends the server."""
        if not self._closing.is_set():
            self._waker.pull_trigger(self._closing.set)  # there: the waker goes with that thread

    def _application(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = self._limit + 65536
        try:
            endpoint, _ = self._routes.bind_to_environ(environ).match()
            self._authorise(request, endpoint)
            response: Response = endpoint(request)
        except HTTPException as error:
            response = _json({"error": error.description}, error.code or 500)
            if isinstance(error, Unauthorized):
                response.headers["WWW-Authenticate"] = "Bearer"
        except Exception:  # outermost loop of a request: the client learns that we failed
            log.exception("web: unexpected fault")
            response = _json({"error": "internal fault; see the log"}, 500)
        return response(environ, start_response)

    def _authorise(self, request: Request, endpoint: Callable[[Request], Response]) -> None:
        if self._token is None or endpoint == self._healthz:
            return
        said = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(said.encode(), self._token.encode()):
            raise Unauthorized("send the header `Authorization: Bearer TOKEN` (web.token_file)")

    def _predict(self, request: Request) -> Response:
        upload = request.files.get("image")
        if upload is None:
            raise BadRequest("send the picture as multipart field `image`")
        data = upload.stream.read(self._limit + 1)
        if len(data) > self._limit:
            raise RequestEntityTooLarge(f"more than {self._limit} bytes (web.max_mb)")
        try:
            camera = self._whose(request.form.get("camera"))
        except RefusedError as error:
            raise BadRequest(f"field `camera`: {error}") from error
        now, tick = self._environment.now(), self._environment.tick()
        name = upload.filename or "image"
        with self._judging:  # one at a time: a few kilobytes may be 200 MB of pixels
            try:
                pixels, reduced = self._judge.decode(camera, examine_picture(data, name))
            except PictureError as error:
                raise BadRequest(str(error)) from error
            self._seq += 1
            verdict = self._judge(
                Frame(camera, self._seq, pixels, now, tick, item=name, reduced=reduced)
            )
        body = sent_body(stored_body(verdict, seq=0), replayed=False)
        return Response(body, mimetype="application/json")

    def _trigger(self, request: Request) -> Response:
        """202: the part will get its verdict on the topic `result`. Else why it will not."""
        body = request.stream.read(_TRIGGER_BYTES + 1)
        if not self._allowance.take():
            return _json({"error": f"more than {_TRIGGERS_PER_S} triggers a second"}, 429)
        try:
            transaction, fields = parse(body, needs_transaction=False)
            return _json(self._desk.ask(transaction, fields), 202)
        except TriggerError as error:
            return _json({"error": str(error)}, _STATUS_OF[error.kind])

    def _healthz(self, _request: Request) -> Response:
        snapshot = self._health.snapshot()
        return _json(
            {"healthy": snapshot["healthy"], "faults": snapshot["faults"]},
            200 if snapshot["healthy"] else 503,
        )

    def _metrics(self, _request: Request) -> Response:
        report = self._health.report()
        body, content_type = exposition(report.body, report.faults)
        return Response(body, content_type=content_type)


class SlowClients:
    """Ends connections whose request is not complete after `most_s` seconds: waitress accepts a
    byte now and then, so a few slow clients would take every connection."""

    def __init__(
        self, channels: Mapping[int, Any], most_s: float, tick: Callable[[], float]
    ) -> None:
        """`channels`: waitress's, and its listening sockets, by file descriptor. `tick`: monotonic
        seconds."""
        self._channels, self._most_s, self._tick = channels, most_s, tick
        self._since: dict[int, tuple[Any, float]] = {}
        self.ended = 0

    def sweep(self) -> None:
        """To be called twice a second by the thread that serves."""
        now = self._tick()
        since: dict[int, tuple[Any, float]] = {}
        for number, channel in list(self._channels.items()):
            request = getattr(channel, "request", None)  # a complete one stands elsewhere
            if request is None:
                continue
            before, began = self._since.get(number, (None, now))
            if before is not request:
                began = now
            since[number] = request, began
            if now - began > self._most_s:
                channel.will_close = True
                self.ended += 1
        self._since = since


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(json.dumps(body) + "\n", status, mimetype="application/json")
