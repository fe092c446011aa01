"""What the recipes change at one camera: its settings by number, and the recipe of a new part."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from edge.config import CameraConfig, TriggerConfig
from edge.core.view import ViewConfig
from edge.inspection import ViewCrop
from edge.pipeline.recipe_selection import RecipeSelection


class PartRecipes(Protocol):
    """What a part tracker needs to know of the recipes of its camera."""

    def current(self) -> int | None:
        """The number of the current recipe; None: there is none."""

    def choose(self, number: int, by: str) -> None:
        """Makes a number current, known or not."""

    def why_unusable(self, number: int | None) -> str | None:
        """Why parts of this recipe cannot be judged now; None: they can."""

    def trigger(self, number: int | None) -> TriggerConfig:
        """The times and frames of a part."""
        ...

    def same_camera(self, one: int | None, other: int | None) -> bool:
        """Whether a picture that was taken for one recipe serves a part of the other: controls and
        trust limits are the same."""
        ...


class WithoutRecipes:
    """A camera of a configuration without recipes; a `PartRecipes`."""

    def __init__(self, trigger: TriggerConfig) -> None:
        self._trigger = trigger

    def current(self) -> int | None:
        """There is none."""
        return None

    def choose(self, number: int, by: str) -> None:
        """Changes nothing."""

    def why_unusable(self, number: int | None) -> str | None:
        """Only a part that names a recipe cannot be judged."""
        if number is None:
            return None
        return f"recipe {number} is not in config.yaml (recipes: none)"

    def trigger(self, number: int | None) -> TriggerConfig:  # noqa: ARG002  one for all
        """The camera's."""
        return self._trigger

    def same_camera(self, one: int | None, other: int | None) -> bool:  # noqa: ARG002  always
        """Always."""
        return True


@dataclass(frozen=True, slots=True)
class CameraSettings:
    """A camera while a recipe is current. `view`: what is cut out of its pictures."""

    config: CameraConfig
    view: ViewConfig


class CameraRecipes:
    """The recipes of one camera; a `PartRecipes`. Safe between threads."""

    def __init__(
        self,
        common: CameraSettings,
        by_number: Mapping[int, CameraSettings],
        selection: RecipeSelection,
        why_unusable: Callable[[int | None], str | None],
    ) -> None:
        """`common`: the settings without a recipe, also for a number that is not known."""
        self.by_number = dict(by_number)
        self.common = common
        self._selection, self._why_unusable = selection, why_unusable
        self._id = common.config.id
        self._common_crop = ViewCrop(common.view)
        self._crops = {number: ViewCrop(one.view) for number, one in self.by_number.items()}

    def current(self) -> int | None:
        """As in `PartRecipes`."""
        return self._selection.current(self._id)

    def choose(self, number: int, by: str) -> None:
        """As in `PartRecipes`."""
        self._selection.choose(self._id, number, by)

    def why_unusable(self, number: int | None) -> str | None:
        """As in `PartRecipes`."""
        return self._why_unusable(number)

    def trigger(self, number: int | None) -> TriggerConfig:
        """As in `PartRecipes`."""
        return self.settings(number).trigger

    def same_camera(self, one: int | None, other: int | None) -> bool:
        """As in `PartRecipes`."""
        a, b = self.settings(one), self.settings(other)
        return a is b or (a.controls == b.controls and a.trust == b.trust)

    def settings(self, number: int | None) -> CameraConfig:
        """The camera's section of config.yaml while this recipe is current."""
        return self._of(number).config

    def crop(self, number: int | None) -> ViewCrop:
        """What is cut out of its pictures for this recipe."""
        return self._common_crop if number is None else self._crops.get(number, self._common_crop)

    def at(self, tick: float) -> tuple[int | None, CameraConfig]:
        """The recipe that was current at `tick`, monotonic seconds, and its settings."""
        number = self._selection.at(self._id, tick)
        return number, self.settings(number)

    def _of(self, number: int | None) -> CameraSettings:
        return self.common if number is None else self.by_number.get(number, self.common)
