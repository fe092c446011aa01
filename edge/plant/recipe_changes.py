"""What follows a change of a recipe, on a thread of its own: disk, journal, loading, answers.

The trigger and the worker never wait for it.
"""

import contextlib
import logging
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from edge.core.errors import EdgeInspectError, TriggerError
from edge.mqtt import Data, settle
from edge.pipeline import RecipeChange, RunningModel
from edge.storage import Change, CurrentRecipes, Journal

log = logging.getLogger(__name__)

_MOST = 500  # changes that one write to the journal holds


@dataclass(frozen=True, slots=True)
class _Question:
    """A requester waits until the recipe can judge."""

    camera: str
    number: int
    before: int | None
    answer: Future[Data] = field(default_factory=Future)


class RecipeChanges:
    """Any thread may call `changed` and `answer`; `run` is the thread `recipes`."""

    def __init__(self, store: CurrentRecipes, journal: Journal, model: RunningModel) -> None:
        self._store, self._journal, self._model = store, journal, model
        self._queue: queue.SimpleQueue[RecipeChange | _Question | None] = queue.SimpleQueue()

    def changed(self, change: RecipeChange) -> None:
        """A recipe became current. Returns at once."""
        self._queue.put(change)

    def answer(self, camera: str, number: int, before: int | None) -> Future[Data]:
        """The answer for whoever requested a recipe, after the changes so far are on the disk."""
        question = _Question(camera, number, before)
        self._queue.put(question)
        return question.answer

    def close(self) -> None:
        """`run` returns after what waits; models that would have to be loaded are left out."""
        self._queue.put(None)

    def run(self, load: Callable[[int], None]) -> None:
        """Until closed. `load` loads the model of a recipe for all workers."""
        while self.run_once(load):
            pass

    def run_once(self, load: Callable[[int], None]) -> bool:
        """Handles what waits, and waits for it first. False when closed."""
        found = [self._queue.get()]
        with contextlib.suppress(queue.Empty):
            while found[-1] is not None and len(found) < _MOST:
                found.append(self._queue.get_nowait())
        changes = [one for one in found if isinstance(one, RecipeChange)]
        is_open = found[-1] is not None
        if changes:
            self._store.flush()
        if is_open:
            self._load([one.after for one in changes], load)
        for one in found:
            if isinstance(one, _Question):
                self._settle(one)
        self._journal.add_all([self._entry(one) for one in changes])
        return is_open

    def _load(self, numbers: Sequence[int], load: Callable[[int], None]) -> None:
        """Loads those that are not in memory."""
        for number in dict.fromkeys(numbers):
            if not self._model.recipes.need(number):
                self._load_one(number, load)

    def _load_one(self, number: int, load: Callable[[int], None]) -> None:
        recipes = self._model.recipes
        name = recipes.names[number]
        usual = recipes.load_s.get(number)
        guess = "" if usual is None else f"; the last time it took {usual * 1000:.0f} ms"
        log.info("recipes: loads %d (%s), its parts get `error` until then%s", number, name, guess)
        begun = time.monotonic()
        try:
            load(number)
        except EdgeInspectError as error:
            log.error("recipes: %s", error)
        log.info("recipes: loaded %d in %.0f ms", number, (time.monotonic() - begun) * 1000)

    def _settle(self, question: _Question) -> None:
        recipes, number = self._model.recipes, question.number
        why = recipes.why_unusable(number)
        if why is not None:
            text = f"camera {question.camera}: {why}; its parts get `error` until another is chosen"
            settle(question.answer, TriggerError(text, "unknown"))
            return
        load_s = recipes.load_s.get(number, 0.0)
        settle(
            question.answer,
            {
                "camera": question.camera,
                "recipe": self._identity(number),
                "before": self._identity(question.before),
                "load_ms": round(load_s * 1000, 1),
            },
        )

    def _entry(self, change: RecipeChange) -> Change:
        before, after = self._identity(change.before), self._identity(change.after)
        return Change("recipe", change.by, change.camera, before, after)

    def _identity(self, number: int | None) -> dict[str, Any] | None:
        if number is None:
            return None
        return {"number": number, "name": self._model.recipes.names.get(number)}
