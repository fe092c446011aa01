"""Merges a recipe over the common part of config.yaml, and finds the mistakes of all recipes."""

from collections.abc import Iterator
from typing import TypeVar

import pydantic

from edge.config.recipes import RecipeCamera, RecipeConfig
from edge.config.schema import CameraConfig, Config
from edge.core.record import Model
from edge.core.text import Loc

M = TypeVar("M", bound=Model)


def for_recipe(config: Config, number: int) -> Config:
    """The whole configuration while a recipe is current, without the list of recipes. Raises
    KeyError for a number that config.yaml does not have."""
    return _merged(config, {one.number: one for one in config.recipes}[number])


def _merged(config: Config, recipe: RecipeConfig) -> Config:
    """Raises ValueError when common part and recipe contradict each other."""
    model = config.model if recipe.model is None else config.model.replace(path=recipe.model)
    return config.replace(
        recipes=(),
        model=model,
        decision=_over(config.decision, recipe.decision),
        cameras=tuple(
            camera_for(camera, recipe.cameras.get(camera.id)) for camera in config.cameras
        ),
    )


def camera_for(camera: CameraConfig, recipe: RecipeCamera | None) -> CameraConfig:
    """A camera while a recipe is current. Raises ValueError as above."""
    if recipe is None:
        return camera
    return camera.replace(
        view=camera.view if recipe.view is None else recipe.view,
        controls={**camera.controls, **(recipe.controls or {})},
        trust=_over(camera.trust, recipe.trust),
        trigger=_over(camera.trigger, recipe.trigger),
    )


def mistakes(config: Config) -> Iterator[tuple[Loc, str]]:
    """The place of each mistake of the recipes, and the sentence."""
    yield from _repeated(config)
    cameras = {camera.id: camera for camera in config.cameras}
    for index, recipe in enumerate(config.recipes):
        try:
            _over(config.decision, recipe.decision)
        except ValueError as error:
            yield ("recipes", index, "decision"), _reason(error)
        for name, changes in recipe.cameras.items():
            place: Loc = ("recipes", index, "cameras", name)
            if name not in cameras:
                known = ", ".join(cameras)
                yield place, f"there is no camera {name!r} in this file (cameras: {known})"
            else:
                yield from _mistakes_of(cameras[name], changes, place)


def _mistakes_of(
    camera: CameraConfig, recipe: RecipeCamera, place: Loc
) -> Iterator[tuple[Loc, str]]:
    without_effect = [
        key
        for key in ("controls", "trust")
        if getattr(recipe, key) is not None and key not in camera.effective_keys
    ]
    for key in without_effect:
        yield (*place, key), f"does nothing for a {camera.kind}: source; remove it"
    if recipe.trigger is not None and not camera.trigger.announces:
        kind = camera.trigger.kind
        fix = "remove it, or set cameras[].trigger.kind"
        yield (*place, "trigger"), f"does nothing for a {kind} trigger; {fix}"
    try:
        camera_for(camera, recipe)
    except ValueError as error:
        yield (*place, "trigger"), _reason(error)


def _repeated(config: Config) -> Iterator[tuple[Loc, str]]:
    numbers: dict[int, int] = {}
    names: dict[str, int] = {}
    for index, recipe in enumerate(config.recipes):
        if recipe.number in numbers:
            first = numbers[recipe.number] + 1
            yield (
                ("recipes", index, "number"),
                f"recipe {first} has this number too; give each its own (got {recipe.number})",
            )
        if recipe.name in names:
            first = names[recipe.name] + 1
            yield (
                ("recipes", index, "name"),
                f"recipe {first} has this name too; give each its own (got {recipe.name!r})",
            )
        numbers.setdefault(recipe.number, index)
        names.setdefault(recipe.name, index)


def _over(common: M, part: Model | None) -> M:
    """The common section with the values that the recipe gives. Raises ValueError."""
    given = {} if part is None else {key: value for key, value in part if value is not None}
    return common.replace(**given) if given else common


def _reason(error: ValueError) -> str:
    """The sentence of our own rule, without pydantic's frame around it."""
    if isinstance(error, pydantic.ValidationError):
        return f"with the common part: {error.errors()[0].get('ctx', {}).get('error', error)}"
    return f"with the common part: {error}"
