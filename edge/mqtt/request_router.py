"""Requests over MQTT: `…/request/<name>` in, `…/response/<name>` out. Each request is answered or
counted, and none can end the connection or the daemon."""

import contextlib
import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from typing import Any

from edge.core.errors import EdgeInspectError, RefusedError, TriggerError
from edge.core.messages import to_json
from edge.core.text import faults_of, parse_json
from edge.core.validation import key_path
from edge.mqtt.events import Received, ReplyTo

log = logging.getLogger(__name__)

Data = Mapping[str, Any]  # `data` of an answer
Handler = Callable[[str | None, Mapping[str, Any]], Data | Future[Data]]
_MAX_BYTES = 16_384
_MAX_TRANSACTION = 128  # characters
_NAME = re.compile(r"[a-z]{1,32}")


class TokenBucket:
    """A rate limit: `per_s` a second on average, and at most `per_s` at once. Safe between
    threads."""

    def __init__(self, per_s: float, tick: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._per_s, self._tick = per_s, tick
        self._tokens = per_s
        self._filled_at = tick()

    def take(self) -> bool:
        """Takes a token; False: there is none."""
        with self._lock:
            now = self._tick()
            new = (now - self._filled_at) * self._per_s
            self._tokens = min(self._per_s, self._tokens + new)
            self._filled_at = now
            if self._tokens < 1:
                return False
            self._tokens -= 1
            return True


class RequestRouter:
    """Hands each request to its handler. Counters are for `health`."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        reply: Callable[[str, bytes, ReplyTo | None], bool],
        rate_limit: TokenBucket,
        is_allowed: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        """
        handlers: by name of request. A handler takes the transaction and the other keys. It returns
            `data` of the answer, or its Future, or raises EdgeInspectError with the answer's error.
        reply: takes the name, the body and the request's own reply address. False: it is not sent.
        is_allowed: whether `mqtt.allow_requests` allows the request of this name.
        """
        self.heard = self.refused = self.dropped = 0
        self._handlers = dict(handlers)
        self._reply = reply
        self._rate_limit, self._is_allowed = rate_limit, is_allowed

    def handle(self, name: str, message: Received) -> None:
        """Answers one request, on the connection's thread. Raises nothing."""
        self.heard += 1
        if not self._rate_limit.take():
            self._drop()  # unanswered: answers would double the flood
            return
        to = name, message.reply_to
        transaction: str | None = None
        try:
            transaction, fields = parse_request(message.body, needs_transaction=True)
            handler = self._handler(name, retained=message.retained)
            self._check_allowed(name, fields)
            data = handler(transaction, fields)
            if isinstance(data, Future):
                data.add_done_callback(
                    lambda done: self._answer(to, transaction, result_or_error(done))
                )
            else:
                self._answer(to, transaction, data)
        except EdgeInspectError as error:
            self._answer(to, transaction, error)
        except Exception:  # outermost function on the connection's thread, which must go on
            log.exception("requests: unexpected fault")
            self._answer(to, transaction, EdgeInspectError("internal fault; see the log"))

    def _answer(
        self,
        to: tuple[str, ReplyTo | None],
        transaction: str | None,
        result: Data | EdgeInspectError,
    ) -> None:
        name, reply_to = to
        answer: dict[str, Any] = {"status": "ok", "data": result, "error": None}
        refused = isinstance(result, EdgeInspectError)
        if refused:
            answer = {"status": "error", "data": None, "error": str(result)}
        body = to_json({"transaction": transaction, **answer})
        # the requester must not choose a topic of another form
        if _NAME.fullmatch(name) and not self._reply(name, body, reply_to):
            self._drop()
        elif refused:
            self.refused += 1

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 1000 == 0:
            log.warning("requests: too many a second; %d not answered until now", self.dropped)

    def _handler(self, name: str, *, retained: bool) -> Handler:
        if retained:
            raise TriggerError(
                "a retained request is not obeyed: it would come again at every reconnect; "
                "publish it without the retain flag",
                "malformed",
            )
        handler = self._handlers.get(name)
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            raise TriggerError(f"unknown request {name[:64]!r}; known: {known}", "unknown")
        return handler

    def _check_allowed(self, name: str, fields: Mapping[str, Any]) -> None:
        if not self._is_allowed(name):
            raise RefusedError(
                f"request/{name} is not allowed on this box: name {name} in mqtt.allow_requests"
            )
        # a trigger that names a recipe changes the recipe too
        if name == "trigger" and "recipe" in fields and not self._is_allowed("recipe"):
            raise RefusedError(
                "request/trigger with a recipe is not allowed on this box: name recipe in "
                "mqtt.allow_requests"
            )


def settle(answer: Future[Data], result: Data | EdgeInspectError) -> None:
    """Completes the answer of a request; only the first call counts."""
    with contextlib.suppress(InvalidStateError):
        if isinstance(result, EdgeInspectError):
            answer.set_exception(result)
        else:
            answer.set_result(result)


def result_or_error(answer: Future[Data]) -> Data | EdgeInspectError:
    """The result of a completed answer, or its EdgeInspectError as a value."""
    error = answer.exception()
    return error if isinstance(error, EdgeInspectError) else answer.result()


def parse_request(body: bytes, *, needs_transaction: bool) -> tuple[str | None, dict[str, Any]]:
    """The transaction and the other keys of a request. Raises TriggerError."""
    if len(body) > _MAX_BYTES:
        raise TriggerError(
            f"a request of {len(body)} bytes; at most {_MAX_BYTES} are read", "malformed"
        )
    example = 'a request is a JSON object, such as {"transaction": "1", "camera": "cam1"}'
    try:
        fields = parse_json(body)
    except UnicodeDecodeError as error:
        raise TriggerError(f"{example}, in UTF-8 (byte {error.start})", "malformed") from None
    except json.JSONDecodeError:
        raise TriggerError(example, "malformed") from None
    except ValueError as error:
        raise TriggerError(f"{example}; this one {error}", "malformed") from None
    if not isinstance(fields, dict):
        raise TriggerError(example, "malformed")
    for loc, fault in faults_of(fields):
        raise TriggerError(f"{key_path(loc) or 'a request'}: {fault}", "malformed")
    transaction = fields.pop("transaction", None)
    if transaction is None and needs_transaction:
        raise TriggerError(
            "transaction: is missing; send a text that is new each time", "malformed"
        )
    if transaction is not None and not (
        isinstance(transaction, str) and 1 <= len(transaction) <= _MAX_TRANSACTION
    ):
        raise TriggerError(
            f"transaction: {transaction!r:.80} will not do; send a text of 1 to {_MAX_TRANSACTION} "
            "characters that is new for each request",
            "malformed",
        )
    return transaction, fields
