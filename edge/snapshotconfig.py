"""`mqtt.snapshots`: which pictures follow their verdicts to the broker."""

from typing import Annotated

from msgspec import Meta

from edge.section import Section
from edge.verdict import Outcome


class SnapshotsConfig(Section, frozen=True):
    """`send`: of which verdicts. `pass_every`: every so many-th passed picture of a camera too; 0:
    none. `max_kb`: the largest JPEG. `max_per_s`: at most so many on average, over all cameras."""

    send: tuple[Outcome, ...] = ()
    pass_every: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    max_kb: Annotated[int, Meta(ge=8, le=16_384)] = 256
    max_per_s: Annotated[float, Meta(ge=0.01, le=100)] = 2.0
