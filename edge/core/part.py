"""A part on the line, as its trigger announced it, and the frames taken for it. They travel one
way, beside frames and verdicts."""

from dataclasses import dataclass

from edge.core.frame import Frame
from edge.core.terms import TriggerKind


@dataclass(frozen=True, slots=True)
class Part:
    """One trigger of one camera: it gets exactly one verdict (one a region, if regions are judged
    each for itself).

    `name` is the caller's part id, `transaction` the caller's mark of its request, both None when
    nobody said them. `number` counts this camera's triggers from 1. `at` is when the trigger came,
    seconds since the epoch; `tick` the same moment in monotonic seconds. Frames count from `due`
    (the conveyor's delay) up to `latest`, and the verdict must be there by `until`, all monotonic
    seconds. `frames` is how many are wanted.
    """

    camera: str
    number: int
    kind: TriggerKind
    name: str | None
    transaction: str | None
    at: float
    tick: float
    due: float
    latest: float
    until: float
    frames: int


@dataclass(frozen=True, slots=True)
class PartFrame:
    """A frame taken for a part, or, with `frame` None, the `fault` that ends the part. `refused`:
    the trigger was not taken, and this is how the plant learns of it."""

    part: Part
    frame: Frame | None
    fault: str | None = None
    refused: bool = False
