"""Requests over MQTT: `…/request/<name>` in, `…/response/<name>` out. Whatever comes, it is
answered, counted or both; nothing that comes can end the connection or the daemon."""

import contextlib
import json
import logging
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from typing import Any

from edge.core.errors import EdgeInspectError, TriggerError
from edge.core.messages import to_json
from edge.mqtt.events import ReplyTo

log = logging.getLogger(__name__)

Data = Mapping[str, Any]  # of an answer
Handler = Callable[[str | None, Mapping[str, Any]], Data | Future[Data]]
_MAX_BYTES = 16_384
_MAX_TRANSACTION = 128  # characters
_NAME = re.compile(r"[a-z]{1,32}")


class TokenBucket:
    """So many a second on average, and as many at once: a bucket that fills with time."""

    def __init__(self, per_s: float, tick: Callable[[], float]) -> None:
        """`tick` is monotonic seconds. Safe between threads."""
        self._lock = threading.Lock()
        self._per_s, self._tick = per_s, tick
        self._left = per_s
        self._at = tick()

    def take(self) -> bool:
        """Whether one more is within the allowance."""
        with self._lock:
            now = self._tick()
            self._left = min(self._per_s, self._left + (now - self._at) * self._per_s)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


class RequestRouter:
    """`hear` is called on the network's thread. Counters are for `health`."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        reply: Callable[[str, bytes, ReplyTo | None], bool],
        allowance: TokenBucket,
    ) -> None:
        """- `handlers` by name of request: each takes the transaction and the other keys, and
          returns `data` of the answer, now or later, or raises EdgeInspectError, whose sentence is
          the answer.
        - `reply` takes the name, the body, and where else the request wants the answer. False: it
          cannot be sent.
        """
        self.heard = self.refused = self.dropped = 0
        self._handlers = dict(handlers)
        self._reply = reply
        self._allowance = allowance

    def hear(self, name: str, body: bytes, retained: bool, reply_to: ReplyTo | None = None) -> None:
        """Answers one request. Raises nothing."""
        self.heard += 1
        if not self._allowance.take():
            # an answer to each would make the flood two floods
            self._drop()
            return
        transaction: str | None = None
        try:
            transaction, fields = parse(body, needs_transaction=True)
            data = self._handler(name, retained)(transaction, fields)
            if isinstance(data, Future):
                data.add_done_callback(
                    lambda done: self._answer((name, reply_to), transaction, outcome(done))
                )
            else:
                self._answer((name, reply_to), transaction, data)
        except EdgeInspectError as error:
            self._answer((name, reply_to), transaction, error)
        except Exception:  # the last door of a network thread that must live on
            log.exception("requests: unexpected fault")
            self._answer(
                (name, reply_to), transaction, EdgeInspectError("internal fault; see the log")
            )

    def _answer(
        self,
        to: tuple[str, ReplyTo | None],
        transaction: str | None,
        given: Data | EdgeInspectError,
    ) -> None:
        name, reply_to = to
        answer: dict[str, Any] = {"status": "ok", "data": given, "error": None}
        refused = isinstance(given, EdgeInspectError)
        if refused:
            answer = {"status": "error", "data": None, "error": str(given)}
        body = to_json({"transaction": transaction, **answer})
        # nothing is published on a topic of anybody's making
        if _NAME.fullmatch(name) and not self._reply(name, body, reply_to):
            self._drop()
        elif refused:
            self.refused += 1

    def _drop(self) -> None:
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 1000 == 0:
            log.warning("requests: too many a second; %d not answered so far", self.dropped)

    def _handler(self, name: str, retained: bool) -> Handler:
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


def settle(answer: Future[Data], given: Data | EdgeInspectError) -> None:
    """Gives a request its answer; the first one counts."""
    with contextlib.suppress(InvalidStateError):
        if isinstance(given, EdgeInspectError):
            answer.set_exception(given)
        else:
            answer.set_result(given)


def outcome(done: Future[Data]) -> Data | EdgeInspectError:
    """What a request was answered."""
    error = done.exception()
    return error if isinstance(error, EdgeInspectError) else done.result()


def parse(body: bytes, *, needs_transaction: bool) -> tuple[str | None, dict[str, Any]]:
    """The transaction and the other keys of a request. Raises TriggerError."""
    if len(body) > _MAX_BYTES:
        raise TriggerError(
            f"a request of {len(body)} bytes; at most {_MAX_BYTES} are read", "malformed"
        )
    try:
        fields = dict(json.loads(body).items())
    except (ValueError, AttributeError, RecursionError):
        raise TriggerError(
            'a request is a JSON object, such as {"transaction": "1", "camera": "cam1"}',
            "malformed",
        ) from None
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
