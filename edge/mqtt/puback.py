"""What a PUBACK's reason code means for the row it answers."""

from typing import Literal

# accepted: the broker has it. later: it may take the same row in a while. denied: only people can
# mend it. odd: it says no more than "no": tried some times. never: this row will not be taken.
Meaning = Literal["accepted", "later", "denied", "odd", "never"]
Cause = Literal["quota", "denied", "unspecified", "too_large", "topic", "payload"]
CAUSES: tuple[Cause, ...] = ("quota", "denied", "unspecified", "too_large", "topic", "payload")

_MEANINGS: dict[int, tuple[Meaning, Cause]] = {
    0x87: ("denied", "denied"),
    0x90: ("never", "topic"),
    0x91: ("later", "quota"),  # packet identifier in use
    0x93: ("later", "quota"),  # receive maximum exceeded
    0x95: ("never", "too_large"),
    0x96: ("later", "quota"),  # message rate too high
    0x97: ("later", "quota"),
    0x99: ("never", "payload"),
}
_WORDS: dict[Cause, str] = {
    "quota": "the broker is full; raise its quota",
    "denied": "the broker does not let us publish on {topic}: allow it in the broker's ACL",
    "unspecified": "the broker refuses verdicts without saying why; see its log",
    "too_large": "verdicts are larger than the broker takes; raise its max_packet_size",
    "topic": "the broker refuses the topic {topic}; see its log",
    "payload": "the broker calls verdicts invalid; see its log",
}


def meaning(code: int) -> tuple[Meaning, Cause | None]:
    """What to do with the row, and under which cause to count it; MQTT 3.1.1 always says 0."""
    if code < 0x80:
        return "accepted", None
    return _MEANINGS.get(code, ("odd", "unspecified"))


def in_words(cause: Cause, topic: str) -> str:
    """What `health` and the log say of a cause, with the mend."""
    return _WORDS[cause].format(topic=topic)
