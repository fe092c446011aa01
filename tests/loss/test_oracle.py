"""Each rule of the oracle, broken once, and the cases that are not broken."""

from dataclasses import replace
from typing import Any

import pytest

from tests.loss.boxes import Life
from tests.loss.oracle import Facts, judge
from tests.loss.outboxfile import Waiting
from tests.loss.subscriber import Arrival


def arrival(seq: int, **but: Any) -> Arrival:
    """A verdict of cam0 as it arrives; its id is its number by default."""
    return replace(Arrival(f"id{seq}", seq, "cam0", False, f"body{seq}"), **but)


def facts(count: int = 3, *, stored: int | None = None, **but: Any) -> Facts:
    """A life that was given `count` verdicts and stored and delivered them all."""
    life = Life(
        0,
        given=[(f"id{n}", "cam0", 10.0) for n in range(1, count + 1)],
        counts={"dropped": 0},
        safe=[f"id{n}" for n in range(1, (count if stored is None else stored) + 1)],
        ended=12.0,
    )
    made = Facts(lives=[life], arrivals=[arrival(n) for n in range(1, count + 1)])
    for name, value in but.items():
        setattr(made, name, value)
    return made


def test_all_delivered_is_all_well() -> None:
    """Figures, and no broken rule."""
    result = judge(facts())
    assert (result.given, result.stored, result.received, result.duplicates) == (3, 3, 3, 0)
    assert not result.broken
    assert not result.lost


def test_stored_and_nowhere_is_lost() -> None:
    """What the box reported as stored must arrive, wait parked, or be counted."""
    result = judge(facts(arrivals=[arrival(1), arrival(3)]))
    assert result.lost == ["id2"]
    assert "nowhere" in result.broken[0]


def test_seen_in_the_file_is_stored_too() -> None:
    """Also when the box was killed before it could say so."""
    result = judge(facts(stored=2, arrivals=[arrival(1), arrival(2)], on_disk={"id3": 3}))
    assert result.lost == ["id3"]


def test_given_and_not_yet_stored_is_measured_and_not_lost() -> None:
    """The window: two seconds between its submission and the kill."""
    result = judge(facts(stored=2, arrivals=[arrival(1), arrival(2)]))
    assert not result.broken
    assert result.unstored == 1
    assert result.window_ms == pytest.approx(2000)


def test_what_memory_held_for_a_refusing_disk_is_counted_apart() -> None:
    """Such a life says nothing about the window."""
    result = judge(facts(stored=2, arrivals=[arrival(1), arrival(2)], held={0}))
    assert (result.unstored, result.unheld) == (0, 1)


def test_parked_is_not_lost_and_unsent_is_a_fault() -> None:
    """A parked row may wait at the end; one that could be sent may not."""
    arrivals = [arrival(1), arrival(2)]
    assert not judge(facts(arrivals=arrivals, waiting=[Waiting(3, "id3", "refused")])).broken
    stuck = judge(facts(arrivals=arrivals, waiting=[Waiting(3, "id3", None)]))
    assert "not sent" in stuck.broken[0]


def test_dropped_must_be_counted_one_by_one() -> None:
    """One missing and one counted is well, two missing and one counted is not."""
    made = facts(arrivals=[arrival(2), arrival(3)])
    made.lives[0].counts["dropped"] = 1
    assert judge(made).dropped == 1
    assert not judge(made).broken
    made.arrivals.pop(0)
    assert judge(made).lost == ["id1", "id2"]


def test_damage_excuses_only_what_the_box_says() -> None:
    """Rows that were in a damaged file may be missing as far as the box reported their loss."""
    made = facts(arrivals=[arrival(1)], exposed={"id2": 2, "id3": 3}, reported_lost=2)
    assert judge(made).salvage_lost == 2
    assert not judge(made).broken
    made.reported_lost = 1
    assert len(judge(made).lost) == 1
    made.exposed, made.reported_lost = {"id2": 2}, 5
    assert judge(made).lost == ["id3"]


def test_what_went_by_damage_and_what_went_at_the_cap_add_up() -> None:
    """Two missing are excused by one that was lost with a file and one that was dropped later, not
    by fewer; and what the file never held is not excused by what it lost."""
    made = facts(arrivals=[arrival(1)], exposed={"id2": 2, "id3": 3}, reported_lost=1)
    made.lives[0].counts["dropped"] = 1
    found = judge(made)
    assert (found.salvage_lost, found.dropped, found.lost) == (1, 1, [])
    made.exposed = {}
    assert len(judge(made).lost) == 2


def test_what_is_stored_into_a_damaged_file_is_exposed_too() -> None:
    """Until the box notices; it must be in what it says then."""
    made = facts(arrivals=[arrival(1), arrival(2)], damaged_in=0, reported_lost=1)
    assert judge(made).salvage_lost == 1
    assert not judge(made).broken
    made.damaged_in = 1
    assert judge(made).lost == ["id3"]


def test_what_a_lying_disk_did_not_write_is_counted_apart() -> None:
    """It may be missing, and its number may be issued again."""
    again = arrival(3, id="other")
    made = facts(arrivals=[arrival(1), arrival(2), again], unwritten={"id3": 3}, on_disk={"id3": 3})
    assert judge(made).unwritten == 1
    assert not judge(made).broken


def test_copies_are_counted_and_must_be_equal() -> None:
    """Only `replayed` may differ."""
    same = judge(facts(arrivals=[*facts().arrivals, arrival(2, replayed=True)]))
    assert same.duplicates == 1
    assert not same.broken
    odd = judge(facts(arrivals=[*facts().arrivals, arrival(2, replayed=True, body="other")]))
    assert "came twice and differ" in odd.broken[0]


def test_one_number_one_id() -> None:
    """On the wire, on the disk, and between the two."""
    twice = judge(facts(arrivals=[*facts().arrivals, arrival(2, id="other", replayed=True)]))
    assert "two ids" in twice.broken[0]
    moved = judge(facts(on_disk={"id2": 7}))
    assert "two numbers" in moved.broken[0]


def test_order_holds_within_a_camera_and_a_stream() -> None:
    """Live and replayed may overtake each other, as may cameras; within one of them nothing."""
    mixed = [arrival(3), arrival(1, replayed=True), arrival(2, camera="cam1")]
    assert not judge(facts(arrivals=mixed)).broken
    back = [arrival(2), arrival(1), arrival(3)]
    assert "out of order" in judge(facts(arrivals=back)).broken[0]
    assert not judge(facts(arrivals=back, refused={"id1": 0x97})).broken
    copies = [arrival(1), arrival(2), arrival(1), arrival(3)]
    assert not judge(facts(arrivals=copies)).broken


def lives(*given: list[int]) -> list[Life]:
    """Lives that were given these numbers, and stored them all."""
    return [
        Life(n, given=[(f"id{seq}", "cam0", 10.0) for seq in seqs], safe=[f"id{s}" for s in seqs])
        for n, seqs in enumerate(given)
    ]


def test_a_life_without_its_file_may_overtake_earlier_lives_only() -> None:
    """Its verdicts are in memory, and do not wait for a disk. Its own order holds, as does that of
    the others, and no later life is behind it."""
    made = Facts(lives=lives([1, 2], [11, 12], [21, 22]))
    made.arrivals = [arrival(n, replayed=True) for n in (11, 12, 1, 2, 21, 22)]
    assert "out of order" in judge(made).broken[0]
    made.unopened = {1}
    assert not judge(made).broken
    for wrong in ((12, 11, 1, 2, 21, 22), (11, 12, 2, 1, 21, 22), (1, 2, 21, 22, 11, 12)):
        made.arrivals = [arrival(n, replayed=True) for n in wrong]
        assert "out of order" in judge(made).broken[0]


def test_a_kill_may_hide_what_one_commit_dropped() -> None:
    """Only of a box at its cap, of a kill in a commit, and of older verdicts than the file has."""
    made = Facts(lives=lives([1, 2, 3]), arrivals=[arrival(3)], allowed=100)
    made.lives[0].numbers = {"id1": 1, "id2": 2, "id3": 3}
    assert judge(made).lost == ["id1", "id2"]
    made.interrupted = {0: 3}
    assert (judge(made).lost, judge(made).dropped) == ([], 2)
    made.interrupted = {0: 2}
    assert judge(made).lost == ["id1", "id2"]
    made.interrupted, made.allowed = {0: 3}, None
    assert judge(made).lost == ["id1", "id2"]


def test_the_cap_is_a_cap() -> None:
    """Cap and one batch, not a byte more."""
    assert not judge(facts(largest=100, allowed=100)).broken
    assert "bytes" in judge(facts(largest=101, allowed=100)).broken[0]
