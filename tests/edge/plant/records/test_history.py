"""`history` and `show`: order, filters, wrong options, and the facts of one verdict."""

from dataclasses import replace

import pytest

from edge.core.errors import EXIT_USAGE
from edge.core.times import TimeError
from edge.plant import HistoryEntry, RecordQuery, Records, RequestError
from tests.edge.plant.records.contract import ask, ids, say
from tests.support.records import NOON, RecordsOfABox


def test_history_is_newest_first_and_filtered(records: Records, box: RecordsOfABox) -> None:
    """By camera, verdict, the model's label, part and time; the body is the result body."""
    old = box.judge("fail", ago_s=7200, part="P1")
    side = box.judge("pass", ago_s=60, camera="side")
    new = box.judge("review", ago_s=30)
    assert ids(ask(records)) == [new, side, old]
    assert ids(ask(records, camera="side")) == [side]
    assert ids(ask(records, verdict="fail")) == [old]
    assert ids(ask(records, label="ok")) == [side]
    assert ids(ask(records, part="P1")) == [old]
    assert ids(ask(records, since="1h")) == [new, side]
    assert ids(ask(records, until="1h")) == [old]
    assert ids(ask(records, limit="1")) == [new]
    assert ask(records)[2].body == box.history.rows[0].body


@pytest.mark.slow
def test_history_of_more_than_a_page(records: Records, box: RecordsOfABox) -> None:
    """By default the newest 100; 0 means all, whichever way they come."""
    names = [box.judge("pass", ago_s=5000 - n) for n in range(1203)]
    assert ids(ask(records)) == names[:-101:-1]
    assert ids(ask(records, limit="0")) == names[::-1]
    assert ids(ask(records, limit="1001")) == names[:-1002:-1]


def test_history_by_what_a_person_said(records: Records, box: RecordsOfABox) -> None:
    """--truth finds the label that counts, and the rows carry it."""
    first, second, third = (box.judge("pass", ago_s=ago) for ago in (300, 200, 100))
    say(records, first, second, "dent")
    say(records, third, "ok")
    assert [(row.body["id"], row.truth) for row in ask(records)] == [
        (third, "ok"),
        (second, "dent"),
        (first, "dent"),
    ]
    assert ids(ask(records, truth="dent")) == [second, first]
    assert ids(ask(records, truth="dent", since="250s")) == [second]
    assert ids(ask(records, truth="dent", limit="1")) == [second]
    assert ids(ask(records, truth="dent", verdict="fail")) == []


def test_history_of_unlabelled_verdicts(records: Records, box: RecordsOfABox) -> None:
    """--why asks for the reason of the picture, --unlabelled for verdicts without a label."""
    names = [box.judge("pass", ago_s=600 - n, pass_sample=0.5) for n in range(5)]
    failed = box.judge("fail", ago_s=60)
    for name in names[:4]:
        box.keep(name, "sample", pass_sample=0.5)
    box.keep(names[4], "near_threshold")
    box.keep(failed)
    say(records, names[1], "ok")
    say(records, names[2], "dent")
    say(records, failed, "dent")
    assert ids(ask(records, why="sample")) == [names[n] for n in (3, 2, 1, 0)]
    assert ids(ask(records, why="sample", unlabelled="true")) == [names[3], names[0]]
    assert ids(ask(records, why="sample", unlabelled="true", limit="1")) == [names[3]]
    assert ids(ask(records, why="sample", unlabelled="true", since="598s")) == [names[3]]
    assert ids(ask(records, why="sample", truth="dent")) == [names[2]]
    assert ids(ask(records, why="verdict")) == [failed]
    assert ids(ask(records, unlabelled="true")) == [names[4], names[3], names[0]]
    assert ids(ask(records, unlabelled="true", limit="2")) == [names[4], names[3]]
    assert ids(ask(records, unlabelled="false", limit="1")) == [failed]


@pytest.mark.slow
def test_a_long_list_of_unlabelled_verdicts(records: Records, box: RecordsOfABox) -> None:
    """The list is complete over several pages, whichever way they come."""
    names = [box.judge("pass", ago_s=5000 - n) for n in range(1103)]
    say(records, *names[::2], "ok")
    assert ids(ask(records, unlabelled="true", limit="0")) == names[1::2][::-1]


def test_a_doubtful_time_is_marked(records: Records, box: RecordsOfABox) -> None:
    """After a clock that jumped the order is by number, and the row says so."""
    box.judge("pass", ago_s=60)
    box.judge("pass", ago_s=6000, doubtful=True)
    row = ask(records)[0]
    assert row.doubtful
    assert row.to_dict()["clock_doubtful"] is True
    assert records.show(row.body["id"]).doubtful


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"since": "yesterda"}, "--since: must be a time such as 2026-11-30, "),
        ({"verdict": "bad"}, "--verdict: must be one of pass, review, fail, error (got 'bad')"),
        ({"limit": "-1"}, "--limit: must be a whole number from 0"),
        ({"limit": "٣"}, "--limit: must be a whole number from 0"),
        ({"why": "luck"}, "--why: must be one of verdict, near_threshold, sample (got 'luck')"),
        ({"unlabelled": "yes"}, "--unlabelled: must be one of true, false (got 'yes')"),
        ({"unlabelled": "true", "truth": "ok"}, "--truth and --unlabelled: an unlabelled verdict"),
        ({"colour": "red"}, "--colour: is unknown; there are since, until, "),
        ({"camera": "a\x00"}, "--camera: holds a control character"),
    ],
)
def test_a_wrong_question_is_one_sentence(fields: dict[str, str], words: str) -> None:
    """It names the option, the value and the forms; exit code 2."""
    with pytest.raises((RequestError, TimeError)) as caught:
        RecordQuery.read(fields, NOON, "--")
    assert str(caught.value).startswith(words)
    assert caught.value.exit_code == EXIT_USAGE


def test_show_knows_all(records: Records, box: RecordsOfABox) -> None:
    """Result, label with its story, why the picture is kept and where it is."""
    name = box.judge("fail", part="P1")
    path = box.keep(name, frames=3, pass_sample=0.25)
    say(records, name, "dent", note="deep")
    shown = records.show(name)
    assert shown.result == box.history.rows[0].body
    assert shown.remembered
    assert shown.truth == "dent"
    assert [(one.what, one.label, one.by, one.note) for one in shown.actions] == [
        ("label", "dent", "kim", "deep")
    ]
    assert shown.picture == str(path)
    assert shown.evidence is not None
    assert shown.evidence["why"] == ["verdict"]
    assert shown.evidence["pass_sample"] == 0.25
    assert len(shown.evidence["frames"]) == 3
    assert shown.made_at == pytest.approx(NOON - 60 + 0.03)


def test_show_after_history_has_removed_it(records: Records, box: RecordsOfABox) -> None:
    """The record beside the picture still tells the result."""
    name = box.judge("fail")
    box.keep(name)
    box.forget(name)
    shown = records.show(name)
    assert not shown.remembered
    assert shown.result is not None
    assert shown.result["verdict"] == "fail"


def test_remembered_survives_json() -> None:
    """Also when the outbox was deleted and counts from 1 again."""
    for row in (
        HistoryEntry(7, {"seq": 7, "id": "x"}, None, doubtful=False),
        HistoryEntry(70, {"seq": 7, "id": "x"}, "dent", doubtful=True),
    ):
        assert HistoryEntry.from_dict(row.to_dict()) == row


def test_a_query_survives_its_fields() -> None:
    """What the client sends is what the daemon reads."""
    fields = {
        "since": "2h",
        "until": "1h",
        "camera": "top",
        "verdict": "fail",
        "label": "긁힘",
        "truth": "dent",
        "part": "P 7",
        "recipe": "3",
        "limit": "0",
        "before_seq": "9",
    }
    query = RecordQuery.read(fields, NOON)
    assert RecordQuery.read(query.fields(), NOON + 1000) == query
    some = replace(query, of_model=replace(query.of_model, limit=5))
    assert RecordQuery.read(some.fields(), NOON) == some
