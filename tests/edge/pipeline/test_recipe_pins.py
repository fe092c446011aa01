"""A recipe chosen by pins, on gpiozero's own mock of a Raspberry Pi."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edge.config import RecipePinsConfig
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError
from edge.pipeline.recipe_pins import RecipePins
from edge.pipeline.recipe_selection import NothingStored, RecipeChange, RecipeSelection
from tests.conftest import Require
from tests.support.clock import FakeClock

CODE, STROBE = (5, 6, 13), 19
UNKNOWN = 65_535  # no recipe has this number


class Plc:
    """Moves the pins as a PLC does. `chosen`: the changes that followed."""

    def __init__(self, board: Any, clock: FakeClock, options: dict[str, Any]) -> None:
        self.clock, self.chosen = clock, list[RecipeChange]()
        self._board, self._low_is_1 = board, options.get("pull") == "up"
        environment = Clock(clock.now, clock.tick)
        names = {1: "cap", 5: "lid"}
        self.selection = RecipeSelection(
            names, NothingStored(), environment, on_change=self.chosen.append
        )
        config = RecipePinsConfig.read({"code": list(CODE), "strobe": STROBE, **options})
        self.pins = RecipePins(
            "top", config, self._choose, environment.tick, board, unknown=UNKNOWN
        )
        self.pins.open()
        self.go = threading.Event()
        self.pins.start(self.go)

    def set_code(self, number: int) -> None:
        """Puts a number on the code pins."""
        for bit, pin in enumerate(CODE):
            self._move(pin, bool(number >> bit & 1) is not self._low_is_1)

    def move_strobe(self, *levels: bool, after_s: float = 1.0, apart_s: float = 0.001) -> None:
        """Moves the strobe to these levels, `apart_s` apart."""
        self.clock.at += after_s
        for level in levels:
            self._move(STROBE, level)
            self.clock.at += apart_s

    def _move(self, number: int, level: bool) -> None:
        pin = self._board.pin(number)
        (pin.drive_high if level else pin.drive_low)()

    def _choose(self, number: int, by: str) -> None:
        self.selection.choose("top", number, by)


@pytest.fixture
def plc(board: Any, clock: FakeClock) -> Iterator[Callable[..., Plc]]:
    """`plc(pull=…, edge=…)`: pins that count from now on."""
    made: list[Plc] = []

    def make(**options: Any) -> Plc:
        made.append(Plc(board, clock, options))
        made[-1].go.set()
        return made[-1]

    yield make
    for one in made:
        one.pins.close()


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("pull", ["down", "up"])
def test_the_strobe_chooses_the_number_on_the_code_pins(
    plc: Callable[..., Plc], pull: str, number: int
) -> None:
    """The first pin is the lowest bit; with `pull: up` a low pin is 1. The code alone, and the edge
    back, change nothing."""
    line = plc(pull=pull)
    line.set_code(number)
    assert line.selection.current("top") is None
    line.move_strobe(False)
    line.move_strobe(True)
    assert line.selection.current("top") == number
    line.set_code(number ^ 7)
    line.move_strobe(False)
    assert line.selection.current("top") == number
    assert [(one.before, one.after, one.by) for one in line.chosen] == [
        (None, number, "gpio: pin 19")
    ]


def test_a_falling_edge_may_be_the_strobe(plc: Callable[..., Plc]) -> None:
    """As of an active-low output."""
    line = plc(edge="falling")
    line.set_code(5)
    line.move_strobe(True)
    assert line.chosen == []
    line.move_strobe(False)
    assert line.selection.current("top") == 5


def test_a_contact_that_bounces_chooses_once(plc: Callable[..., Plc]) -> None:
    """A strobe that chatters when it closes reads the code once; one that chatters when it opens,
    while the next code stands already, reads nothing."""
    line = plc(debounce_ms=10)
    line.set_code(5)
    line.move_strobe(True, False, True)
    line.set_code(1)
    line.move_strobe(False, True, False)
    assert [one.after for one in line.chosen] == [5]


def test_an_unknown_code_is_current(plc: Callable[..., Plc]) -> None:
    """So that its parts get `error`, as with every number that config.yaml does not have."""
    line = plc()
    for number in (5, 3):
        line.set_code(number)
        line.move_strobe(True)
        line.move_strobe(False)
    assert line.selection.current("top") == 3


def test_the_strobe_counts_only_while_the_configuration_runs(board: Any, clock: FakeClock) -> None:
    """Pins that a reload has opened choose nothing until it is done; closed ones nothing at all."""
    line = Plc(board, clock, {})
    line.set_code(5)
    line.move_strobe(True, False)
    assert line.chosen == []
    line.go.set()
    line.move_strobe(True)
    assert len(line.chosen) == 1
    line.pins.close()
    line.set_code(1)
    line.move_strobe(False)
    line.move_strobe(True)
    assert len(line.chosen) == 1
    line.pins.open()  # after a change that was given up
    line.set_code(1)  # the mock's pins are low when they are opened
    line.move_strobe(False)
    line.move_strobe(True)
    assert [one.after for one in line.chosen] == [5, 1]
    line.pins.close()


@pytest.mark.parametrize("taken", [*CODE, STROBE])
def test_a_pin_in_use_is_named(board: Any, environment: Clock, taken: int) -> None:
    """By its key and number, with what to do; the others are free again after `close`."""
    import gpiozero

    other = gpiozero.LED(taken, pin_factory=board)
    config = RecipePinsConfig.read({"code": list(CODE), "strobe": STROBE})
    pins = RecipePins(
        "top", config, lambda _number, _by: None, environment.tick, board, unknown=UNKNOWN
    )
    key = "strobe" if taken == STROBE else "code"
    with pytest.raises(
        EdgeInspectError, match=rf"^cameras top: recipe_pins\.{key} {taken}: .*anot"
    ):
        pins.open()
    other.close()
    pins.open()
    pins.close()
    for number in (*CODE, STROBE):
        gpiozero.LED(number, pin_factory=board).close()


@pytest.mark.filterwarnings("ignore:Falling back from")
def test_a_machine_without_pins_says_so(require: Require, environment: Clock) -> None:
    """Before any strobe."""
    require("gpiozero", "pip install '.[test]'")
    config = RecipePinsConfig.read({"code": [5], "strobe": 19})
    pins = RecipePins("top", config, lambda _number, _by: None, environment.tick, unknown=UNKNOWN)
    with pytest.raises(EdgeInspectError, match=r"recipe_pins\.code 5: .*remove the pin|another"):
        pins.open()


def test_a_code_that_cannot_be_read_leaves_no_recipe_of_before(
    plc: Callable[..., Plc], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its parts get `error`: the recipe before would judge another product."""
    import gpiozero

    one = plc()
    one.set_code(5)
    one.move_strobe(True, False)
    assert one.selection.current("top") == 5

    def broken(_device: object) -> bool:
        raise OSError("the GPIO chip does not answer")

    monkeypatch.setattr(gpiozero.DigitalInputDevice, "is_active", property(broken))
    one.move_strobe(True, False)
    assert one.selection.current("top") == UNKNOWN
