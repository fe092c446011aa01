"""Requests over MQTT: each is answered or counted, and none ends the router."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.errors import TriggerError
from edge.mqtt.events import Received, ReplyTo
from edge.mqtt.request_router import RequestRouter, TokenBucket
from edge.mqtt.retained import RetainedTopics
from tests.edge.mqtt.conftest import Simulate
from tests.support.clock import FakeClock

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


class RouterWithAnswers:
    """A router with one handler, and its answers."""

    def __init__(self, per_s: float = 1000) -> None:
        self.clock = FakeClock()
        self.asked: list[tuple[str | None, dict[str, Any]]] = []
        self.answers: list[tuple[str, dict[str, Any]]] = []
        self.fault: Exception | None = None
        self.full = False
        rate_limit = TokenBucket(per_s, self.clock.tick)
        self.allowed = {"trigger", "recipe"}
        self.requests = RequestRouter(
            {"trigger": self._handle}, self._reply, rate_limit, lambda name: name in self.allowed
        )

    def request(
        self, body: object, name: str = "trigger", *, retained: bool = False
    ) -> dict[str, Any]:
        """Sends one request; returns its answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        before = len(self.answers)
        self.send(name, raw, retained=retained)
        assert len(self.answers) == before + 1
        return self.answers[-1][1]

    def send(self, name: str, body: bytes, *, retained: bool = False) -> None:
        """Sends one request."""
        self.requests.handle(name, Received(f"p/s/request/{name}", body, retained))

    def _handle(self, transaction: str | None, fields: Mapping[str, Any]) -> dict[str, Any]:
        if self.fault is not None:
            raise self.fault
        self.asked.append((transaction, dict(fields)))
        return {"taken": True}

    def _reply(self, name: str, body: bytes, to: ReplyTo | None) -> bool:
        if not self.full:
            self.answers.append((name, json.loads(body)))
        return not self.full


def test_a_good_request_reaches_its_handler() -> None:
    """The handler gets transaction and keys; the answer carries the transaction."""
    router = RouterWithAnswers()
    answer = router.request({"transaction": "7", "camera": "top", "part": "P"})
    assert answer == {"transaction": "7", "status": "ok", "data": {"taken": True}, "error": None}
    assert router.asked == [("7", {"camera": "top", "part": "P"})]


@pytest.mark.slow
@given(st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_request_raises(body: bytes) -> None:
    """Any bytes and any JSON get an answer, and reach the handler only with a transaction."""
    router = RouterWithAnswers()
    answer = router.request(body)
    assert answer["status"] == ("ok" if router.asked else "error")
    assert (answer["error"] is None) == bool(router.asked)
    for transaction, _ in router.asked:
        assert transaction


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (TriggerError("camera top: busy", "busy"), "camera top: busy"),
        (RuntimeError("a bug"), "internal fault; see the log"),
    ],
)
def test_faults_are_answers(fault: Exception, words: str) -> None:
    """The answer is the refusal's sentence, or `internal fault`; the next request works."""
    router = RouterWithAnswers()
    router.fault = fault
    assert router.request({"transaction": "1"}) == {
        "transaction": "1",
        "status": "error",
        "data": None,
        "error": words,
    }
    router.fault = None
    assert router.request({"transaction": "2"})["status"] == "ok"


def test_a_flood_is_cut_and_counted() -> None:
    """Above the rate limit requests are only counted; with time they are answered again."""
    router = RouterWithAnswers(per_s=5)
    for number in range(100):
        router.send("trigger", b'{"transaction": "%d"}' % number)
    assert (len(router.answers), router.requests.dropped, router.requests.heard) == (5, 95, 100)
    router.clock.at += 0.5
    for _ in range(5):
        router.send("trigger", b'{"transaction": "x"}')
    assert len(router.answers) == 7


def test_a_retained_request_is_refused() -> None:
    """A retained request would come again at every reconnect."""
    router = RouterWithAnswers()
    assert "retain" in router.request({"transaction": "1"}, retained=True)["error"]
    assert router.asked == []


def test_an_unknown_request_is_answered_where_it_may_be() -> None:
    """An unknown name of the right form gets an answer on its topic; other names get none."""
    router = RouterWithAnswers()
    assert "known: trigger" in router.request({"transaction": "1"}, name="reload")["error"]
    assert router.answers[-1][0] == "reload"
    for name in ("a/b", "Ü", "", "x" * 99, "trigger/../../status"):
        router.send(name, b'{"transaction": "1"}')
    assert len(router.answers) == 1


def test_requests_come_in_and_answers_go_out(simulate: Simulate) -> None:
    """The publisher subscribes at every connect, hands requests over at once, and publishes the
    answers, not retained, beside the verdicts."""
    made = simulate(3)
    received: list[tuple[str, bytes, bool]] = []

    def answer(name: str, message: Received) -> None:
        received.append((name, message.body, message.retained))
        made.publisher.reply(name, b'{"transaction":"1"}')

    asked: list[int] = []

    def step() -> None:
        broker = made.broker
        if broker.subscribed and broker.connection is not None and broker.connections not in asked:
            asked.append(broker.connections)
            broker.connection.receive("inspection/line1/request/trigger", b"{}", retained=False)
        elif made.settled() and asked:
            made.close()

    made.broker.on_step = step
    made.play(answer)
    patterns = ["inspection/line1/status", "inspection/line1/request/+"]
    assert made.broker.subscribed == patterns * made.broker.connections
    assert received == [("trigger", b"{}", False)] * len(asked)
    answers = [a for a in made.broker.arrived if a.topic.endswith("/response/trigger")]
    assert len(answers) == len(received) > 0
    assert not any(a.retain for a in answers)
    assert len(made.broker.bodies("result")) == 3


def test_an_answer_that_cannot_be_sent_is_counted() -> None:
    """When the broker is too slow, answers count as dropped and not also as refused."""
    router = RouterWithAnswers()
    router.full = True
    router.send("trigger", b"nonsense")
    router.send("trigger", b'{"transaction": "1"}')
    counts = router.requests.heard, router.requests.refused, router.requests.dropped
    assert counts == (2, 0, 2)


def test_answers_that_wait_are_bounded() -> None:
    """When the queue is full, the oldest replies stay and new ones are refused."""
    topics = RetainedTopics("p/s")
    taken = [topics.reply("trigger", str(n).encode(), None) for n in range(1500)]
    assert taken == [n < 1000 for n in range(1500)]
    assert [message.body for message in (topics.next(), topics.next()) if message is not None] == [
        b"0",
        b"1",
    ]
    assert topics.reply("trigger", b"again", None)


def test_a_flood_of_answers_does_not_hold_verdicts_back(simulate: Simulate) -> None:
    """Answers take at most a quarter of the window, so verdicts are sent beside them."""
    made = simulate(0)
    stored: list[int] = []

    def step() -> None:
        if made.broker.connection is not None and not stored:
            for number in range(900):
                made.publisher.reply("trigger", str(number).encode())
            made.store(60)
            stored.append(60)
        if stored and made.settled() and len(made.broker.arrived) > 960:
            made.close()

    made.broker.on_step, made.broker.step_s = step, 0.001
    made.play()
    came = [a.topic.rpartition("/")[2] for a in made.broker.arrived]
    last_verdict = len(came) - came[::-1].index("result")
    assert came.count("result") == 60
    assert came.count("trigger") == 900
    assert came[:last_verdict].count("trigger") < 60


def test_a_request_that_is_not_allowed_is_answered() -> None:
    """The handler is not called, and the answer names the key of config.yaml."""
    made = RouterWithAnswers()
    made.allowed.clear()
    assert made.request({"transaction": "1"})["error"] == (
        "request/trigger is not allowed on this box: name trigger in mqtt.allow_requests"
    )
    assert (made.asked, made.requests.refused) == ([], 1)
    assert "unknown request" in made.request({"transaction": "1"}, "magic")["error"]


def test_a_trigger_that_names_a_recipe_needs_the_right_to_change_it() -> None:
    """A trigger without recipe goes on."""
    made = RouterWithAnswers()
    made.allowed.remove("recipe")
    assert made.request({"transaction": "1", "recipe": 7})["error"] == (
        "request/trigger with a recipe is not allowed on this box: name recipe in "
        "mqtt.allow_requests"
    )
    assert made.asked == []
    assert made.request({"transaction": "1"})["status"] == "ok"
