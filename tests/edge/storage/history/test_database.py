"""The history's file: order, budget, minute aggregates, and files that are not ours."""

import json
import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.core.ids import uuid7
from edge.core.messages import stored_body
from edge.storage import HistoryError, HistoryQuery, HistoryReader, HistorySettings
from edge.storage.history.records import BINS, HistoryBody
from edge.storage.history.scores import bin_of, read_scores, write_scores
from tests.edge.storage.history.bodies import a_body, bodies
from tests.edge.storage.history.conftest import Open
from tests.support.verdicts import NOON, an_error

ALL = HistoryQuery()


def numbers(path: Path, query: HistoryQuery = ALL) -> list[int]:
    """The numbers of the verdicts that are found."""
    return [row.body["seq"] for row in HistoryReader(path).verdicts(query)]


def test_remembers_bodies_exactly(path: Path, open_history: Open) -> None:
    """What is read is the body that was stored, the newest first."""
    given_bodies = bodies(1, 3)
    open_history().add(given_bodies, NOON)
    rows = list(HistoryReader(path).verdicts(ALL))
    assert [row.body for row in rows] == [json.loads(one.body) for one in given_bodies[::-1]]
    assert rows[0].received_ms == round((NOON + 3) * 1000) + 30


def test_a_row_takes_little_room(path: Path, open_history: Open) -> None:
    """A verdict takes at most 150 bytes, all in."""
    database = open_history()
    for first in range(1, 2000, 500):
        database.add(bodies(first, first + 499), NOON)
    database.close()
    assert path.stat().st_size / 2000 <= 150


def test_the_same_number_is_kept_once(path: Path, open_history: Open) -> None:
    """A verdict that is offered twice in a run is remembered once, and counted once."""
    database = open_history()
    database.add(bodies(1, 3), NOON)
    database.add(bodies(2, 4), NOON)
    assert numbers(path) == [4, 3, 2, 1]
    assert database.rows == 4
    assert sum(point.count for point in HistoryReader(path).counts(NOON, NOON + 60)) == 4


def test_a_new_outbox_counts_from_one_again(path: Path, open_history: Open) -> None:
    """After the outbox was deleted, verdicts with used numbers follow the ones before."""
    open_history().add(bodies(1, 3), NOON)
    database = open_history()
    database.add(bodies(1, 2, at=NOON + 100), NOON)
    database.add(bodies(3, 3, at=NOON + 101), NOON)
    rows = list(HistoryReader(path).verdicts(ALL))
    assert [row.body["seq"] for row in rows] == [3, 2, 1, 3, 2, 1]
    assert [row.seq for row in rows] == [6, 5, 4, 3, 2, 1]
    assert database.newest_number == 3


def test_marks_times_after_the_clock_jumped_back(path: Path, open_history: Open) -> None:
    """Order is by number. Times are doubtful until they pass the newest one before the jump."""
    times = [0, 1, -600, -599, 2, 3]
    given_bodies = [HistoryBody(a_body(number, at=NOON + at)) for number, at in enumerate(times, 1)]
    open_history().add(given_bodies, NOON)
    rows = list(HistoryReader(path).verdicts(ALL))
    assert [row.body["seq"] for row in rows] == [6, 5, 4, 3, 2, 1]
    assert [row.doubtful for row in rows] == [False, False, True, True, False, False]


def test_a_wrong_future_does_not_mark_for_years(path: Path, open_history: Open) -> None:
    """After a jump back over more than a day only the first verdict is marked."""
    times = [10 * 86400, 0, 1]
    given_bodies = [HistoryBody(a_body(number, at=NOON + at)) for number, at in enumerate(times, 1)]
    open_history().add(given_bodies, NOON)
    assert [row.doubtful for row in HistoryReader(path).verdicts(ALL)] == [False, True, False]


def test_workers_that_finish_out_of_order_are_no_jump(path: Path, open_history: Open) -> None:
    """Differences below a second do not mark a verdict."""
    given_bodies = [HistoryBody(a_body(n, at=NOON + at)) for n, at in ((1, 0.5), (2, 0.0))]
    open_history().add(given_bodies, NOON)
    assert not any(row.doubtful for row in HistoryReader(path).verdicts(ALL))


@pytest.mark.slow
def test_keeps_within_its_megabytes(path: Path, open_history: Open) -> None:
    """Past the budget the oldest verdicts go, in order, and the file does not grow further."""
    database = open_history(HistorySettings(max_bytes=2**18))
    for first in range(1, 6000, 250):
        database.add(bodies(first, first + 249), NOON)
    found = numbers(path)
    assert found == list(range(6000, 6000 - len(found), -1))
    assert 1000 < len(found) < 3000
    assert database.rows == len(found)
    database.close()
    assert path.stat().st_size <= 2**18 + 2**17


@pytest.mark.slow
def test_a_lower_budget_shrinks_the_file(path: Path, open_history: Open) -> None:
    """After the budget was lowered, the file gives room back in steps."""
    database = open_history()
    for first in range(1, 6000, 500):
        database.add(bodies(first, first + 499), NOON)
    database.settings = HistorySettings(max_bytes=2**18)
    steps = 0
    while database.add([], NOON):
        steps += 1
    database.add([], NOON)
    database.close()
    assert steps > 1
    assert path.stat().st_size <= 2**18
    assert numbers(path)[0] == 6000


def test_drops_what_is_too_old(path: Path, open_history: Open) -> None:
    """Verdicts past `max_age_d` go; without a clock that can be trusted, none does."""
    database = open_history(HistorySettings(max_age_s=60))
    database.add(bodies(1, 100), None)
    assert database.rows == 100
    database.add([], NOON + 110)
    assert numbers(path)[-1] == 50
    assert database.oldest == NOON + 50


@pytest.mark.slow
def test_a_disk_that_is_almost_full_is_left_to_the_outbox(path: Path, open_history: Open) -> None:
    """The file does not grow then: old verdicts make room for new ones."""
    low = [False]
    database = open_history(is_disk_low=lambda: low[0])
    database.add(bodies(1, 3000), NOON)
    low[0] = True
    for first in range(3001, 6000, 100):
        database.add(bodies(first, first + 99), NOON)
    found = numbers(path)
    assert found[0] == 6000
    assert len(found) <= 3100


@pytest.mark.slow
def test_a_small_history_fits_on_a_disk_that_is_almost_full(path: Path, open_history: Open) -> None:
    """The disk is low from the first verdict on: the newest hundreds are remembered."""
    database = open_history(is_disk_low=lambda: True)
    for first in range(1, 5000, 50):
        database.add(bodies(first, first + 49), NOON)
    found = numbers(path)
    assert found[0] == 5000
    assert 500 <= len(found) <= 2000


def test_aggregates_outlive_verdicts(path: Path, open_history: Open) -> None:
    """The counts of a minute stay when its verdicts are gone."""
    database = open_history(HistorySettings(max_age_s=60))
    database.add(bodies(1, 100), None)
    database.add([], NOON + 10_000)
    assert database.rows == 0
    assert sum(one.count for one in HistoryReader(path).counts(NOON, NOON + 200)) == 100


@pytest.mark.slow
def test_aggregates_take_half_of_the_budget_at_most(path: Path, open_history: Open) -> None:
    """Minutes past it go, the oldest first."""
    database = open_history(HistorySettings(max_bytes=2**17))
    for number in range(1, 3000, 100):
        some = [HistoryBody(a_body(n, at=NOON + 60 * n)) for n in range(number, number + 100)]
        database.add(some, None)
    minutes = [one.at for one in HistoryReader(path).trend(NOON, NOON + 1e6, 60)]
    assert len(minutes) <= 2**16 // 48 + 100
    assert max(minutes) >= NOON + 60 * 2999 - 60


def test_trend_sums_minutes(path: Path, open_history: Open) -> None:
    """A span has the counts, histogram and latencies of its verdicts, by kind."""
    start = NOON - NOON % 3600
    good = {"score": 0.01, "capture_to_verdict_ms": 10.0}
    bad = {"score": 0.97, "verdict": "fail", "label": "scratch", "capture_to_verdict_ms": 30.0}
    given_bodies = [
        HistoryBody(a_body(n, at=start + 60 * n, **(bad if n % 5 == 0 else good)))
        for n in range(1, 121)
    ]
    open_history().add(given_bodies[:60], NOON)
    open_history().add(given_bodies[60:], NOON)
    points = HistoryReader(path).trend(start, start + 7200, 3600)
    fails = [one for one in points if one.verdict == "fail"]
    assert [(one.at, one.count) for one in fails] == [(start, 11), (start + 3600, 12)]
    assert fails[0].scores[19] == 11
    assert (fails[0].latency_ms, fails[0].latency_max_ms) == (30.0, 30.0)
    assert {one.label for one in points} == {"ok", "scratch"}
    assert HistoryReader(path).trend(start, start + 7200, camera="other") == []


def test_passes_are_counted_by_sampling_rate(path: Path, open_history: Open) -> None:
    """The estimate needs how many passed at which rate, also by model."""
    low = [HistoryBody(a_body(n), 0.005) for n in range(1, 11)]
    high = [HistoryBody(a_body(n), 0.02) for n in range(11, 15)]
    fails = [HistoryBody(a_body(n, verdict="fail"), 0.02) for n in range(15, 20)]
    open_history().add([*low, *high, *fails], NOON)
    reader = HistoryReader(path)
    assert reader.passes_by_sample_rate(NOON, NOON + 60) == {0.005: 10, 0.02: 4}
    assert reader.passes_by_sample_rate(NOON, NOON + 60, "ab" * 32) == {0.005: 10, 0.02: 4}
    assert reader.passes_by_sample_rate(NOON, NOON + 60, "cd" * 32) == {}
    assert next(iter(reader.verdicts(ALL))).pass_sample == 0.02


@pytest.mark.slow
def test_a_field_that_always_differs_does_not_fill_the_file(path: Path, open_history: Open) -> None:
    """Bodies of a later version with an unknown, ever-changing member are kept whole."""
    database = open_history()
    odd = [HistoryBody(a_body(n)[:-1] + f',"humidity":{n * 17}}}'.encode()) for n in range(1, 1001)]
    database.add(odd, NOON)
    with sqlite3.connect(path) as db:
        (contexts,) = db.execute("SELECT count(*) FROM context").fetchone()
    assert contexts < 300
    assert [row.body["humidity"] for row in HistoryReader(path).verdicts(ALL)] == [
        n * 17 for n in range(1000, 0, -1)
    ]


def test_what_is_no_verdict_costs_only_itself(path: Path, open_history: Open) -> None:
    """A body that cannot be read is counted, and the others are remembered."""
    database = open_history()
    database.add([HistoryBody(b"?"), *bodies(1, 2)], NOON)
    assert database.unfit == 1
    assert numbers(path) == [2, 1]


@pytest.mark.parametrize(
    "content",
    [b"notes of the shift\n", b"\x7fELF" + bytes(2000), b"SQLite format 3\0" + b"\x01" * 4080],
    ids=["text", "program", "not ours"],
)
def test_a_file_of_another_program_stays(path: Path, open_history: Open, content: bytes) -> None:
    """It is refused with a sentence, and not changed."""
    path.write_bytes(content)
    with pytest.raises(HistoryError, match="is no history of edge-inspect"):
        open_history()
    with pytest.raises(HistoryError, match="is no history of edge-inspect"):
        numbers(path)
    assert path.read_bytes() == content


def test_a_database_of_another_program_stays(path: Path, open_history: Open) -> None:
    """A SQLite file with other tables is refused."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE notes (text)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(HistoryError, match="is no history of edge-inspect") as caught:
        open_history()
    assert caught.value.kind == "permanent"
    assert path.read_bytes() == before


def test_a_file_of_a_newer_version_stays(path: Path, open_history: Open) -> None:
    """It is not touched, and the sentence says what to do."""
    database = open_history()
    database.add(bodies(1, 2), NOON)
    database.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=7")
        db.execute(f"PRAGMA application_id={0x0ED6F007}")
    db.close()
    before = path.read_bytes()[100:]  # SQLite's own header counts openings
    with pytest.raises(HistoryError, match=r"newer edge-inspect \(history schema 7\)") as caught:
        open_history()
    assert caught.value.kind == "permanent"
    assert path.read_bytes()[100:] == before


def test_a_link_is_refused(path: Path, open_history: Open, tmp_path: Path) -> None:
    """A link might lead anywhere."""
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HistoryError, match="must be a regular file"):
        open_history()


def test_an_empty_file_becomes_a_history(path: Path, open_history: Open) -> None:
    """A power cut may leave a new file without content."""
    path.write_bytes(b"")
    open_history().add(bodies(1, 1), NOON)
    assert numbers(path) == [1]


def test_errors_have_no_score(path: Path, open_history: Open) -> None:
    """A verdict without a judgement counts in no bin of the histogram."""
    body = stored_body(an_error(captured_at=NOON, id=uuid7(round(NOON * 1000))), 1)
    open_history().add([HistoryBody(body)], NOON)
    (point,) = HistoryReader(path).counts(NOON, NOON + 60)
    assert (point.verdict, point.count, sum(point.scores)) == ("error", 1, 0)


@given(st.dictionaries(st.integers(0, BINS - 1), st.integers(1, 2**40)))
def test_histogram_as_bytes(counts: dict[int, int]) -> None:
    """A histogram is read as it was written."""
    assert read_scores(write_scores(Counter(counts))) == Counter(counts)


@given(st.binary(max_size=40))
def test_damaged_histogram_is_no_error(data: bytes) -> None:
    """Wrong bytes give counts in known bins."""
    assert set(read_scores(data)) <= set(range(BINS))


@pytest.mark.parametrize(("score", "expected"), [(0, 0), (49_999, 0), (50_000, 1), (10**6, 19)])
def test_bins(score: int, expected: int) -> None:
    """Bin n counts scores from n/20 to below (n+1)/20; the last one includes 1."""
    assert bin_of(score) == expected


def test_settings_of_the_file_are_kept(open_history: Open) -> None:
    """A file that exists keeps its budget by the settings of each run."""
    settings = replace(HistorySettings(), max_bytes=2**30)
    assert open_history(settings).settings == settings
