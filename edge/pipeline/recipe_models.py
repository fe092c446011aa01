"""The models of all recipes of one configuration: loaded, checked, and kept within a memory budget.

Each recipe is loaded once at the start and checked with its golden pictures. Beyond
`model.recipes_mb` those are unloaded that were not needed for the longest time, never one that is
in use.
"""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from edge.config import Config, for_recipe
from edge.core.errors import ConfigError, EdgeInspectError
from edge.core.verdict import RecipeIdentity
from edge.inspection import InputSpec, Inspector
from edge.pipeline.build import build_inspector
from edge.pipeline.judge import Judge
from edge.pipeline.judges import NO_RECIPE, Judges
from edge.pipeline.view_selection import check_views

log = logging.getLogger(__name__)

_MB = 1e6
Build = Callable[[Config, Path | None], Inspector]


class RecipeModels:
    """Safe between threads; one thread at a time loads.

    faults: why a recipe cannot be used, by number.
    inputs: the preprocessing of each recipe that could be loaded, by number.
    hashes: the SHA-256 of each model that was loaded, by its `model.path`.
    load_s: how long the last load of a recipe took, by number.
    """

    def __init__(
        self,
        config: Config | None,
        common: Inspector,
        file: Path | None = None,
        *,
        in_use: Callable[[], Collection[int]] = frozenset,
        build: Build = build_inspector,
        before: "RecipeModels | None" = None,
    ) -> None:
        """Loads and checks all recipes. Raises nothing for a recipe that cannot be used.

        config: None: without recipes.
        common: of the common part; recipes with its model share it.
        file: of `config`, for messages.
        in_use: the numbers that must stay loaded.
        before: the models of the last configuration; those whose files are the same are shared.
        """
        recipes = () if config is None else config.recipes
        self.names = {recipe.number: recipe.name for recipe in recipes}
        self.faults: dict[int, str] = {}
        self.inputs: dict[int, InputSpec] = {}
        self.hashes: dict[str, str] = {}
        self.load_s: dict[int, float] = {}
        self._config, self._common, self._file = config, common, file
        self._in_use, self._build = in_use, build
        self._before = [] if before is None else before.known()
        self._merged = {} if config is None else {n: for_recipe(config, n) for n in self.names}
        self._budget = 0.0
        if config is not None:
            self._budget = config.model.recipes_mb * _MB / _copies(config)
        self._lock = threading.Lock()
        self._loaded: OrderedDict[int, Inspector] = OrderedDict()  # the last needed one at the end
        wanted = in_use()
        for number in sorted(self.names, key=lambda one: one in wanted):  # those in use come last
            self.load(number)
            if (why := self.faults.get(number)) is not None:
                log.error("recipes: %s; its parts get `error`", why)
        self._before = []

    def merged(self, number: int) -> Config:
        """The whole configuration of a recipe. Raises KeyError."""
        return self._merged[number]

    @property
    def loaded(self) -> dict[int, Inspector]:
        """The recipes that can judge now."""
        with self._lock:
            return dict(self._loaded)

    @property
    def on_demand(self) -> dict[int, float]:
        """The recipes that did not fit, and how many seconds their last load took, by number."""
        away = self.names.keys() - self.loaded.keys() - self.faults.keys()
        return {number: self.load_s[number] for number in sorted(away)}

    def inspector(self, number: int | None) -> Inspector | None:
        """The model of a recipe; None: it has none, or is not loaded."""
        return None if number is None else self._loaded.get(number)

    @property
    def bytes(self) -> int:
        """How much memory the loaded models take for one worker, beside the common one."""
        return self._bytes_of(self.loaded.values())

    def known(self) -> list[tuple[Inspector, Config]]:
        """All that is loaded, each with its merged configuration."""
        found = [(one, self._merged[number]) for number, one in self.loaded.items()]
        return found if self._config is None else [(self._common, self._config), *found]

    def why_unusable(self, number: int | None) -> str | None:
        """Why parts of this recipe cannot be judged now; None: they can."""
        if number is None:
            return NO_RECIPE if self.names else None
        if number in self._loaded:  # the usual case: without the lock
            return None
        if number not in self.names:
            known = ", ".join(map(str, sorted(self.names)[:20])) or "none"
            return f"recipe {number} is not in config.yaml (recipes: {known})"
        return self.faults.get(number) or (
            f"recipe {number} ({self.names[number]}) is being loaded; its model did not fit into "
            "model.recipes_mb"
        )

    def need(self, number: int) -> bool:
        """Marks a recipe as needed now. Whether it is loaded, or cannot be."""
        with self._lock:
            if number in self._loaded:
                self._loaded.move_to_end(number)
                return True
        return number not in self.names or number in self.faults

    def load(self, number: int) -> list[int]:
        """Loads and checks a recipe, within the budget. Returns those that were unloaded."""
        begun = time.monotonic()
        merged = self.merged(number)
        try:
            inspector = self._inspector(merged)
            check_views(merged.cameras, inspector.input)
        except EdgeInspectError as error:
            text = "; ".join(error.problems) if isinstance(error, ConfigError) else str(error)
            self.faults[number] = f"recipe {number} ({self.names[number]}): {text}"
            return []
        self.faults.pop(number, None)
        self.inputs[number] = inspector.input
        self.hashes[str(merged.model.path)] = inspector.identity.sha256
        with self._lock:
            self._loaded[number] = inspector
            unloaded = self._make_room(number)
        self.load_s[number] = time.monotonic() - begun
        return unloaded

    def _inspector(self, merged: Config) -> Inspector:
        """A recipe whose model is loaded already gets its own thresholds only."""
        for other, config in (*self.known(), *self._before):
            if config.model == merged.model and merged.model.check_pictures is None:
                decision = merged.decision
                return other.with_thresholds(decision.reject_at, decision.review_from)
        return self._build(merged, self._file)

    def _make_room(self, wanted: int) -> list[int]:
        keep = {wanted, *self._in_use()}
        unloaded = []
        for number, one in list(self._loaded.items()):
            if self._bytes_of(self._loaded.values()) <= self._budget:
                break
            if number not in keep and one.classify is not self._common.classify:
                del self._loaded[number]
                unloaded.append(number)
        return unloaded

    def _bytes_of(self, inspectors: Collection[Inspector]) -> int:
        """Shared models count once, and the common one not at all: it is loaded in any case."""
        sizes = {id(one.classify): one.memory_bytes for one in inspectors}
        sizes.pop(id(self._common.classify), None)
        return sum(sizes.values())


def clones(inspectors: Mapping[int, Inspector]) -> dict[int, Inspector]:
    """Copies for another thread. Recipes that share a model share its copy. Raises ModelError."""
    copies: dict[int, Inspector] = {}  # by the identity of what is copied
    made = {}
    for number, one in inspectors.items():
        copy = copies.get(id(one.classify))
        if copy is None:
            copy = copies[id(one.classify)] = one.clone()
        made[number] = replace(one, classify=copy.classify)
    return made


class NewJudge(Protocol):
    """Builds a judge: `build_judge` with what all judges of a pipeline share."""

    def __call__(
        self,
        config: Config,
        inspector: Inspector,
        *,
        recipe: RecipeIdentity | None = None,
        config_hash: str | None = None,
    ) -> Judge: ...


def build_judges(
    config: Config,
    common: Inspector,
    recipes: RecipeModels,
    loaded: Mapping[int, Inspector],
    new_judge: NewJudge,
) -> Judges:
    """The judges of one worker. `common`, `loaded`: the models of its own."""
    whole = config.hash
    return Judges(
        new_judge(config, common),
        {n: recipe_judge(whole, recipes, n, one, new_judge) for n, one in loaded.items()},
        recipes.names,
        lambda number: recipes.why_unusable(number) or f"recipe {number} is being loaded",
    )


def recipe_judge(
    config_hash: str, recipes: RecipeModels, number: int, inspector: Inspector, new_judge: NewJudge
) -> Judge:
    """The judge of one recipe. `config_hash`: of the whole file."""
    recipe = RecipeIdentity(number, recipes.names[number])
    return new_judge(recipes.merged(number), inspector, recipe=recipe, config_hash=config_hash)


def _copies(config: Config) -> int:
    """How many workers have their own copy of a model: as many as judge at the same time."""
    workers = config.model.workers
    most = len(os.sched_getaffinity(0)) if workers == "auto" else workers
    return max(1, min(most, len(config.cameras)))
