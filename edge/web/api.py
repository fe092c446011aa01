"""The routes under /api/v1 over the box's records and recipes. The local socket serves them."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from itertools import chain
from typing import Any

from werkzeug.exceptions import BadRequest, Conflict, HTTPException, NotFound, ServiceUnavailable
from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.messages import to_json
from edge.core.text import parse_json
from edge.core.times import TimeError, parse_time
from edge.plant import (
    LabelRequest,
    RecordQuery,
    Records,
    RequestError,
    UndoRequest,
    UnknownRecordError,
    read_request,
)
from edge.web.recipe_route import ChooseRecipe, choose_recipe
from edge.web.serving import Endpoint, json_answer

SCHEMA = "edge-inspect/api/1"
_LINES = "application/jsonl"
_STEP = 10  # lines between two pauses, in which inspection gets Python's lock
_PAUSE_S = 0.002


def api_rules(
    records: Records, outbox: str, clock: Clock, choose: ChooseRecipe | None = None
) -> list[Rule]:
    """The routes. `outbox`: its path, by which a client knows that this is the daemon it means.
    `choose`: for POST /recipe, which does not exist without it."""
    routes = _Routes(records, outbox, clock)
    table: list[tuple[str, str, Callable[..., Response]]] = [
        ("GET", "", routes.about),
        ("GET", "/history", routes.history),
        ("GET", "/verdicts/<name>", routes.show),
        ("GET", "/verdicts/<name>/picture", routes.picture),
        ("GET", "/labels", routes.labels),
        ("POST", "/labels", routes.label),
        ("POST", "/labels/undo", routes.undo),
        ("GET", "/estimate", routes.estimate),
    ]
    if choose is not None:
        table.append(("POST", "/recipe", partial(_recipe, choose)))
    return [
        Rule(f"/api/v1{path}", methods=[method], endpoint=guarded(endpoint))
        for method, path, endpoint in table
    ]


def guarded(endpoint: Endpoint) -> Endpoint:
    """An expected fault becomes the status that says of which kind it is."""

    def answer(request: Request, **values: str) -> Response:
        try:
            return endpoint(request, **values)
        except EdgeInspectError as error:
            raise _http_error(error) from error

    return answer


def _http_error(error: EdgeInspectError) -> HTTPException:
    if isinstance(error, UnknownRecordError):
        return NotFound(str(error))
    if isinstance(error, RequestError | TimeError):
        return BadRequest(str(error))
    kind = Conflict if isinstance(error, RefusedError) else ServiceUnavailable
    return kind(str(error))


class _Routes:
    """The endpoints."""

    def __init__(self, records: Records, outbox: str, clock: Clock) -> None:
        self._records, self._outbox, self._clock = records, outbox, clock

    def about(self, request: Request) -> Response:
        """Which daemon this is."""
        parameters_of(request)
        return json_answer({"schema": SCHEMA, "outbox": self._outbox})

    def history(self, request: Request) -> Response:
        """One result body a line, newest first."""
        query = RecordQuery.read(dict(request.args.items()), self._clock.now())
        return _lines(one.to_dict() for one in self._records.history(query))

    def show(self, request: Request, name: str) -> Response:
        """All that is known of one verdict."""
        parameters_of(request)
        return json_answer(self._records.show(name).to_dict())

    def picture(self, request: Request, name: str) -> Response:
        """A kept picture as its file holds it."""
        text = parameters_of(request, "n").get("n", "1")
        if not text.isascii() or not text.isdigit():
            raise BadRequest(f"n: must be a whole number from 1 (got {text[:60]!r})")
        picture = self._records.picture(name, int(text[:6]))
        return Response(picture.data, mimetype=picture.kind)

    def labels(self, request: Request) -> Response:
        """The labels that count, one a line."""
        parameters_of(request)
        return _lines(asdict(label) for label in self._records.labels())

    def label(self, request: Request) -> Response:
        """Labels verdicts."""
        parameters_of(request)
        wanted = read_request(LabelRequest, body_of(request))
        return json_answer(self._records.label(wanted).to_dict())

    def undo(self, request: Request) -> Response:
        """Takes labels back."""
        parameters_of(request)
        wanted = read_request(UndoRequest, body_of(request))
        return json_answer(self._records.undo(wanted).to_dict())

    def estimate(self, request: Request) -> Response:
        """Escape and false-reject rate."""
        text = parameters_of(request, "since").get("since")
        since = None if text is None else parse_time(text, self._clock.now(), "since")
        return json_answer(self._records.estimate(since))


def _recipe(choose: ChooseRecipe, request: Request) -> Response:
    """Makes a recipe current; docs/recipes.md has the body."""
    parameters_of(request)
    return choose_recipe(choose, request.get_data(), "local socket")


def parameters_of(request: Request, *known: str) -> Mapping[str, str]:
    """What stands behind `?`. Raises BadRequest for an unknown name."""
    for name in request.args:
        if name not in known:
            raise BadRequest(f"the address has an unknown parameter {name[:40]!r}")
    return request.args


def body_of(request: Request) -> Any:
    """The JSON of a request. Raises BadRequest."""
    try:
        return parse_json(request.get_data())
    except ValueError as error:
        raise BadRequest(f"the body must be a JSON object in UTF-8; this one {error}") from error


def _lines(values: Iterator[dict[str, Any]]) -> Response:
    """One JSON object a line. The first is made before the status is sent, so that a fault which
    is there from the start has its own status."""
    first = next(values, None)
    if first is None:
        return Response(b"", mimetype=_LINES)
    return Response(_paced(chain([first], values)), mimetype=_LINES)


def _paced(values: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """Lines in steps. This thread never keeps Python's lock for longer than a step takes, because
    inspection needs it."""
    step: list[bytes] = []
    for value in values:
        step.append(to_json(value) + b"\n")
        if len(step) == _STEP:
            yield b"".join(step)
            step.clear()
            time.sleep(_PAUSE_S)
    yield b"".join(step)
