"""Requests for a recipe over HTTP, on the port and on the local socket."""

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from werkzeug.wrappers import Response

from edge.core.errors import TriggerError, TriggerRefusal
from edge.mqtt import Data, parse_request
from edge.web.serving import json_answer

ChooseRecipe = Callable[[str | None, Mapping[str, Any], str], Future[Data]]
LOADING_S = 30.0  # for the model of a recipe
STATUS_OF: dict[TriggerRefusal, int] = {
    "malformed": 400,
    "unknown": 404,
    "busy": 409,
    "flood": 429,
    "stopping": 503,
}


def choose_recipe(choose: ChooseRecipe, body: bytes, transport: str) -> Response:
    """200 when the recipe can judge; its parts get `error` until then."""
    try:
        transaction, fields = parse_request(body, needs_transaction=False)
        return json_answer(choose(transaction, fields, transport).result(LOADING_S))
    except TriggerError as error:
        return json_answer({"error": str(error)}, STATUS_OF[error.kind])
    except TimeoutError:
        text = f"its model is not loaded after {LOADING_S:g} s; see the log"
        return json_answer({"error": text}, 503)
