"""The MQTT requests `history` and `label` over a box's records."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from edge.core.errors import EdgeInspectError
from edge.core.messages import to_json
from edge.core.threads import start_thread
from edge.mqtt import Data
from edge.plant import RecordRequests
from edge.plant.record_requests import MOST_BYTES
from tests.support.records import NOON, RecordsOfABox
from tests.support.schemas import validator

Ask = Callable[..., Any]


@pytest.fixture
def box(tmp_path: Path) -> RecordsOfABox:
    """A box that remembers nothing yet."""
    return RecordsOfABox(tmp_path)


@pytest.fixture
def limit() -> list[int]:
    """The longest message that the broker takes; a test may change it."""
    return [2**28]


@pytest.fixture
def requests(box: RecordsOfABox, limit: list[int]) -> Iterator[RecordRequests]:
    """The requests, served by their thread."""
    made = RecordRequests(box.service(), lambda: NOON, lambda: limit[0])
    thread = start_thread("records", made.run, vital=False)
    yield made
    made.close()
    thread.join(30)


@pytest.fixture
def ask(requests: RecordRequests) -> Ask:
    """`ask("history", limit=2)`: `data` of the answer, which fits its schema."""

    def wait(name: str, transaction: str = "1", **fields: Any) -> Any:
        answer: Future[Data] = getattr(requests, name)(transaction, fields)
        data = json.loads(to_json(answer.result(30)))
        whole = {"transaction": transaction, "status": "ok", "data": data, "error": None}
        validator("response").validate(whole)
        return data

    return wait


def ids(data: Any) -> list[str]:
    """The verdicts of an answer."""
    return [body["id"] for body in data["verdicts"]]


def test_history_answers_like_the_command(ask: Ask, box: RecordsOfABox) -> None:
    """The same parameters, as JSON texts, numbers and true; newest first, with what people said."""
    names = [box.judge("pass", ago_s=60 - n) for n in range(4)]
    ask("label", ids=[names[1]], label="dent", by="mes")
    assert ask("history") == {
        "verdicts": ask("history", limit=0)["verdicts"],
        "cut": None,
        "before_seq": None,
    }
    assert ids(ask("history")) == names[::-1]
    assert ask("history", truth="dent")["verdicts"][0]["truth"] == "dent"
    assert ids(ask("history", unlabelled=True)) == [names[3], names[2], names[0]]
    assert ids(ask("history", since="58s")) == names[:1:-1]


def test_history_is_read_page_by_page(ask: Ask, box: RecordsOfABox) -> None:
    """`cut` says that there may be more, and `before_seq` where they begin."""
    names = [box.judge("pass", ago_s=60 - n) for n in range(5)]
    first = ask("history", limit=3)
    assert (ids(first), first["cut"]) == (names[:1:-1], "limit")
    rest = ask("history", limit=3, before_seq=first["before_seq"])
    assert (ids(rest), rest["cut"], rest["before_seq"]) == (names[1::-1], None, None)


@pytest.mark.slow
@pytest.mark.parametrize("most", [2**28, 20_000])
def test_an_answer_is_bounded(ask: Ask, box: RecordsOfABox, limit: list[int], most: int) -> None:
    """It stays below MOST_BYTES and below what the broker takes, and nothing is missing between
    two pages."""
    limit[0] = most
    names = [box.judge("pass", ago_s=600 - n) for n in range(200)]
    found: list[str] = []
    more: dict[str, int] = {}
    while True:
        page = ask("history", limit=0, **more)
        assert len(to_json(page)) < min(MOST_BYTES, most) - 1024
        found += ids(page)
        if page["cut"] is None:
            break
        assert page["cut"] == "bytes"
        more = {"before_seq": page["before_seq"]}
    assert more
    assert found == names[::-1]


def test_a_broker_that_takes_no_verdict(ask: Ask, box: RecordsOfABox, limit: list[int]) -> None:
    """An answer without verdicts would look like an empty history."""
    limit[0] = 2100
    box.judge("pass")
    with pytest.raises(EdgeInspectError, match="the broker takes at most 2100 bytes, too few"):
        ask("history")


def test_label_and_undo(ask: Ask, box: RecordsOfABox) -> None:
    """As the command; ids may be shortened, the answer has the whole ones."""
    first, second = box.judge("fail"), box.judge("fail", ago_s=30)
    done = ask("label", ids=[first[:18], second], label="crack", by="mes", note="line 3")
    assert (done["ids"], done["label"]) == ([first, second], "crack")
    assert "the model knows no label 'crack'" in done["remarks"][0]
    assert [(one.label, one.by, one.note) for one in box.labels.all()] == 2 * [
        ("crack", "mes", "line 3")
    ]
    undone = ask("label", "2", ids=[first], undo=True, by="mes")
    assert (undone["ids"], undone["label"]) == ([first], None)
    assert [one.id for one in box.labels.all()] == [second]


def test_a_request_that_comes_twice_labels_once(ask: Ask, box: RecordsOfABox) -> None:
    """QoS 1 may repeat a request: the same transaction and body change nothing again."""
    name = box.judge("fail")
    again = {"ids": [name], "label": "dent", "by": "mes"}
    assert [ask("label", "7", **again)["duplicate"] for _ in range(2)] == [False, True]
    assert len(box.labels.actions(name)) == 1
    assert not ask("label", "8", **again)["duplicate"]
    assert len(box.labels.actions(name)) == 2


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("history", {"colour": "red"}, "colour: is unknown; there are since, until, camera"),
        ("history", {"limit": -1}, "limit: must be a whole number from 0 to"),
        ("history", {"limit": 1.5}, "limit: must be text, a whole number or true (got 1.5)"),
        ("history", {"verdict": ["fail"]}, "verdict: must be text, a whole number or true"),
        ("history", {"since": "soon"}, "since: must be a time such as"),
        ("label", {}, "ids: is missing; add it"),
        ("label", {"ids": ["a" * 8], "label": "x"}, "by: is missing; add it"),
        ("label", {"ids": ["0" * 8] * 501, "label": "x", "by": "k"}, "ids: at most 500 in one"),
        ("label", {"ids": ["0" * 8], "label": "x", "by": "k"}, "00000000: no verdict with this id"),
        ("label", {"ids": ["0" * 8], "by": "k", "undo": "yes"}, "undo: must be true or false"),
        ("label", {"ids": ["0" * 8], "label": "x", "by": "k", "undo": True}, "label: unknown key"),
    ],
)
def test_bad_input_is_answered_with_a_sentence(
    ask: Ask, name: str, fields: dict[str, Any], words: str
) -> None:
    """It names the field, the value and the fix, on one line."""
    with pytest.raises(EdgeInspectError) as caught:
        ask(name, **fields)
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_too_many_at_once_are_refused(box: RecordsOfABox) -> None:
    """A slow disk must not collect requests without end; and a daemon that stops takes none."""
    requests = RecordRequests(box.service(), lambda: NOON, lambda: 2**28)  # nobody serves them
    for _ in range(8):
        requests.history("1", {})
    with pytest.raises(EdgeInspectError, match="busy: 8 requests"):
        requests.history("1", {})
    requests.close()
    with pytest.raises(EdgeInspectError, match="the daemon stops"):
        requests.label("1", {"ids": ["0" * 8], "label": "x", "by": "k"})
    requests.run()  # it ends, although the queue was full
