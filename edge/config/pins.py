"""The GPIO pins of a configuration. Each has one use."""

from collections.abc import Iterator

from edge.config.schema import CameraConfig, Config
from edge.core.text import Loc
from edge.core.validation import key_path


def pin_numbers(config: Config) -> set[int]:
    """The numbers of all pins that a configuration uses."""
    return {pin for _loc, pin in _pins(config)}


def pin_mistakes(config: Config) -> Iterator[tuple[Loc, str]]:
    """The place of each pin that has another use already, and of `recipe_pins` without recipes;
    with the sentence."""
    first: dict[int, Loc] = {}
    for loc, pin in _pins(config):
        if pin in first:
            yield loc, f"{key_path(first[pin])} has this pin too; give each its own (got {pin})"
        first.setdefault(pin, loc)
    for index, camera in enumerate(config.cameras):
        if camera.recipe_pins is not None and not config.recipes:
            loc = ("cameras", index, "recipe_pins")
            yield loc, "does nothing without recipes; add recipes, or remove it"


def _pins(config: Config) -> Iterator[tuple[Loc, int]]:
    for index, camera in enumerate(config.cameras):
        for loc, pin in _camera_pins(camera):
            yield ("cameras", index, *loc), pin
    station = config.decision.outputs
    for name, number in (("alarm", station.alarm), ("alive", station.alive)):
        if number is not None:
            yield ("decision", "outputs", name), number


def _camera_pins(camera: CameraConfig) -> Iterator[tuple[Loc, int]]:
    if camera.trigger.pin is not None:
        yield ("trigger", "pin"), camera.trigger.pin
    for name, pin in camera.outputs.pins.items():
        yield ("outputs", name), pin
    if (chosen := camera.recipe_pins) is not None:
        for bit, pin in enumerate(chosen.code):
            yield ("recipe_pins", "code", bit), pin
        yield ("recipe_pins", "strobe"), chosen.strobe
