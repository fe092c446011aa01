"""What follows a change of a recipe: disk, journal, loading, answers, in this order."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.mqtt.request_router import result_or_error
from edge.pipeline import RecipeSelection, RunningModel
from edge.plant import RecipeChanges, RecipeRequests
from edge.storage import CurrentRecipes, Journal, read_journal

NAMES = {1: "cap", 2: "lid"}


class RecipeDesk:
    """A box without cameras and workers, whose models a test loads."""

    def __init__(self, folder: Path, environment: Clock) -> None:
        self.loaded = {1}
        self.loads: list[int] = []
        models = SimpleNamespace(
            names=NAMES,
            load_s={2: 0.25},
            need=lambda number: number in self.loaded or number not in NAMES,
            why_unusable=lambda number: None if number in self.loaded else f"no recipe {number}",
        )
        self.path = folder / "journal.jsonl"
        store = CurrentRecipes(folder / "outbox.db")
        self.changes = RecipeChanges(
            store,
            Journal(self.path, lambda: 0.0),
            cast(RunningModel, SimpleNamespace(recipes=models)),
        )
        self.selection = RecipeSelection(NAMES, store, environment, self.changes.changed)
        self.requests = RecipeRequests(self.selection, self.changes, lambda: ["top"])

    def load(self, number: int) -> None:
        """Loads a model."""
        self.loads.append(number)
        self.loaded.add(number)

    def ask(self, number: int) -> Any:
        """A request and its answer, or the error."""
        answer = self.requests.handle("t", {"recipe": number})
        assert self.selection.current("top") == number
        assert self.changes.run_once(self.load)
        return result_or_error(answer)


@pytest.fixture
def desk(tmp_path: Path, environment: Clock) -> RecipeDesk:
    """A box with the recipes 1 and 2, of which 1 is loaded."""
    return RecipeDesk(tmp_path, environment)


def test_the_answer_names_both_recipes(desk: RecipeDesk) -> None:
    """A recipe that is not loaded is loaded first; the answer says how long that took."""
    assert desk.ask(1)["before"] is None
    answer = desk.ask(2)
    assert answer["recipe"] == {"number": 2, "name": "lid"}
    assert (answer["before"], answer["load_ms"]) == ({"number": 1, "name": "cap"}, 250.0)
    assert desk.loads == [2]
    assert [one["after"]["number"] for one in read_journal(desk.path)] == [1, 2]


def test_an_unknown_recipe_is_current_and_an_error(desk: RecipeDesk) -> None:
    """The answer says that parts get `error`; the journal has the change all the same."""
    error = desk.ask(9)
    assert isinstance(error, TriggerError)
    assert "no recipe 9; its parts get `error` until another is chosen" in str(error)
    assert [one["after"] for one in read_journal(desk.path)] == [{"number": 9, "name": None}]
    assert desk.loads == []


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "recipe: is missing"),
        ({"recipe": -1}, "recipe: must be greater than or equal to 0"),
        ({"recipe": 65_536}, "recipe: must be less than or equal to 65535"),
        ({"recipe": "1"}, "recipe: must be a whole number"),
        ({"recipe": True}, "recipe: must be a whole number"),
        ({"recipe": 1, "camera": "side"}, "there is no 'side' here"),
        ({"recipe": 1, "part": "P"}, "part: unknown key"),
    ],
)
def test_a_malformed_request_changes_nothing(
    fields: dict[str, Any], sentence: str, desk: RecipeDesk
) -> None:
    """It is refused with the key, the value and the fix."""
    with pytest.raises(TriggerError) as caught:
        desk.requests.handle("t", fields)
    assert sentence in str(caught.value)
    assert desk.selection.current("top") is None


def test_the_end_writes_what_waits(desk: RecipeDesk) -> None:
    """Changes before the end are in the journal; no model is loaded any more."""
    desk.selection.choose("top", 2, "trigger: x")
    desk.changes.close()
    assert not desk.changes.run_once(desk.load)
    assert len(list(read_journal(desk.path))) == 1
    assert desk.loads == []
