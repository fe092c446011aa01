"""Decides which row is sent next, and what happens to a row by its PUBACK's reason code.

Rows that are stored during a connection are live: they go first, at once and in order. Rows from
before it are the backlog: they follow in order at their own rate, and take at most half of the
window.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from edge.core.clock import Clock
from edge.mqtt.failover import Backoff
from edge.storage import OutboxRow, SendQueue

log = logging.getLogger(__name__)

WINDOW = 20
DENIED_PAUSE_S = 300.0  # a person must correct the broker's ACL
_LIVE_S = 2.0  # a row that waited longer belongs to the backlog
_UNSPECIFIED_TRIES = 8
_SUSPECT_PAUSES_S = (10.0, 120.0)  # the first and the longest
_PROVEN_TRIES = 3
_UNSURE_RETRY_S = 1.0  # after the file could not give all rows
_SHORTEST_WAIT_S = 0.01
_BURST_S = 0.25  # the backlog may send the rows of this time at once
_REMEMBERED = 8192  # acknowledged rows that may still be on disk

# retry: the broker may take the row later. hold: all rows wait until a person corrects the ACL.
# retry_limited: the broker gives no reason, so the row is sent a few times. park: dead letter.
Action = Literal["accept", "retry", "hold", "retry_limited", "park"]
Cause = Literal["quota", "denied", "unspecified", "too_large", "topic", "payload"]
CAUSES: tuple[Cause, ...] = get_args(Cause)

_PUBACK_POLICY: dict[int, tuple[Action, Cause]] = {
    0x87: ("hold", "denied"),
    0x90: ("park", "topic"),
    0x91: ("retry", "quota"),  # packet identifier in use
    0x93: ("retry", "quota"),  # receive maximum exceeded
    0x95: ("park", "too_large"),
    0x96: ("retry", "quota"),  # message rate too high
    0x97: ("retry", "quota"),
    0x99: ("park", "payload"),
}
_SENTENCES: dict[Cause, str] = {
    "quota": "the broker is full; raise its quota",
    "denied": "the broker does not let us publish on {topic}: allow it in the broker's ACL",
    "unspecified": "the broker refuses verdicts without saying why; see its log",
    "too_large": "verdicts are larger than the broker takes; raise its max_packet_size",
    "topic": "the broker refuses the topic {topic}; see its log",
    "payload": "the broker calls verdicts invalid; see its log",
}


def puback_policy(code: int) -> tuple[Action, Cause | None]:
    """The action for the row, and the cause under which it is counted. MQTT 3.1.1 has code 0."""
    if code < 0x80:
        return "accept", None
    return _PUBACK_POLICY.get(code, ("retry_limited", "unspecified"))


@dataclass(slots=True)
class _Suspect:
    """A row over which the broker ended the connection. It is sent alone, behind all others."""

    due: float
    pause_s: float
    proofs: int
    fault: str


class AckSink(Protocol):
    """Gets the outcome of each row."""

    def accept(self, seq: int) -> None:
        """The broker has the row."""

    def park(self, seq: int, reason: str) -> None:
        """The broker will never take the row."""


class SendScheduler:
    """For the publisher's thread.

    refused: the broker's refusals, counted by cause.
    fault: why rows are held back; empty when they are not.
    replay_per_s: rows of the backlog a second; 0: as fast as the window allows. May be set.
    """

    def __init__(
        self, rows: SendQueue, acks: AckSink, clock: Clock, *, topic: str, backoff: Backoff
    ) -> None:
        """`topic`: the topic of results, for sentences."""
        self.replay_per_s = 0.0
        self.refused: Counter[Cause] = Counter(dict.fromkeys(CAUSES, 0))
        self.fault = ""
        self._rows, self._acks, self._clock = rows, acks, clock
        self._topic, self._backoff = topic, backoff
        self._done: OrderedDict[int, None] = OrderedDict()  # acknowledged, perhaps still on disk
        self._in_flight: dict[int, bool] = {}  # seq -> whether it belongs to the backlog
        self._tries: Counter[int] = Counter()
        self._suspects: dict[int, _Suspect] = {}
        self._window = 1
        self._live_from = 1
        self._live = self._backlog = 0  # the last number that was taken of each
        self._drained = False
        self._generation = rows.generation
        self._hold_until = 0.0
        self._tokens, self._filled_at = 0.0, clock.tick()

    def begin(self, window: int) -> None:
        """A new connection: no row is in flight, and all stored rows are backlog."""
        self._window = window
        self._in_flight.clear()
        self._backlog = 0
        self._hold_until = 0.0
        self._all_is_backlog()

    def next(self, room: int) -> Iterator[tuple[OutboxRow, bool]]:
        """At most `room` rows to send now, live rows first; True: it is replayed. The caller sends
        each row before it takes the next one. Raises OutboxError."""
        if self._held():
            return
        self._notice_new_file()
        before = len(self._in_flight)
        for row in self._live_rows(room):
            self._in_flight[row.seq] = False
            yield row, False
        room -= len(self._in_flight) - before
        share = max(1, self._window // 2) - sum(self._in_flight.values())
        for row in self._backlog_rows(min(room, share)):
            self._in_flight[row.seq] = True
            yield row, True

        if room > 0 and not self._in_flight and (suspect := self._due_suspect()) is not None:
            self._in_flight[suspect.seq] = True
            yield suspect, True

    def suspect(self, seq: int, size: int, why: str, *, proven: bool) -> None:
        """The broker ended the connection over this row of `size` bytes.

        proven: it gave a reason, so the row becomes a dead letter after some attempts. Without one
            the network may be the cause, and the row is never given up.
        """
        before = self._suspects.get(seq)
        proofs = (before.proofs if before else 0) + proven
        if proofs >= _PROVEN_TRIES:
            self.park(seq, "unspecified", why)
            return
        pause_s = min(
            _SUSPECT_PAUSES_S[1], max(_SUSPECT_PAUSES_S[0], 2 * before.pause_s if before else 0.0)
        )
        fault = (
            f"the broker ends the connection after verdict {seq} of {size} bytes: raise its limit "
            "(mosquitto: max_packet_size); the verdict is sent behind the others"
        )
        if before is None:
            log.error("delivery: %s (%s)", fault, why)
        self._suspects[seq] = _Suspect(self._clock.tick() + pause_s, pause_s, proofs, fault)

    def faults(self) -> list[str]:
        """The refusals that last, and the first row over which connections end."""
        suspects = [one.fault for one in list(self._suspects.values())[:1]]
        return [text for text in (self.fault, *suspects) if text]

    def wait_s(self, longest: float) -> float:
        """Seconds until a row is due, unless a new row or a PUBACK comes; at most `longest`."""
        if self._suspects and not self._in_flight:
            due = min(one.due for one in self._suspects.values())
            longest = min(longest, max(_SHORTEST_WAIT_S, due - self._clock.tick()))
        held_for = self._hold_until - self._clock.tick()
        if held_for > 0:
            return min(longest, held_for)
        if self._rows.unsure:
            return min(longest, _UNSURE_RETRY_S)
        if self._drained or not self.replay_per_s or self._tokens >= 1:
            return longest
        return min(longest, (1 - self._tokens) / self.replay_per_s)

    def empty(self) -> bool:
        """Whether no row waits that may be sent."""
        if self._held():
            return True
        self._notice_new_file()
        if self._in_flight or self._rows.batch(self._live, 1):
            return False
        return self._drained or not self._rows.batch(self._backlog, 1, self._live_from)

    def settle(self, seq: int, code: int, why: str) -> None:
        """The PUBACK of a row."""
        self._in_flight.pop(seq, None)
        action, cause = puback_policy(code)
        if cause is None:
            self.accept(seq)
            return
        self._tries[seq] += 1
        if action == "retry_limited" and self._tries[seq] >= _UNSPECIFIED_TRIES:
            action = "park"
        if action == "park":
            self.park(seq, cause, why)
            return
        self._count_refusal(cause, why)
        self._backlog = min(self._backlog, seq - 1)
        self._drained = False
        pause = DENIED_PAUSE_S if action == "hold" else self._backoff.next()
        self._hold_until = max(self._hold_until, self._clock.tick() + pause)

    def accept(self, seq: int) -> None:
        """The broker has the row."""
        self._remember(seq)
        self._tries.pop(seq, None)
        self._suspects.pop(seq, None)
        self._acks.accept(seq)
        if self.fault:
            log.info("delivery: the broker takes verdicts again")
            self.fault = ""
            self._backoff.reset()

    def park(self, seq: int, cause: Cause, why: str) -> None:
        """The broker will never take the row: it becomes a dead letter."""
        self._in_flight.pop(seq, None)
        self._tries.pop(seq, None)
        self._suspects.pop(seq, None)
        self.refused[cause] += 1
        self._remember(seq)
        log.error("delivery: verdict %d is parked: %s (%s)", seq, self._sentence(cause), why)
        self._acks.park(seq, why)

    def _sentence(self, cause: Cause) -> str:
        return _SENTENCES[cause].format(topic=self._topic)

    def _remember(self, seq: int) -> None:
        self._done[seq] = None
        if len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)

    def _count_refusal(self, cause: Cause, why: str) -> None:
        self.refused[cause] += 1
        sentence = self._sentence(cause)
        if sentence != self.fault:
            level = logging.ERROR if cause == "denied" else logging.WARNING
            log.log(level, "delivery: %s (%s); verdicts wait in the outbox", sentence, why)
        self.fault = sentence

    def _held(self) -> bool:
        if not self._hold_until:
            return False
        if self._clock.tick() < self._hold_until:
            return True
        self._hold_until = 0.0
        self._all_is_backlog()
        return False

    def _all_is_backlog(self) -> None:
        newest = self._rows.newest()
        self._live_from, self._live = newest + 1, newest
        self._drained = False

    def _notice_new_file(self) -> None:
        """A file that is opened late, or rebuilt, may hold older rows than those that were sent."""
        if self._generation != self._rows.generation:
            self._generation = self._rows.generation
            self._backlog, self._live_from = 0, self._live + 1
            self._drained = False

    def _live_rows(self, room: int) -> Iterator[OutboxRow]:
        # a batch may hold only acknowledged rows, so one batch is not enough
        left = room
        while left > 0 and (rows := self._rows.batch(self._live, left)):
            if not 0 <= self._rows.age_s(rows[0]) <= _LIVE_S:
                self._all_is_backlog()  # it could not go in time: newer rows go first now
                return
            for row in rows:
                self._live = row.seq
                if self._is_unsent(row):
                    left -= 1
                    yield row

    def _backlog_rows(self, room: int) -> Iterator[OutboxRow]:
        if self._drained:
            return
        left = room if not self.replay_per_s else min(room, self._refill())
        while left > 0:
            rows = self._rows.batch(self._backlog, left, self._live_from)
            self._drained = not rows and not self._rows.unsure
            if not rows:
                return
            for row in rows:
                self._backlog = row.seq
                if self._is_unsent(row):
                    left -= 1
                    self._tokens -= 1
                    yield row

    def _is_unsent(self, row: OutboxRow) -> bool:
        seq = row.seq
        return not (seq in self._done or seq in self._in_flight or seq in self._suspects)

    def _due_suspect(self) -> OutboxRow | None:
        """The suspect row that waits longest; None: none is due."""
        now = self._clock.tick()
        for seq, one in sorted(self._suspects.items(), key=lambda item: item[1].due):
            if one.due > now:
                return None
            rows = self._rows.batch(seq - 1, 1)
            if rows and rows[0].seq == seq:
                return rows[0]
            del self._suspects[seq]  # the outbox has dropped it
        return None

    def _refill(self) -> int:
        """How many rows of the backlog may go now: a token bucket."""
        now = self._clock.tick()
        capacity = max(1.0, self.replay_per_s * _BURST_S)
        new = (now - self._filled_at) * self.replay_per_s
        self._tokens = min(capacity, max(0.0, self._tokens) + new)
        self._filled_at = now
        return int(self._tokens)
