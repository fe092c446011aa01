"""`mqtt.snapshots`: which pictures follow their verdicts to the broker."""

from pydantic import Field

from edge.section import Section
from edge.verdict import Outcome


class SnapshotsConfig(Section):
    """`send`: of which verdicts. `pass_every`: every so many-th passed picture of a camera too; 0:
    none. `max_kb`: the largest JPEG. `max_per_s`: at most so many on average, over all cameras."""

    send: tuple[Outcome, ...] = ()
    pass_every: int = Field(default=0, ge=0, le=1_000_000)
    max_kb: int = Field(default=256, ge=8, le=16_384)
    max_per_s: float = Field(default=2, ge=0.01, le=100)
