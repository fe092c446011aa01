"""The rules by which a round is judged: what may be missing, and what must not. The reasons are in
docs/decisions/0025-the-oracle.md."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from tests.loss.boxes import Life
from tests.loss.outboxfile import Waiting
from tests.loss.subscriber import Arrival

_ONE_COMMIT = 256 + 32  # verdicts that one commit may drop at the cap: it stores at most 256
_WAKING_S = 0.25  # a thread that is due, on a machine with other work; and the kill itself


@dataclass(slots=True)
class Facts:
    """The observations of a round, from outside."""

    lives: list[Life] = field(default_factory=list)
    on_disk: dict[str, int] = field(default_factory=dict)  # id -> seq: seen in the file, box dead
    arrivals: list[Arrival] = field(default_factory=list)
    refused: Mapping[str, int] = field(default_factory=dict)  # id -> reason in the broker's place
    parked: int = 0  # when all was well again, before the restart that tries them once more
    waiting: list[Waiting] = field(default_factory=list)  # in the file at the very end
    exposed: dict[str, int] = field(default_factory=dict)  # in the file when it was damaged
    unwritten: dict[str, int] = field(default_factory=dict)  # what a lying disk did not write
    damaged_in: int | None = None  # from this life on, what is stored may be in a damaged file
    reported_lost: int = 0  # how many of these the box reported as lost
    # lives that were killed in a commit -> the lowest number in the file then
    interrupted: dict[int, int] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)  # lives whose disk refused: verdicts in memory
    unopened: set[int] = field(default_factory=set)  # lives that began without their file
    largest: int = 0  # bytes of file and log at most
    allowed: int | None = None  # the cap and one batch, when a cap was under test
    window_s: float | None = None  # what the level promises; None: it promises no time
    faults: list[str] = field(default_factory=list)  # what went wrong with the box itself


@dataclass(slots=True)
class Judgement:
    """A round's figures, and every rule that was broken, as sentences."""

    given: int = 0
    stored: int = 0
    received: int = 0
    duplicates: int = 0
    dropped: int = 0
    parked: int = 0
    salvage_lost: int = 0
    unwritten: int = 0
    lost: list[str] = field(default_factory=list)
    window_ms: float = 0.0  # age at the kill of the oldest verdict that was given and is nowhere
    unstored: int = 0  # received, found nowhere, and never reported as stored
    unheld: int = 0  # the same, of lives whose disk refused: gone with the memory
    broken: list[str] = field(default_factory=list)


def judge(facts: Facts) -> Judgement:
    """Judges the facts of a round."""
    stored = reported(facts.lives) | set(facts.on_disk)
    received = {arrival.id for arrival in facts.arrivals}
    waiting = {row.id for row in facts.waiting if row.parked is not None}
    stuck = [row for row in facts.waiting if row.parked is None]
    result = Judgement(
        given=sum(len(life.given) for life in facts.lives),
        stored=len(stored),
        received=len(received),
        duplicates=len(facts.arrivals) - len(received),
        parked=facts.parked,
        broken=list(facts.faults),
    )
    missing = stored - received - waiting - {row.id for row in stuck}
    result.unwritten = len(missing & facts.unwritten.keys())
    missing -= facts.unwritten.keys()
    exposed = missing & facts.exposed.keys()
    if facts.damaged_in is not None:
        exposed |= missing & reported(facts.lives[facts.damaged_in :])
    result.salvage_lost = min(len(exposed), facts.reported_lost)
    missing -= set(sorted(exposed)[: result.salvage_lost])
    counted = sum(int(life.counts.get("dropped", 0)) for life in facts.lives)
    counted += _dropped_at_kill(facts, missing)
    if missing and len(missing) <= counted:
        result.dropped = len(missing)
        missing = set()
    result.lost = sorted(missing)
    if missing:
        result.broken.append(
            f"{len(missing)} verdicts were stored and are nowhere, {counted} counted as dropped, "
            f"{len(exposed)} of them in a damaged file, {facts.reported_lost} reported as lost "
            f"with it: {sorted(missing)[:3]}"
        )
    if stuck:
        result.broken.append(
            f"{len(stuck)} verdicts wait in the outbox and are not sent (seq {stuck[0].seq} …)"
        )
    result.broken += _numbers(facts) + _copies(facts.arrivals)
    result.broken += _order(facts)
    if facts.allowed is not None and facts.largest > facts.allowed:
        result.broken.append(f"the file had {facts.largest} bytes, {facts.allowed} are allowed")
    _measure_window(facts, received | waiting | set(facts.on_disk), result)
    return result


def _dropped_at_kill(facts: Facts, missing: Set[str]) -> int:
    """How many of the missing verdicts a commit may have dropped whose count a kill has prevented:
    only at the cap, of one commit, and only older ones than all that it left in the file."""
    if facts.allowed is None:
        return 0
    numbers = facts.on_disk | {n: seq for life in facts.lives for n, seq in life.numbers.items()}
    return sum(
        min(_ONE_COMMIT, sum(numbers[name] < lowest for name in missing))
        for lowest in facts.interrupted.values()
    )


def reported(lives: Iterable[Life]) -> set[str]:
    """The ids that the box reported as stored, or as acknowledged by the broker."""
    return {name for life in lives for name in life.safe}


def _numbers(facts: Facts) -> list[str]:
    """No number has two ids, and no id two numbers: on disk, on the wire, over all lives. Left out
    are rows that a lying disk did not write."""
    ids: dict[int, set[str]] = defaultdict(set)
    numbers: dict[str, set[int]] = defaultdict(set)
    pairs = [(a.seq, a.id) for a in facts.arrivals]
    pairs += [(seq, name) for name, seq in facts.on_disk.items()]
    pairs += [(row.seq, row.id) for row in facts.waiting]
    for seq, name in pairs:
        if name in facts.unwritten:
            continue
        ids[seq].add(name)
        numbers[name].add(seq)
    twice = sorted(seq for seq, names in ids.items() if len(names) > 1)
    many = sorted(name for name, seqs in numbers.items() if len(seqs) > 1)
    broken = []
    if twice:
        broken.append(f"{len(twice)} numbers stand for two ids each: seq {twice[:5]}")
    if many:
        broken.append(f"{len(many)} ids have two numbers each: {many[:3]}")
    return broken


def _copies(arrivals: Sequence[Arrival]) -> list[str]:
    """Copies differ in `replayed` only."""
    first: dict[str, str] = {}
    odd = {a.id for a in arrivals if first.setdefault(a.id, a.body) != a.body}
    return [f"{len(odd)} verdicts came twice and differ: {sorted(odd)[:3]}"] if odd else []


def _order(facts: Facts) -> list[str]:
    """For each camera, numbers of first arrivals rise within the live and the replayed stream.

    Left out are rows that were refused on the way, which arrive later, and rows that a lying disk
    forgot, whose numbers are issued again. A life that could not open the file at its start sends
    its own verdicts from memory: they may come before those of earlier lives, which are in the
    file, and before no others.
    """
    given_in = {name: life.number for life in facts.lives for name, _, _ in life.given}
    seen = {*facts.refused, *facts.unwritten}
    newest: dict[tuple[str, bool], dict[int, int]] = defaultdict(dict)  # of each life
    back: list[str] = []
    for arrival in facts.arrivals:
        if arrival.id in seen:
            continue
        seen.add(arrival.id)
        life = given_in.get(arrival.id, len(facts.lives))
        before = newest[arrival.camera, arrival.replayed]
        overtaken = facts.unopened & {number for number in before if number > life}
        highest = max((seq for n, seq in before.items() if n not in overtaken), default=0)
        if arrival.seq < highest:
            name = "replayed" if arrival.replayed else "live"
            back.append(f"{arrival.camera} {name}: {highest} then {arrival.seq}")
        before[life] = max(arrival.seq, before.get(life, 0))
    return [f"out of order {len(back)} times: {back[0]}"] if back else []


def _measure_window(facts: Facts, somewhere: set[str], result: Judgement) -> None:
    """The age of the oldest verdict that a kill took before it was stored."""
    claimed = reported(facts.lives)
    for life in facts.lives:
        if life.ended is None:
            continue
        gone = [g for g in life.given if g[0] not in somewhere and g[0] not in claimed]
        if life.number in facts.held:
            result.unheld += len(gone)
            continue
        result.unstored += len(gone)
        oldest = max((life.ended - given for _, _, given in gone), default=0.0)
        result.window_ms = max(result.window_ms, oldest * 1000)
        if facts.window_s is None:
            continue
        running = life.ended - life.commit if life.commit is not None else 0.0
        allowed = facts.window_s + max(life.longest, running) + life.frozen + _WAKING_S
        if oldest > allowed:
            result.broken.append(
                f"a kill took a verdict that was {oldest * 1000:.0f} ms old; the window and one "
                f"commit are {allowed * 1000:.0f} ms"
            )
