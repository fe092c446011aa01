"""A part on the line, announced by its trigger, and the frames that belong to it."""

from dataclasses import dataclass

from edge.core.frame import Frame
from edge.core.terms import TriggerKind


@dataclass(frozen=True, slots=True)
class Part:
    """One trigger of one camera. It gets exactly one verdict, or one per region with
    `verdict: each`.

    - `number`: counts this camera's triggers from 1, over restarts.
    - `name`, `transaction`: the requester's part id and request id, or None.
    - `at`, `tick`: when the trigger came, in seconds since the epoch and in monotonic seconds.
    - `due`, `latest`: frames captured between them belong to the part, monotonic seconds; `due`
      is the trigger plus the conveyor's delay.
    - `until`: the verdict's deadline, monotonic seconds.
    - `frames`: the number of frames that the part needs.
    - `recipe`: the number of the recipe that was current when the trigger came; a later change does
      not touch it. None: there is none.
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
    recipe: int | None = None


@dataclass(frozen=True, slots=True)
class PartFrame:
    """A frame of a part. With `frame` None it is the `fault` that ends the part; `refused` then
    says whether the trigger itself was refused."""

    part: Part
    frame: Frame | None
    fault: str | None = None
    refused: bool = False
