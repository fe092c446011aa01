"""What happens in a round: a list of events drawn from a seed, so that a round can be played
again."""

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

When = Literal["given", "stored", "sent", "started", "now"]

# How often a kind is drawn. Kinds that cost seconds of waiting, or need a file system of our
# own, are rarer.
NET = {
    "net_cut": 3,
    "net_half_close": 2,
    "net_stall": 3,
    "net_throttle": 2,
    "net_deaf": 1,
    "connack_refused": 2,
    "puback_quota": 3,
    "puback_denied": 3,
}
BROKER = {"broker_kill": 3, "broker_freeze": 1}
BOX = {"box_kill": 8, "box_stop": 1, "box_freeze": 2}
CLOCK = {"clock_jump": 2}
DISK = {"disk_limit": 2, "disk_full": 3, "disk_readonly": 1}
FILE = {"torn_tail": 2, "flipped_bytes": 3, "lost_tail": 1}
CAP = {"cap": 2}
KINDS = {**NET, **BROKER, **BOX, **CLOCK, **DISK, **FILE, **CAP}
NEEDS_MOUNT = frozenset({"disk_full", "disk_readonly"})


@dataclass(frozen=True, slots=True)
class Event:
    """A fault: `kind`; when: `after` more of `when` were seen, then `delay_s`; `hold_s`: how long
    it lasts; `amount` from 0 to 1 says how hard, as the kind takes it."""

    kind: str
    when: When
    after: int
    delay_s: float
    hold_s: float
    amount: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """A round: how the box is set up, and what happens to it."""

    seed: int
    version: str
    rate: float  # verdicts a second, of each camera
    cameras: int
    max_mb: float
    events: tuple[Event, ...]

    def kinds(self) -> set[str]:
        """What happens in it."""
        return {event.kind for event in self.events}

    def plain(self) -> dict[str, Any]:
        """For a JSON file."""
        return asdict(self)


def draw(seed: int, *, mounts: bool, kinds: Sequence[str] = ()) -> Schedule:
    """The schedule of a seed. `mounts`: whether a file system of our own may be mounted; `kinds`:
    only these are drawn, when there are any."""
    chance = random.Random(f"lossfinder {seed}")
    chosen = kinds or KINDS
    weights = {k: w for k, w in KINDS.items() if k in chosen and (mounts or k not in NEEDS_MOUNT)}
    kinds = chance.choices(list(weights), list(weights.values()), k=chance.choice((1, 1, 2, 3, 4)))
    denied = {"puback_quota", "puback_denied"} & set(kinds)
    capped = "cap" in kinds
    return Schedule(
        seed=seed,
        version="5" if denied or chance.random() < 0.8 else "3.1.1",
        rate=chance.choice((20.0, 40.0, 60.0)) if not capped else 200.0,
        cameras=chance.choice((1, 2, 3)) if not capped else 3,
        max_mb=0.25 if capped else 64.0,
        events=tuple(_event(kind, chance) for kind in kinds),
    )


def _event(kind: str, chance: random.Random) -> Event:
    when: When = chance.choice(("given", "given", "stored", "sent", "started", "now"))
    delay = chance.choice((0.0, chance.uniform(0, 0.0005), chance.uniform(0, 0.01)))
    if when in ("started", "now"):
        delay = chance.uniform(0, 0.4)
    hold = chance.choice((chance.uniform(0, 0.05), chance.uniform(0.05, 0.5)))
    if kind in ("net_stall", "net_half_close", "net_deaf") and chance.random() < 0.1:
        hold = 9.0  # past 1.5 × keepalive
    if kind == "cap":
        hold = chance.uniform(1.0, 2.0)
    if kind.startswith("disk"):
        hold = chance.uniform(0.1, 1.5)
    return Event(
        kind,
        when,
        after=chance.randrange(1, 25),
        delay_s=delay,
        hold_s=hold,
        amount=chance.random(),
    )
