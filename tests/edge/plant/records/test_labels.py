"""Labels, their undo, and the estimate that counts them."""

from typing import Any

import pytest

from edge.core.errors import RefusedError
from edge.plant import LabelRequest, Records, RequestError, UndoRequest, read_request
from tests.edge.plant.records.contract import say
from tests.support.records import NOON, RecordsOfABox


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


@pytest.mark.slow
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
