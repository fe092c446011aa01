"""`cameras[].trigger`, the alarm, the GPIO outputs, and the GPIO inputs that choose a recipe."""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, model_validator

from edge.config.annotations import OnlyFor, keys_for
from edge.core.record import Items, Length4, Model
from edge.core.terms import RuleName, TriggerKind

Fraction = Annotated[float, Field(ge=0, le=1)]
Pin = Annotated[int, Field(ge=0, le=27)]
Area = Annotated[tuple[Fraction, Fraction, Fraction, Fraction], Length4]

_MAX_WAITING = 64  # frames; 64 at 1080p take 400 MB
FREE_KINDS: frozenset[TriggerKind] = frozenset({"continuous", "folder"})  # they announce no part


class TriggerConfig(Model):
    """The trigger of a part. `continuous` and `folder` have none: each frame is judged."""

    kind: TriggerKind = "continuous"
    delay_ms: Annotated[float, Field(ge=0, le=600_000)] = 0.0
    deadline_ms: Annotated[float, Field(ge=1, le=3_600_000)] = 1000.0
    window_ms: Annotated[float, Field(gt=0, le=3_600_000)] | None = None
    frames: Annotated[int, Field(ge=1, le=64)] = 1
    rule: Literal["mean", "worst", "k_of_n"] = "worst"
    k: Annotated[int, Field(ge=1, le=64)] | None = None
    queue: Annotated[int, Field(ge=0, le=63)] = 4
    every_s: Annotated[Annotated[float, Field(ge=0.01, le=86_400)] | None, OnlyFor("interval")] = (
        None
    )
    pin: Annotated[Pin | None, OnlyFor("gpio")] = None
    edge: Annotated[Literal["rising", "falling"], OnlyFor("gpio")] = "rising"
    pull: Annotated[Literal["up", "down", "none"], OnlyFor("gpio")] = "down"
    debounce_ms: Annotated[float, Field(ge=0, le=10_000), OnlyFor("gpio")] = 10.0
    area: Annotated[Area | None, OnlyFor("presence")] = None
    contrast: Annotated[float, Field(gt=0, lt=255), OnlyFor("presence")] = 25.0
    share: Annotated[float, Field(gt=0, le=1), OnlyFor("presence")] = 0.1
    relearn_s: Annotated[float, Field(gt=0, le=86_400), OnlyFor("presence")] = 60.0

    @property
    def announces(self) -> bool:
        """Whether triggers announce parts, so that only their frames are judged."""
        return self.kind not in FREE_KINDS

    @property
    def rule_name(self) -> RuleName:
        """The rule that combines a part's frames into one verdict."""
        return "single" if self.frames == 1 else self.rule

    @property
    def effective_keys(self) -> frozenset[str]:
        """The keys that have an effect with these values."""
        if not self.announces:
            return frozenset({"kind"})
        keys = keys_for(type(self), self.kind)
        return keys - {"rule", "k"} if self.frames == 1 else keys

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if self.kind == "interval" and self.every_s is None:
            raise ValueError("interval needs every_s, the seconds between two parts; add it")
        if self.kind == "gpio" and self.pin is None:
            raise ValueError("gpio needs pin, the GPIO number of the input (0 to 27); add it")
        if self.delay_ms >= self.deadline_ms:
            raise ValueError(
                f"delay_ms {self.delay_ms:g} leaves no time before deadline_ms "
                f"{self.deadline_ms:g}; both count from the trigger, raise deadline_ms"
            )
        if (self.queue + 1) * self.frames > _MAX_WAITING:
            raise ValueError(
                f"queue {self.queue} and frames {self.frames} let (queue + 1) × frames = "
                f"{(self.queue + 1) * self.frames} pictures wait in memory; at most "
                f"{_MAX_WAITING} may, lower one of them"
            )
        if (self.k is not None) != (self.rule == "k_of_n"):
            raise ValueError("k and rule: k_of_n go together; set both or none")
        if self.k is not None and self.k > self.frames:
            raise ValueError(f"k {self.k} of {self.frames} frames cannot be; lower k")
        if self.area is not None:
            x, y, w, h = self.area
            if not (w > 0 and h > 0 and x + w <= 1 + 1e-9 and y + h <= 1 + 1e-9):
                raise ValueError("area must be x, y, width, height as fractions inside the picture")
        return self

    @model_validator(mode="after")
    def _check_given(self, info: ValidationInfo) -> Self:
        for key in sorted(self.given(info) - self.effective_keys):
            single = self.announces and key in ("rule", "k")
            what = "a single frame; set frames, or" if single else f"a {self.kind} trigger;"
            raise ValueError(f"{key} does nothing for {what} remove it")
        return self


class GpioOutputsConfig(Model):
    """`cameras[].outputs`: GPIO pins for the verdicts. `fail` is set for every verdict except
    `pass`; a separate pin for `review` or `error` takes its place."""

    passed: Annotated[Pin | None, Field(alias="pass")] = None
    fail: Pin | None = None
    review: Pin | None = None
    error: Pin | None = None
    busy: Pin | None = None
    pulse_ms: Annotated[float, Field(ge=1, le=60_000)] = 100.0
    active_high: bool = True

    @property
    def pins(self) -> dict[str, int]:
        """Pins by name: pass, fail, review, error, busy."""
        pins = {
            "pass": self.passed,
            "fail": self.fail,
            "review": self.review,
            "error": self.error,
            "busy": self.busy,
        }
        return {name: pin for name, pin in pins.items() if pin is not None}


class RecipePinsConfig(Model):
    """`cameras[].recipe_pins`: GPIO inputs that choose the camera's recipe.

    - `code`: the bits of its number, the lowest first.
    - `strobe`: at its `edge` the code is read.
    - `pull`: of all these pins. With `up` a bit is 1 while its pin is low, as of a closed contact.
    """

    code: Annotated[Items[Pin], Field(min_length=1, max_length=16)]
    strobe: Pin
    edge: Literal["rising", "falling"] = "rising"
    pull: Literal["up", "down", "none"] = "down"
    debounce_ms: Annotated[float, Field(ge=0, le=10_000)] = 10.0


class AlarmConfig(Model):
    """`decision.alarm`: the number of bad parts in a row that raises it. None: never."""

    fails: Annotated[int, Field(ge=1, le=100_000)] | None = None
    errors: Annotated[int, Field(ge=1, le=100_000)] | None = None


class StationOutputsConfig(Model):
    """`decision.outputs`: GPIO pins for the whole box."""

    alarm: Pin | None = None
    alive: Pin | None = None
    active_high: bool = True
