"""The HTTP server: POST /predict, /trigger and /recipe, GET /healthz and /metrics."""

import hmac
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from edge.config import WebConfig, read_secret
from edge.core.clock import Clock
from edge.core.errors import (
    EdgeInspectError,
    MissingPartError,
    PictureError,
    RefusedError,
    TriggerError,
)
from edge.core.frame import Frame
from edge.core.image import examine_picture
from edge.core.messages import sent_body, stored_body
from edge.core.text import escape, typed
from edge.monitoring import Health, prometheus_text
from edge.mqtt import TokenBucket, parse_request
from edge.pipeline import Judge
from edge.plant import TriggerRequests

try:
    import prometheus_client  # noqa: F401  edge.monitoring needs it for /metrics
    from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, Unauthorized
    from werkzeug.routing import Rule
    from werkzeug.wrappers import Request, Response

    from edge.web.recipe_route import STATUS_OF, ChooseRecipe, choose_recipe
    from edge.web.serving import Application, Endpoint, HttpServing, json_answer
except ImportError as error:
    raise MissingPartError(
        "web.enabled: true needs the HTTP server; run in edge-inspect's folder: "
        "pip install '.[web]'"
    ) from error

if TYPE_CHECKING:
    from werkzeug.datastructures import FileStorage

_THREADS = 4
_TRIGGERS_PER_S = 100
_TRIGGER_BYTES = 16_384
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
        choose_recipe: ChooseRecipe,
    ) -> None:
        """Binds the port. Raises EdgeInspectError when it is in use.

        judge       for /predict
        triggers    for /trigger
        camera_for  the camera whose settings judge a picture, by the name that the client sent;
                    raises RefusedError
        choose_recipe  for /recipe, as `RecipeRequests.handle`
        """
        self._health, self._clock, self._triggers = health, clock, triggers
        self._judging, self._choose_recipe = (judge, camera_for), choose_recipe
        self._trigger_bucket = TokenBucket(_TRIGGERS_PER_S, clock.tick)
        self._judge_lock = threading.Lock()
        self._seq = 0
        self._limit = int(config.max_mb * 2**20)
        self._token = None
        if config.token_file is not None:
            self._token = read_secret(config.token_file).strip()
        rules = [
            Rule("/predict", methods=["POST"], endpoint=self._predict),
            Rule("/trigger", methods=["POST"], endpoint=self._trigger),
            Rule("/recipe", methods=["POST"], endpoint=self._recipe),
            Rule("/healthz", methods=["GET"], endpoint=self._healthz),
            Rule("/metrics", methods=["GET"], endpoint=self._metrics),
        ]
        most = self._limit + _MULTIPART_BYTES
        try:
            self._serving = HttpServing(
                Application(rules, most, self._authorise),
                clock.tick,
                threads=_THREADS,
                max_bytes=most,
                listen=(config.bind, config.port),
            )
        except OSError as error:
            raise EdgeInspectError(
                f"web.port: {config.bind}:{config.port} cannot be used ({error.strerror}); "
                "stop the other program or choose another web.port"
            ) from error

    def adopt(
        self, judge: Judge, camera_for: Callable[[str | None], str]
    ) -> tuple[Judge, Callable[[str | None], str]]:
        """Replaces the judge from the next request on; arguments as in the constructor. Returns
        those so far. Never waits for a request."""
        before, self._judging = self._judging, (judge, camera_for)
        return before

    def run(self) -> None:
        """Serves until closed."""
        self._serving.run()

    def close(self) -> None:
        """Ends the server; before `run`, the next `run` returns at once."""
        self._serving.close()

    def _authorise(self, request: Request, endpoint: Endpoint) -> None:
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
            return json_answer({"error": f"more than {_TRIGGERS_PER_S} triggers a second"}, 429)
        try:
            transaction, fields = parse_request(body, needs_transaction=False)
            return json_answer(self._triggers.handle(transaction, fields), 202)
        except TriggerError as error:
            return json_answer({"error": str(error)}, STATUS_OF[error.kind])

    def _recipe(self, request: Request) -> Response:
        """200 when the recipe can judge; its parts get `error` until then."""
        _refuse_parameters(request)
        body = request.stream.read(_TRIGGER_BYTES + 1)
        if not self._trigger_bucket.take():
            return json_answer({"error": f"more than {_TRIGGERS_PER_S} requests a second"}, 429)
        return choose_recipe(self._choose_recipe, body, "http")

    def _healthz(self, _request: Request) -> Response:
        snapshot = self._health.report().body
        return json_answer(
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
