"""The HTTP server: POST /predict and /trigger, GET /healthz and /metrics."""

import hmac
import logging
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from edge.config import WebConfig, read_secret
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
from edge.core.messages import sent_body, stored_body, to_json
from edge.core.text import escape, typed
from edge.core.threads import WATCH
from edge.monitoring import Health, prometheus_text
from edge.mqtt import TokenBucket, parse_request
from edge.pipeline import Judge
from edge.plant import TriggerRequests

try:
    import prometheus_client  # noqa: F401  edge.monitoring needs it for /metrics
    import waitress
    from waitress import wasyncore
    from waitress.trigger import trigger
    from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, Unauthorized
    from werkzeug.routing import Map, Rule
    from werkzeug.wrappers import Request, Response
except ImportError as error:
    raise MissingPartError(
        "web.enabled: true needs the HTTP server; run in edge-inspect's folder: "
        "pip install '.[web]'"
    ) from error

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment
    from werkzeug.datastructures import FileStorage

log = logging.getLogger(__name__)

_THREADS = 4
_CONNECTIONS = 32  # each may buffer a request of `web.max_mb`
_SWEEP_S = 0.5  # interval of the check for slow clients, while there are connections
_TRIGGERS_PER_S = 100
_TRIGGER_BYTES = 16_384
_STATUS_OF: dict[TriggerRefusal, int] = {
    "malformed": 400,
    "unknown": 404,
    "busy": 409,
    "flood": 429,
    "stopping": 503,
}
_SILENT_CLIENT_S = 20  # waitress closes a connection after this silence
_REQUEST_S = 30.0  # from the first byte of a request to its last
_HOW_TO_SEND = (
    "send the picture as a file in the multipart field `image`, as in curl -F image=@FILE"
)
_MULTIPART_BYTES = 65_536  # the multipart frame around a picture


class WebServer:
    """Listens from the moment it is built; `run` serves until `close`."""

    def __init__(
        self,
        config: WebConfig,
        judge: Judge,
        health: Health,
        clock: Clock,
        triggers: TriggerRequests,
        *,
        camera_for: Callable[[str | None], str],
    ) -> None:
        """Binds the port. Raises EdgeInspectError when it is in use.

        judge       for /predict
        triggers    for /trigger
        camera_for  the camera whose settings judge a picture, by the name that the client sent;
                    raises RefusedError
        """
        self._health, self._clock, self._triggers = health, clock, triggers
        self._judging = judge, camera_for
        self._trigger_bucket = TokenBucket(_TRIGGERS_PER_S, clock.tick)
        self._judge_lock = threading.Lock()
        self._seq = 0
        self._limit = int(config.max_mb * 2**20)
        self._token = None
        if config.token_file is not None:
            self._token = read_secret(config.token_file).strip()
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
        self._slow = SlowClients(self._sockets, _REQUEST_S, clock.tick)
        logging.getLogger("waitress").setLevel(logging.ERROR)
        try:
            self._server = waitress.create_server(
                self._application,
                map=self._sockets,
                host=config.bind,
                port=config.port,
                threads=_THREADS,
                max_request_body_size=self._limit + _MULTIPART_BYTES,
                channel_timeout=_SILENT_CLIENT_S,
                connection_limit=_CONNECTIONS,
                ident=None,
            )
        except OSError as error:
            raise EdgeInspectError(
                f"web.port: {config.bind}:{config.port} cannot be used ({error.strerror}); "
                "stop the other program or choose another web.port"
            ) from error
        self._own_sockets = len(self._sockets)  # the listening socket and the waker
        self._helpers = [t for t in threading.enumerate() if t.name.startswith("waitress-")]
        for thread in self._helpers:
            WATCH.add(thread, vital=False)

    def adopt(
        self, judge: Judge, camera_for: Callable[[str | None], str]
    ) -> tuple[Judge, Callable[[str | None], str]]:
        """Replaces the judge from the next request on; arguments as in the constructor. Returns
        those so far. Never waits for a request."""
        before, self._judging = self._judging, (judge, camera_for)
        return before

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

    def _application(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        request = Request(environ)
        request.max_content_length = self._limit + _MULTIPART_BYTES
        try:
            endpoint, _ = self._routes.bind_to_environ(environ).match()
            self._authorise(request, endpoint)
            response: Response = endpoint(request)
        except HTTPException as error:
            response = _json({"error": error.description}, error.code or 500)
            if isinstance(error, Unauthorized):
                response.headers["WWW-Authenticate"] = "Bearer"
        except Exception:  # outermost loop of a request: the client gets an answer
            log.exception("web: unexpected fault")
            response = _json({"error": "internal fault; see the log"}, 500)
        return response(environ, start_response)

    def _authorise(self, request: Request, endpoint: Callable[[Request], Response]) -> None:
        if self._token is None or endpoint == self._healthz:
            return
        token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            raise Unauthorized("send the header `Authorization: Bearer TOKEN` (web.token_file)")

    def _predict(self, request: Request) -> Response:
        upload, camera_name = _picture_and_camera(request)
        data = upload.stream.read(self._limit + 1)
        if len(data) > self._limit:
            raise RequestEntityTooLarge(f"more than {self._limit} bytes (web.max_mb)")
        try:
            judge, camera_for = self._judging
            camera = camera_for(camera_name)
        except RefusedError as error:
            raise BadRequest(f"field `camera`: {error}") from error
        now, tick = self._clock.now(), self._clock.tick()
        name = escape(upload.filename or "image")
        with self._judge_lock:  # one picture at a time: a few kilobytes may be 200 MB of pixels
            try:
                picture = examine_picture(data, name)
                pixels, reduced = judge.decode(camera, picture)
            except PictureError as error:
                raise BadRequest(str(error)) from error
            self._seq += 1
            frame = Frame(
                camera, self._seq, pixels, now, tick, item=name, encoded=picture, reduced=reduced
            )
            verdict = judge(frame)
        body = sent_body(stored_body(verdict, seq=0), replayed=False)
        return Response(body, mimetype="application/json")

    def _trigger(self, request: Request) -> Response:
        """202: the verdict of the part will come on the topic `result`."""
        _refuse_parameters(request)
        body = request.stream.read(_TRIGGER_BYTES + 1)
        if not self._trigger_bucket.take():
            return _json({"error": f"more than {_TRIGGERS_PER_S} triggers a second"}, 429)
        try:
            transaction, fields = parse_request(body, needs_transaction=False)
            return _json(self._triggers.handle(transaction, fields), 202)
        except TriggerError as error:
            return _json({"error": str(error)}, _STATUS_OF[error.kind])

    def _healthz(self, _request: Request) -> Response:
        snapshot = self._health.report().body
        return _json(
            {"healthy": snapshot["healthy"], "faults": snapshot["faults"]},
            200 if snapshot["healthy"] else 503,
        )

    def _metrics(self, _request: Request) -> Response:
        body, content_type = prometheus_text(self._health.report())
        return Response(body, content_type=content_type)


def _refuse_parameters(request: Request) -> None:
    for name in request.args:
        raise BadRequest(f"the address has a parameter {name!r:.40}; send it in the body")


def _picture_and_camera(request: Request) -> "tuple[FileStorage, str | None]":
    """The only picture of a request, and the name in its field `camera`.

    Raises BadRequest for a request that another program may read otherwise: nothing is dropped
    silently.
    """
    _refuse_parameters(request)
    kind = request.headers.get("Content-Type", "")
    if re.search(r",\s*[\w-]+/", kind):  # waitress joins headers that stand twice
        raise BadRequest(f"two headers Content-Type ({kind!r:.120}); send one")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise BadRequest("the body has a Content-Encoding; send it as it is")
    if request.mimetype != "multipart/form-data":
        raise BadRequest(f"the body is {request.mimetype!r:.80}; {_HOW_TO_SEND}")
    pictures = request.files.getlist("image")
    fields = [*request.files.keys(), *request.form.keys()]
    unknown = [name for name in fields if name not in ("image", "camera")]
    if unknown:
        raise BadRequest(f"field {unknown[0]!r:.40} is unknown; {_HOW_TO_SEND}")
    if len(pictures) > 1:
        raise BadRequest(f"{len(pictures)} fields `image`; send one picture a request")
    if not pictures or "image" in request.form or "camera" in request.files:
        raise BadRequest(_HOW_TO_SEND)
    cameras = request.form.getlist("camera")
    if len(cameras) > 1:
        raise BadRequest(f"{len(cameras)} fields `camera`; send one")
    upload = pictures[0]
    encoding = upload.headers.get("Content-Transfer-Encoding", "binary").strip().lower()
    if encoding not in ("binary", "8bit", "7bit"):
        raise BadRequest(
            f"field `image` is encoded as {encoding!r:.40}; send its bytes as they are"
        )
    if upload.mimetype.startswith("multipart/"):
        raise BadRequest("field `image` holds several files; send one picture a request")
    return upload, typed(cameras[0]) if cameras else None


class SlowClients:
    """Ends connections with a slow request.

    waitress itself only ends silent ones, so a few slow clients would take every connection.
    """

    def __init__(
        self, channels: Mapping[int, Any], limit_s: float, tick: Callable[[], float]
    ) -> None:
        """Ends nothing yet.

        channels  waitress's channels and listening sockets, by file descriptor
        limit_s   seconds until a request must be complete
        tick      monotonic seconds
        """
        self._channels, self._limit_s, self._tick = channels, limit_s, tick
        self._since: dict[int, tuple[Any, float]] = {}
        self.ended = 0

    def sweep(self) -> None:
        """Ends slow requests. The serving thread calls it twice a second."""
        now = self._tick()
        since: dict[int, tuple[Any, float]] = {}
        for number, channel in list(self._channels.items()):
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
        self._since = since


def _json(body: dict[str, Any], status: int) -> Response:
    return Response(to_json(body) + b"\n", status, mimetype="application/json")
