"""The judges of one worker by recipe. A recipe that cannot judge gives `error` with the reason."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from edge.core.frame import Frame
from edge.core.part import Part
from edge.core.verdict import RecipeIdentity, Verdict
from edge.pipeline.frame_inspector import FrameResult
from edge.pipeline.judge import Judge

NO_RECIPE = "no recipe is chosen; choose one with request/recipe"


class PartJudge(Protocol):
    """What a worker needs to judge a part; see `Judge`."""

    def inspect(self, frame: Frame) -> FrameResult:
        """Judges one frame. Raises nothing."""
        ...

    def conclude(
        self,
        camera: str,
        results: Sequence[FrameResult],
        part: Part | None = None,
        fault: str | None = None,
    ) -> list[Verdict]:
        """The verdicts of a part, or of one frame without a part."""
        ...


class RefusingJudge:
    """Judges nothing: each verdict is `error`. It states the common model and thresholds, as every
    `error` does, though no model was used."""

    def __init__(self, common: Judge, recipe: RecipeIdentity | None, reason: str) -> None:
        self._common, self._recipe, self._reason = common, recipe, reason

    def inspect(self, frame: Frame) -> FrameResult:
        """The frame with the reason. A fault of the frame itself comes first."""
        return FrameResult(frame, 0, 0, fault=frame.fault or self._reason)

    def conclude(
        self,
        camera: str,
        results: Sequence[FrameResult],
        part: Part | None = None,
        fault: str | None = None,
    ) -> list[Verdict]:
        """One `error`, or one per region of the common view."""
        fault = fault or (None if results else self._reason)
        verdicts = self._common.conclude(camera, results, part, fault)
        return [replace(verdict, recipe=self._recipe) for verdict in verdicts]


class Judges:
    """`of` is for the worker's thread; any other thread may call `put` and `drop`, one at a
    time."""

    def __init__(
        self,
        common: Judge,
        by_recipe: Mapping[int, Judge] | None = None,
        names: Mapping[int, str] | None = None,
        why_unusable: Callable[[int], str] = "recipe {} is not in config.yaml".format,
    ) -> None:
        """Parameters:

        common: judges what belongs to no recipe, when config.yaml has none.
        by_recipe: of the recipes whose models are loaded.
        names: of all recipes in config.yaml, by number.
        why_unusable: the reason for a number without a judge.
        """
        self.common = common
        self._by_recipe = dict(by_recipe or {})
        self._names, self._why_unusable = dict(names or {}), why_unusable

    def of(self, recipe: int | None) -> PartJudge:
        """The judge of a part or frame with this recipe."""
        if recipe is None:
            return RefusingJudge(self.common, None, NO_RECIPE) if self._names else self.common
        judge = self._by_recipe.get(recipe)
        if judge is not None:
            return judge
        identity = RecipeIdentity(recipe, self._names.get(recipe))
        return RefusingJudge(self.common, identity, self._why_unusable(recipe))

    def put(self, recipe: int, judge: Judge) -> None:
        """The recipe can judge from now on."""
        self._by_recipe = {**self._by_recipe, recipe: judge}

    def drop(self, recipe: int) -> None:
        """The recipe cannot judge from now on."""
        self._by_recipe = {n: judge for n, judge in self._by_recipe.items() if n != recipe}
