"""The recipes as `health` shows them, and the journal's entries as events."""

from typing import Any

from edge.core.messages import to_json
from edge.pipeline import RecipeSelection, RunningModel
from edge.storage import CurrentRecipes, Journal, JournalEntry

EVENT_SCHEMA = "edge-inspect/event/1"


class RecipeStatus:
    """Safe between threads."""

    def __init__(
        self,
        selection: RecipeSelection,
        model: RunningModel,
        store: CurrentRecipes,
        journal: Journal,
    ) -> None:
        self._selection, self._model = selection, model
        self._store, self._journal = store, journal

    def current(self, camera: str) -> int | None:
        """The number of a camera's current recipe; None: there is none."""
        return self._selection.current(camera)

    def why_unusable(self, camera: str) -> str | None:
        """Why the parts of a camera cannot be judged by its current recipe; None: they can."""
        return self._model.recipes.why_unusable(self.current(camera))

    def faults(self) -> list[str]:
        """What is wrong beside that, one sentence each."""
        found = [f"{why}; correct it, then reload" for why in self._model.recipes.faults.values()]
        if self._store.fault:
            found.append(f"the current ones are not noted for a restart ({self._store.fault})")
        if self._journal.fault:
            found.append(f"changes are missing in the journal ({self._journal.fault})")
        return found


def event_body(entry: JournalEntry) -> bytes:
    """A journal entry as the body of `event`. `hash`: the SHA-256 of its line in the journal."""
    body: dict[str, Any] = {
        "schema": EVENT_SCHEMA,
        "time": entry.at,
        "event": entry.kind,
        "by": entry.by,
        "subject": entry.subject,
        "before": entry.before,
        "after": entry.after,
        "hash": entry.hash,
    }
    return to_json(body)
