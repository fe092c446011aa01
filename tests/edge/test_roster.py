"""A roster may change while it is read."""

from edge.roster import Roster


def test_a_reader_sees_one_moment() -> None:
    """Who iterates sees all that were there at the beginning, whoever comes and goes meanwhile."""
    roster = Roster({"a": 1, "b": 2})
    seen = []
    for value in roster.values():
        roster.drop("b")
        roster.put("c", 3)
        seen.append(value)
    assert seen == [1, 2]
    assert dict(roster) == {"a": 1, "c": 3}
    assert (len(roster), "b" in roster, roster.get("b")) == (2, False, None)


def test_one_takes_the_place_of_another() -> None:
    """Put under a name that is there, the new one is found; dropping a stranger does nothing."""
    roster = Roster({"a": 1})
    roster.put("a", 2)
    roster.drop("z")
    assert dict(roster) == {"a": 2}
