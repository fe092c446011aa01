"""Ids of verdicts: unique beginnings, wrong, ambiguous and unknown ones."""

import pytest

from edge.core.errors import RefusedError
from edge.plant import Records, UndoRequest, UnknownRecordError
from tests.edge.plant.records.contract import say
from tests.support.records import RecordsOfABox


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
