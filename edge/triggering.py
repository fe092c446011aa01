"""`cameras[].trigger` in config.yaml: when a camera judges, and within which deadline."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.section import Section
from edge.terms import RuleName, TriggerKind

Fraction = Annotated[float, Field(ge=0, le=1)]
Pin = Annotated[int, Field(ge=0, le=27)]

_KEYS_OF: dict[str, frozenset[TriggerKind]] = {  # which kinds a key belongs to; others: every part
    "every_s": frozenset({"interval"}),
    "pin": frozenset({"gpio"}),
    "edge": frozenset({"gpio"}),
    "pull": frozenset({"gpio"}),
    "debounce_ms": frozenset({"gpio"}),
    "area": frozenset({"presence"}),
    "contrast": frozenset({"presence"}),
    "share": frozenset({"presence"}),
    "relearn_s": frozenset({"presence"}),
}
_MOST_WAITING = 64  # whole frames: 64 at 1080p are 400 MB
FREE_KINDS: frozenset[TriggerKind] = frozenset({"continuous", "folder"})  # no part is announced


class TriggerConfig(Section):
    """What announces a part. `continuous` and `folder` announce none: each frame is judged."""

    kind: TriggerKind = "continuous"
    delay_ms: float = Field(default=0, ge=0, le=600_000)
    deadline_ms: float = Field(default=1000, ge=1, le=3_600_000)
    window_ms: float | None = Field(default=None, gt=0, le=3_600_000)
    frames: int = Field(default=1, ge=1, le=64)
    rule: Literal["mean", "worst", "k_of_n"] = "worst"
    k: int | None = Field(default=None, ge=1, le=64)
    queue: int = Field(default=4, ge=0, le=63)
    every_s: float | None = Field(default=None, ge=0.01, le=86_400)
    pin: Pin | None = None
    edge: Literal["rising", "falling"] = "rising"
    pull: Literal["up", "down", "none"] = "down"
    debounce_ms: float = Field(default=10, ge=0, le=10_000)
    area: tuple[Fraction, Fraction, Fraction, Fraction] | None = None
    contrast: float = Field(default=25, gt=0, lt=255)
    share: float = Field(default=0.1, gt=0, le=1)
    relearn_s: float = Field(default=60, gt=0, le=86_400)

    @property
    def announces(self) -> bool:
        """Whether parts are announced, so that only their frames are judged."""
        return self.kind not in FREE_KINDS

    @property
    def rule_name(self) -> RuleName:
        """The rule by which the frames of a part become one verdict."""
        return "single" if self.frames == 1 else self.rule

    @property
    def fitting_keys(self) -> frozenset[str]:
        """The keys that do something with these values."""
        if not self.announces:
            return frozenset({"kind"})
        keys = {k for k in type(self).model_fields if self.kind in _KEYS_OF.get(k, {self.kind})}
        return frozenset(keys - {"rule", "k"} if self.frames == 1 else keys)

    @model_validator(mode="after")
    def _fits(self) -> "TriggerConfig":
        for key in sorted(self.model_fields_set - self.fitting_keys):
            single = self.announces and key in ("rule", "k")
            what = "a single frame; set frames, or" if single else f"a {self.kind} trigger;"
            raise ValueError(f"{key} does nothing for {what} remove it")
        if self.kind == "interval" and self.every_s is None:
            raise ValueError("interval needs every_s, the seconds between two parts; add it")
        if self.kind == "gpio" and self.pin is None:
            raise ValueError("gpio needs pin, the GPIO number of the input (0 to 27); add it")
        if self.delay_ms >= self.deadline_ms:
            raise ValueError(
                f"delay_ms {self.delay_ms:g} leaves no time before deadline_ms "
                f"{self.deadline_ms:g}; both count from the trigger, raise deadline_ms"
            )
        if (self.queue + 1) * self.frames > _MOST_WAITING:
            raise ValueError(
                f"queue {self.queue} and frames {self.frames} let (queue + 1) × frames = "
                f"{(self.queue + 1) * self.frames} pictures wait in memory; at most "
                f"{_MOST_WAITING} may, lower one of them"
            )
        self._check_rule()
        if self.area is not None:
            x, y, w, h = self.area
            if not (w > 0 and h > 0 and x + w <= 1 + 1e-9 and y + h <= 1 + 1e-9):
                raise ValueError("area must be x, y, width, height as fractions inside the picture")
        return self

    def _check_rule(self) -> None:
        if (self.k is not None) != (self.rule == "k_of_n"):
            raise ValueError("k and rule: k_of_n go together; set both or none")
        if self.k is not None and self.k > self.frames:
            raise ValueError(f"k {self.k} of {self.frames} frames cannot be; lower k")


class LampsConfig(Section):
    """`cameras[].outputs`: GPIO pins that tell each verdict. `fail` speaks for everything that is
    not `pass`, unless review or error have a pin of their own."""

    passed: Pin | None = Field(default=None, alias="pass")
    fail: Pin | None = None
    review: Pin | None = None
    error: Pin | None = None
    busy: Pin | None = None
    pulse_ms: float = Field(default=100, ge=1, le=60_000)
    active_high: bool = True

    @property
    def pins(self) -> dict[str, int]:
        """Pin by what it tells: pass, fail, review, error, busy."""
        said = {
            "pass": self.passed,
            "fail": self.fail,
            "review": self.review,
            "error": self.error,
            "busy": self.busy,
        }
        return {name: pin for name, pin in said.items() if pin is not None}


class AlarmConfig(Section):
    """`decision.alarm`: so many bad parts in a row raise it. None: never."""

    fails: int | None = Field(default=None, ge=1, le=100_000)
    errors: int | None = Field(default=None, ge=1, le=100_000)


class StationOutputsConfig(Section):
    """`decision.outputs`: GPIO pins for the whole box."""

    alarm: Pin | None = None
    alive: Pin | None = None
    active_high: bool = True
