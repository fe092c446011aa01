"""Requests over MQTT: whatever comes is answered or counted, and ends nothing."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.errors import TriggerError
from edge.mqtt.events import ReplyTo
from edge.mqtt.request_router import RequestRouter, TokenBucket
from edge.mqtt.retained import RetainedTopics
from tests.edge.mqtt.virtual_time import World
from tests.support.clock import FakeClock

JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


class Office:
    """Requests with one handler, and all that was answered."""

    def __init__(self, per_s: float = 1000) -> None:
        self.clock = FakeClock()
        self.asked: list[tuple[str | None, dict[str, Any]]] = []
        self.answers: list[tuple[str, dict[str, Any]]] = []
        self.fault: Exception | None = None
        self.full = False
        allowance = TokenBucket(per_s, self.clock.tick)
        self.requests = RequestRouter({"trigger": self._handle}, self._reply, allowance)

    def hear(self, body: object, name: str = "trigger", retained: bool = False) -> dict[str, Any]:
        """One request; its answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        before = len(self.answers)
        self.requests.hear(name, raw, retained)
        assert len(self.answers) == before + 1
        return self.answers[-1][1]

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
    """Transaction and keys are handed on; the answer carries the transaction."""
    office = Office()
    said = office.hear({"transaction": "7", "camera": "top", "part": "P"})
    assert said == {"transaction": "7", "status": "ok", "data": {"taken": True}, "error": None}
    assert office.asked == [("7", {"camera": "top", "part": "P"})]


@given(st.binary(max_size=64) | JSON.map(lambda value: json.dumps(value).encode()))
def test_nothing_that_comes_raises(body: bytes) -> None:
    """Any bytes and any JSON get an answer, and reach the handler only with a transaction."""
    office = Office()
    said = office.hear(body)
    assert said["status"] == ("ok" if office.asked else "error")
    assert (said["error"] is None) == bool(office.asked)
    for transaction, _ in office.asked:
        assert transaction


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (TriggerError("camera top: busy", "busy"), "camera top: busy"),
        (RuntimeError("a bug"), "internal fault; see the log"),
    ],
)
def test_faults_are_answers(fault: Exception, words: str) -> None:
    """A refusal is told in its words; a fault of ours as such, and the next request is heard."""
    office = Office()
    office.fault = fault
    assert office.hear({"transaction": "1"}) == {
        "transaction": "1",
        "status": "error",
        "data": None,
        "error": words,
    }
    office.fault = None
    assert office.hear({"transaction": "2"})["status"] == "ok"


def test_a_flood_is_cut_and_counted() -> None:
    """Past the allowance nothing is parsed or answered, but counted; time brings it back."""
    office = Office(per_s=5)
    for number in range(100):
        office.requests.hear("trigger", b'{"transaction": "%d"}' % number, False)
    assert (len(office.answers), office.requests.dropped, office.requests.heard) == (5, 95, 100)
    office.clock.at += 0.5
    for _ in range(5):
        office.requests.hear("trigger", b'{"transaction": "x"}', False)
    assert len(office.answers) == 7


def test_a_retained_request_is_refused() -> None:
    """What the broker keeps would trigger at every reconnect, so it is never obeyed."""
    office = Office()
    assert "retain" in office.hear({"transaction": "1"}, retained=True)["error"]
    assert office.asked == []


def test_an_unknown_request_is_answered_where_it_may_be() -> None:
    """A name of the protocol's form gets an answer on its topic; another name gets none."""
    office = Office()
    assert "known: trigger" in office.hear({"transaction": "1"}, name="reload")["error"]
    assert office.answers[-1][0] == "reload"
    for name in ("a/b", "Ü", "", "x" * 99, "trigger/../../status"):
        office.requests.hear(name, b'{"transaction": "1"}', False)
    assert len(office.answers) == 1


def test_requests_come_in_and_answers_go_out(world: Callable[..., World]) -> None:
    """The publisher subscribes at every connect, hands requests over at once, and publishes the
    answers, which are not retained, besides the verdicts."""
    made = world(3)
    heard: list[tuple[str, bytes, bool]] = []

    def answer(name: str, body: bytes, retained: bool, to: ReplyTo | None) -> None:
        heard.append((name, body, retained))
        made.publisher.reply(name, b'{"transaction":"1"}')

    asked: list[int] = []

    def step() -> None:
        broker = made.broker
        if broker.subscribed and broker.link is not None and broker.connections not in asked:
            asked.append(broker.connections)
            broker.link.receive("inspection/line1/request/trigger", b"{}", retained=False)
        elif made.settled() and asked:
            made.close()

    made.broker.on_step = step
    made.play(answer)
    patterns = ["inspection/line1/status", "inspection/line1/request/+"]
    assert made.broker.subscribed == patterns * made.broker.connections
    assert heard == [("trigger", b"{}", False)] * len(asked)
    answers = [a for a in made.broker.arrived if a.topic.endswith("/response/trigger")]
    assert len(answers) == len(heard) > 0
    assert not any(a.retain for a in answers)
    assert len(made.broker.bodies("result")) == 3


def test_an_answer_that_cannot_be_sent_is_counted() -> None:
    """The broker is slower than the requests: dropped, and not counted as refused too."""
    office = Office()
    office.full = True
    office.requests.hear("trigger", b"nonsense", False)
    office.requests.hear("trigger", b'{"transaction": "1"}', False)
    counts = office.requests.heard, office.requests.refused, office.requests.dropped
    assert counts == (2, 0, 2)


def test_answers_that_wait_are_bounded() -> None:
    """What has waited longest is kept; what comes when all is full is told so."""
    says = RetainedTopics("p/s")
    taken = [says.reply("trigger", str(n).encode(), None) for n in range(1500)]
    assert taken == [n < 1000 for n in range(1500)]
    assert [said.body for said in (says.next(), says.next()) if said is not None] == [b"0", b"1"]
    assert says.reply("trigger", b"again", None)


def test_a_flood_of_answers_does_not_hold_verdicts_back(world: Callable[..., World]) -> None:
    """Answers take a quarter of the window at most: verdicts go beside them, not after them."""
    made = world(0)
    stored: list[int] = []

    def step() -> None:
        if made.broker.link is not None and not stored:
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
