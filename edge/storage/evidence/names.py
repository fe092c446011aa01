"""Names of the evidence's files: `<verdict>-<camera>-<id>`, and what each ending means.

<stem>.json        the record of the verdict
<stem>.jpg, .png   its picture; of a part the frame with the highest score
<stem>.2.jpg, …    the part's other frames, in order of capture
.<name>.part       a picture while it is written
"""

import re
from dataclasses import dataclass

from edge.core.verdict import OUTCOMES, Outcome

RECORD = "json"
PICTURES = ("jpg", "png")

_ID = r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_NAME = re.compile(
    rf"(?P<stem>(?P<verdict>{'|'.join(OUTCOMES)})-(?P<camera>.+)-(?P<id>{_ID}))"
    r"(?:\.(?P<number>[1-9]\d{0,2}))?\.(?P<suffix>jpg|png|json)"
)
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.(\d{1,9}))?")


@dataclass(frozen=True, slots=True)
class EvidenceName:
    """A file's name, read. `number`: of a part's further frame, from 2; 1 for the picture."""

    stem: str
    verdict: Outcome
    camera: str
    id: str
    number: int
    suffix: str

    @property
    def is_picture(self) -> bool:
        """Whether it is the one picture that every record has."""
        return self.suffix != RECORD and self.number == 1

    @property
    def is_record(self) -> bool:
        return self.suffix == RECORD

    @property
    def time_ms(self) -> int:
        """The time in the id, ms since the epoch by the box's clock."""
        return id_time_ms(self.id)


def read_name(name: str) -> EvidenceName | None:
    """The parts of a name; None: it is no file of ours."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    if found["suffix"] == RECORD and found["number"] is not None:
        return None
    outcome = next(one for one in OUTCOMES if one == found["verdict"])
    number = int(found["number"] or 1)
    return EvidenceName(
        found["stem"], outcome, found["camera"], found["id"], number, found["suffix"]
    )


def is_unfinished(name: str) -> bool:
    """Whether it is a picture of ours while it is written."""
    if not (name.startswith(".") and name.endswith(".part")):
        return False
    return read_name(name[1:].removesuffix(".part")) is not None


def stem_of(verdict: Outcome, camera: str, verdict_id: str) -> str:
    """The beginning of the names of all files of a verdict."""
    return f"{verdict}-{camera}-{verdict_id}"


def picture_name(stem: str, number: int, suffix: str) -> str:
    """The name of a picture; `number` 1 is the verdict's own."""
    return f"{stem}.{suffix}" if number == 1 else f"{stem}.{number}.{suffix}"


def id_time_ms(verdict_id: str) -> int:
    """The time in an id (UUIDv7), ms since the epoch."""
    return int(verdict_id.replace("-", "")[:12], 16)


def day_of(folder: str) -> str | None:
    """The day of a day folder's name; None: it is no such name."""
    found = _DAY.fullmatch(folder)
    return None if found is None else found[1]


def number_of(folder: str) -> int:
    """The number of a day folder: `2026-11-30` is 1, `2026-11-30.2` is 2."""
    found = _DAY.fullmatch(folder)
    return int(found[2] or 1) if found else 0
