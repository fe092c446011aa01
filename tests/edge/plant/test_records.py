"""One contract of the commands over the box's records: the service itself, and the same through
the local socket with its client."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge.cli.records_client import RecordsClient
from edge.core.clock import Clock
from edge.core.errors import EXIT_NO, EXIT_USAGE, RefusedError
from edge.core.times import TimeError
from edge.core.verdict import Outcome
from edge.plant import (
    LabelRequest,
    RecordQuery,
    Records,
    Remembered,
    RequestError,
    UndoRequest,
    UnknownRecordError,
    read_request,
)
from edge.storage import HistoryError, HistoryQuery, HistoryRow
from edge.web import LocalSocket
from tests.support.records import NOON, FakeHistory, FileHistory, RecordsOfABox

KEPT_AND_LOST: tuple[tuple[Outcome, float], ...] = (("fail", 900), ("fail", 600), ("pass", 300))


@pytest.fixture
def box(tmp_path: Path) -> RecordsOfABox:
    """A box that remembers nothing yet."""
    return RecordsOfABox(tmp_path)


@pytest.fixture(params=["memory", "files", "socket"])
def records(request: pytest.FixtureRequest, box: RecordsOfABox) -> Iterator[Records]:
    """The service over a history in memory or in a file, or the client of a socket."""
    if request.param != "socket":
        file = FileHistory(box.folder / "history.db", box.history)
        yield box.service(file if request.param == "files" else None)
        return
    path = box.folder / "api.sock"
    serving = LocalSocket(path, box.service(), box.folder / "outbox.db", Clock(lambda: NOON))
    serving.start()
    assert not serving.fault
    client = RecordsClient(path)
    assert client.serves(box.folder / "outbox.db")
    yield client
    serving.close()
    assert serving.join(10)


def ask(records: Records, **fields: str) -> list[Remembered]:
    """The answer of `history`."""
    return list(records.history(RecordQuery.read(fields, NOON, "--")))


def ids(found: list[Remembered]) -> list[str]:
    """The ids of an answer."""
    return [row.body["id"] for row in found]


def say(records: Records, *words: str, **more: Any) -> tuple[str, ...]:
    """Labels; the last word is the label. Returns the remarks."""
    request = LabelRequest(ids=words[:-1], label=words[-1], by="kim", **more)
    return records.label(request).remarks


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


def test_history_of_what_nobody_looked_at(records: Records, box: RecordsOfABox) -> None:
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


def test_a_long_list_of_what_nobody_looked_at(records: Records, box: RecordsOfABox) -> None:
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
        ({"unlabelled": "true", "truth": "ok"}, "--truth and --unlabelled: what nobody has"),
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


def test_a_picture_comes_as_its_file_holds_it(records: Records, box: RecordsOfABox) -> None:
    """Each frame of a part by its number; another number is refused."""
    name = box.judge("fail")
    path = box.keep(name, frames=2)
    first, second = records.picture(name), records.picture(name, 2)
    assert first.data == path.read_bytes()
    assert first.kind == "image/png"
    assert second.data == path.with_name(path.name.replace(".png", ".2.png")).read_bytes()
    with pytest.raises(UnknownRecordError, match="has no picture 3; 2 of it are kept"):
        records.picture(name, 3)


def test_a_picture_that_the_budget_removed(records: Records, box: RecordsOfABox) -> None:
    """The sentence says when it was kept, why it is gone and how far back pictures go."""
    old, new = box.judge("fail", ago_s=7200), box.judge("fail")
    box.keep(new)
    with pytest.raises(UnknownRecordError) as caught:
        records.picture(old)
    text = str(caught.value)
    assert text.startswith(f"{old}: its picture was kept at 2026-11-30 ")
    assert "the budget has removed it (archive.max_mb, max_age_d, min_free_mb); the oldest" in text
    assert records.show(old).picture in text
    assert caught.value.exit_code == EXIT_NO


def test_a_lost_picture_beside_older_ones(records: Records, box: RecordsOfABox) -> None:
    """An older labelled picture is still there: a fail is either removed or was not written."""
    old, lost, passed = (box.judge(what, ago_s=ago) for what, ago in KEPT_AND_LOST)
    box.keep(old)
    assert (
        "and the budget has removed it (archive.max_mb, max_age_d, min_free_mb), or it could "
        in (records.show(lost).picture)
    )
    assert records.show(passed).picture.startswith("no picture of it was kept; ")


def test_a_picture_that_was_never_kept(records: Records, box: RecordsOfABox) -> None:
    """A younger one than the oldest kept picture, or a box that keeps none."""
    old, new = box.judge("fail", ago_s=7200), box.judge("pass")
    box.keep(old)
    with pytest.raises(UnknownRecordError, match=r"no picture of it was kept; archive\.keep"):
        records.picture(new)
    box.with_archive(enabled=False)
    box.judge("pass")
    assert records.show(new).picture.startswith("no pictures are kept on this box; set archive.")


def test_ids_may_be_unique_beginnings(records: Records, box: RecordsOfABox) -> None:
    """At least eight digits, with or without dashes, in capitals too."""
    name = box.judge("fail", ago_s=100_000)
    for text in (name, name.upper(), name[:18], name[:8], name.replace("-", "")[:20], f" {name} "):
        assert records.show(text).id == name


@pytest.mark.parametrize("text", ["0199f00", "scratch", "", "0199f000-zz", "0" * 33])
def test_what_is_no_id_is_refused(records: Records, text: str) -> None:
    """The sentence says what an id looks like."""
    with pytest.raises(RefusedError, match="is no id; give the id of a verdict"):
        records.undo(UndoRequest(ids=(text,), by="kim"))


def test_an_ambiguous_beginning_lists_the_ids(records: Records, box: RecordsOfABox) -> None:
    """Nothing is labelled."""
    names = [box.judge("fail", ago_s=60 - n / 1000) for n in range(5)]
    with pytest.raises(RefusedError, match=r"several ids begin so \(.* and more\); give more"):
        say(records, names[0][:8], "dent")
    assert not records.labels()


def test_an_unknown_id(records: Records, box: RecordsOfABox) -> None:
    """Whole or a beginning: the sentence says how far back the box remembers; nothing is labelled
    when one of several ids is unknown."""
    known, unknown = box.judge("fail"), "0199f000-0000-7000-8000-000000000001"
    for call in (records.show, records.picture):
        for text in (unknown, unknown[:9]):
            with pytest.raises(UnknownRecordError, match="no verdict with this id is remembered"):
                call(text)
    with pytest.raises(UnknownRecordError):
        say(records, known, unknown, "dent")
    assert not records.labels()


def test_a_label_carries_the_facts(records: Records, box: RecordsOfABox) -> None:
    """Verdict, score, camera, part, model, and whether the picture was of the random sample."""
    name = box.judge("pass", pass_sample=0.5, part="P1", camera="side")
    box.keep(name, "sample", pass_sample=0.25)
    say(records, name, "dent")
    label = records.labels()[0]
    assert (label.id, label.label, label.by, label.verdict) == (name, "dent", "kim", "pass")
    assert (label.camera, label.part, label.score) == ("side", "P1", 0.1)
    assert (label.sampled, label.pass_sample, label.model) == (True, 0.25, "ab" * 32)
    assert label.captured_at == "2026-11-30T11:59:00.000Z"
    assert label.at == "2026-11-30T12:00:00.000Z"


def test_a_label_again_keeps_the_facts(records: Records, box: RecordsOfABox) -> None:
    """Also when history and picture are gone: the facts come from the earlier label."""
    name = box.judge("pass")
    path = box.keep(name, "sample", pass_sample=0.25)
    say(records, name, "dent")
    path.unlink()
    say(records, name, "ok")
    box.forget(name)
    say(records, name, "scratch", note="after all")
    label = records.labels()[0]
    assert (label.label, label.note, label.sampled) == ("scratch", "after all", True)
    assert [one.label for one in records.show(name).actions] == ["dent", "ok", "scratch"]


def test_a_label_that_the_model_does_not_know(records: Records, box: RecordsOfABox) -> None:
    """It is kept, and said once; a known label needs no remark, and a fault has no labels."""
    names = [box.judge("fail"), box.judge("fail", ago_s=59), box.judge("error", ago_s=58)]
    remarks = say(records, *names, "rust")
    assert len(remarks) == 1
    assert remarks[0].startswith("the model knows no label 'rust' (it knows ok, scratch); the ")
    assert len(records.labels()) == 3
    assert say(records, names[0], "scratch") == ()


def test_undo_takes_back_the_last_label(records: Records, box: RecordsOfABox) -> None:
    """The one before it counts again; without a label there is nothing to undo."""
    name = box.judge("fail")
    say(records, name, "dent")
    say(records, name, "ok")
    undone = records.undo(UndoRequest(ids=(name[:18],), by="lee")).labels
    assert [one.label for one in undone] == ["ok"]
    assert [one.label for one in records.labels()] == ["dent"]
    records.undo(UndoRequest(ids=(name,), by="lee"))
    assert not records.labels()
    with pytest.raises(RefusedError, match=f"{name}: has no label; there is nothing to undo"):
        records.undo(UndoRequest(ids=(name,), by="lee"))
    assert [one.what for one in records.show(name).actions] == ["label", "label", "undo", "undo"]


@pytest.mark.parametrize("word", ["../evil", "", "a/b", " x", "x" * 65])
def test_a_label_must_serve_as_a_folder(records: Records, box: RecordsOfABox, word: str) -> None:
    """`export` makes a folder of each label."""
    name = box.judge("fail")
    with pytest.raises(RequestError, match="label"):
        say(records, name, word)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({}, "ids: is missing; add it"),
        ({"ids": [], "label": "a", "by": "k"}, "ids"),
        ({"ids": ["a"], "label": 7, "by": "k"}, "label: must be text"),
        ({"ids": ["a"], "label": "a\x1b", "by": "k"}, "label: holds a control character"),
        ({"ids": ["a"], "label": "a", "by": "k", "x": 1}, "x: unknown key"),
        ({"ids": ["a"], "label": "a", "by": ""}, "by"),
    ],
)
def test_a_wrong_request_names_the_field(raw: dict[str, Any], words: str) -> None:
    """All mistakes at once, each with its field."""
    with pytest.raises(RequestError) as caught:
        read_request(LabelRequest, raw)
    assert words in str(caught.value)


def test_the_estimate_counts_the_random_sample_only(records: Records, box: RecordsOfABox) -> None:
    """A pass kept for another reason is no look; a failed part counts for false rejects."""
    for n in range(200):
        name = box.judge("pass", ago_s=3000 - n, pass_sample=0.1)
        if n < 20:
            box.keep(name, "sample", pass_sample=0.1)
            say(records, name, "ok" if n else "dent")
        elif n < 30:
            box.keep(name, "near_threshold", pass_sample=0.1)
            say(records, name, "dent")
    say(records, box.judge("fail"), "ok")
    found = records.estimate()
    assert (found["passes"], found["looks"], found["defective"]) == (200, 20, 1)
    assert found["escape_rate"]["rate"] == pytest.approx(0.05)
    assert (found["failed"], found["failed_looks"], found["failed_good"]) == (1, 1, 1)
    assert list(found["models"]) == ["ab" * 32]
    assert found["sentences"]
    later = records.estimate(NOON - 100)
    assert (later["passes"], later["looks"], later["failed"]) == (0, 0, 1)
    assert later["missing"]


def test_remembered_survives_json() -> None:
    """Also when the outbox was deleted and counts from 1 again."""
    for row in (
        Remembered(7, {"seq": 7, "id": "x"}, None, doubtful=False),
        Remembered(70, {"seq": 7, "id": "x"}, "dent", doubtful=True),
    ):
        assert Remembered.from_dict(row.to_dict()) == row


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


class BrokenHistory(FakeHistory):
    """A history that cannot be read."""

    def by_id(self, name: str) -> HistoryRow | None:
        """Raises HistoryError."""
        raise HistoryError("history.db: the history cannot be read")

    def by_prefix(self, prefix: str, limit: int = 2) -> list[HistoryRow]:
        """Raises HistoryError."""
        raise HistoryError("history.db: the history cannot be read")

    def verdicts(self, query: HistoryQuery) -> Iterator[HistoryRow]:
        """Raises HistoryError."""
        raise HistoryError("history.db: the history cannot be read")


def test_pictures_and_labels_need_no_history(box: RecordsOfABox) -> None:
    """While it cannot be read a kept picture is shown and labelled; only what the history alone
    could know is refused with its sentence."""
    kept, lost = box.judge("fail", ago_s=200_000), box.judge("fail")
    path = box.keep(kept)
    records = box.service(BrokenHistory())
    for text in (kept, kept[:8]):
        assert records.show(text).picture == str(path)
        assert records.picture(text).data == path.read_bytes()
    assert not records.show(kept).remembered
    say(records, kept[:10], "dent")
    assert records.labels()[0].verdict == "fail"
    for text in (lost, lost[:18]):
        with pytest.raises(HistoryError, match="cannot be read"):
            records.show(text)
    with pytest.raises(HistoryError):
        ask(records)
