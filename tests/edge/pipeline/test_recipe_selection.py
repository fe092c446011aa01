"""Which recipe is current, now and earlier."""

from hypothesis import given
from hypothesis import strategies as st

from edge.core.clock import Clock
from edge.pipeline.recipe_selection import RecipeChange, RecipeSelection
from tests.support.clock import FakeClock

NAMES = {1: "A", 2: "B", 7: "C"}


class Stored:
    """A store in memory."""

    def __init__(self, **current: int) -> None:
        self.current = dict(current)

    def all(self) -> dict[str, int]:
        """As `RecipeStore`."""
        return dict(self.current)

    def note(self, camera: str, number: int) -> None:
        """As `RecipeStore`."""
        self.current[camera] = number


def test_the_last_request_counts(environment: Clock) -> None:
    """Each change is stored and reported once, in order; the same number again is no change."""
    store, seen = Stored(), list[RecipeChange]()
    selection = RecipeSelection(NAMES, store, environment, seen.append)
    assert selection.current("top") is None
    for number in (1, 2, 2, 7):
        selection.choose("top", number, "mqtt: plc")
    assert selection.current("top") == store.current["top"] == 7
    assert selection.current("side") is None
    assert [(one.before, one.after) for one in seen] == [(None, 1), (1, 2), (2, 7)]


def test_an_unknown_number_is_current_too(environment: Clock) -> None:
    """The recipe before it would judge another product."""
    selection = RecipeSelection(NAMES, Stored(top=1), environment)
    selection.choose("top", 99, "mqtt: plc")
    assert selection.current("top") == 99


def test_without_recipes_none_is_current(environment: Clock) -> None:
    """What an earlier config.yaml left on the disk does not count."""
    selection = RecipeSelection({}, Stored(top=1), environment)
    assert (selection.current("top"), selection.at("top", 0.0)) == (None, None)
    assert selection.in_use() == frozenset()


CHANGES = st.lists(
    st.tuples(st.floats(0.001, 1.0), st.sampled_from(["top", "side"]), st.sampled_from([1, 2, 7])),
    max_size=30,
)


@given(CHANGES, st.floats(-0.5, 32.0))
def test_a_frame_gets_the_recipe_of_its_capture(
    changes: list[tuple[float, str, int]], age: float
) -> None:
    """Whatever changed since: `at` is what was current at that time."""
    clock = FakeClock()
    selection = RecipeSelection(NAMES, Stored(top=2), Clock(clock.now, clock.tick))
    past: list[tuple[float, int]] = [(-1e9, 2)]
    for pause, camera, number in changes:
        clock.at += pause
        selection.choose(camera, number, "x")
        if camera == "top":
            past.append((clock.at, number))
    tick = clock.at - age
    expected = next(number for at, number in reversed(past) if at <= tick)
    assert selection.at("top", tick) == expected
