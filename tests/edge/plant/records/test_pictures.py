"""Kept pictures: their bytes, the reason for a missing one, and a history that cannot be read."""

from collections.abc import Iterator

import pytest

from edge.core.errors import EXIT_NO
from edge.core.verdict import Outcome
from edge.plant import Records, UnknownRecordError
from edge.storage import HistoryError, HistoryQuery, HistoryRow
from tests.edge.plant.records.contract import ask, say
from tests.support.records import FakeHistory, RecordsOfABox

KEPT_AND_LOST: tuple[tuple[Outcome, float], ...] = (("fail", 900), ("fail", 600), ("pass", 300))


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
