"""The thread that writes the outbox: gathers what came while the last commit ran, and commits it
as one, so that a slow disk costs neither a frame nor a write a verdict."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

from edge.delivery.outbox import Outbox, OutboxError, OutboxStats
from edge.environment import Environment
from edge.verdict import Verdict

log = logging.getLogger(__name__)

_QUEUE = 256  # verdicts that may wait for the disk before inspection waits too
_HELD = 10_000  # verdicts held in memory while the disk refuses
_ACK_DELAY_S = 1.0  # acknowledgements wait for company: losing one costs a duplicate, no verdict
_RETRY_S = 1.0


class OutboxWriter:
    """Owns the `Outbox`. `submit` is for inspection, `accept` and `park` for the publisher."""

    def __init__(self, outbox: Outbox, environment: Environment) -> None:
        """Both may be set before `run`: `on_commit` is called after each commit with the verdicts
        that it stored and their numbers, and `on_stored` after that when there were any."""
        self._outbox = outbox
        self._environment = environment
        self.on_stored: Callable[[], None] = lambda: None
        self.on_commit: Callable[[Sequence[Verdict], Sequence[int]], None] = lambda *_: None
        self._verdicts: deque[Verdict] = deque()
        self._accepted: list[int] = []
        self._parked: list[tuple[int, str]] = []
        self._first_ack = 0.0
        self._closing = self._writing = False
        self._changed = threading.Condition()
        self._dropped = 0
        self._stats = outbox.stats()
        self.fault = ""
        self.beat = environment.tick()

    def submit(self, verdict: Verdict) -> None:
        """Hands a verdict over. Waits while the disk is slow; while it refuses, the verdict is
        held in memory, and past a bound the oldest held one is dropped and counted."""
        with self._changed:
            while len(self._verdicts) >= _QUEUE and not self.fault:
                self._changed.wait(1.0)
            if len(self._verdicts) >= _HELD:
                self._verdicts.popleft()
                self._dropped += 1
            self._verdicts.append(verdict)
            self._changed.notify_all()

    def accept(self, seq: int) -> None:
        """The broker has acknowledged a row."""
        with self._changed:
            if not self._accepted:
                self._first_ack = self._environment.tick()
            self._accepted.append(seq)
            if len(self._accepted) == 1:
                self._changed.notify_all()

    def park(self, seq: int, reason: str) -> None:
        """The broker will never take a row."""
        with self._changed:
            self._parked.append((seq, reason))
            self._changed.notify_all()

    def stats(self) -> OutboxStats:
        """The outbox after its last commit, memory's losses included."""
        with self._changed:
            s = self._stats
            return OutboxStats(
                s.rows, s.bytes, s.oldest, s.stored, s.acked, s.dropped + self._dropped, s.parked
            )

    def flush(self, timeout: float) -> None:
        """Returns when every verdict that was submitted is on disk, or the disk refuses, or after
        `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self.fault) or not (self._verdicts or self._writing), timeout
            )

    def close(self) -> None:
        """Asks the thread to write what it has and to end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def run(self) -> None:
        """Until closed and empty. A disk that refuses is tried again; at the end, once more."""
        while True:
            with self._changed:
                while not self._due():
                    self._changed.wait(_ACK_DELAY_S / 4)
                    self.beat = self._environment.tick()
                closing = self._closing
                verdicts, self._verdicts = self._verdicts, deque()
                accepted, self._accepted = self._accepted, []
                parked, self._parked = self._parked, []
                self._writing = True
                self._changed.notify_all()
            stored = self._write(verdicts, accepted, parked)
            if closing and (not stored or not self._anything()):
                self._report_unwritten()
                return

    def _due(self) -> bool:
        if self._closing or self._verdicts or self._parked:
            return True
        waited = self._environment.tick() - self._first_ack
        return bool(self._accepted) and waited >= _ACK_DELAY_S

    def _anything(self) -> bool:
        with self._changed:
            return bool(self._verdicts or self._accepted or self._parked)

    def _write(
        self, verdicts: deque[Verdict], accepted: list[int], parked: list[tuple[int, str]]
    ) -> bool:
        try:
            now = self._environment.now()
            numbers = self._outbox.apply(list(verdicts), accepted, parked, now)
        except OutboxError as error:
            self._put_back(verdicts, accepted, parked, str(error))
            return False
        except Exception as error:  # outermost loop: a fault of ours must not end the thread
            log.exception("outbox: unexpected fault")
            self._put_back(verdicts, accepted, parked, f"internal fault ({error!r})")
            return False
        self.on_commit(list(verdicts), numbers)
        stats = self._stats
        with contextlib.suppress(OutboxError):  # what is committed must not be written again
            stats = self._outbox.stats()
        with self._changed:
            self._stats = stats
            self.beat = self._environment.tick()
            if self.fault:
                log.warning(
                    "outbox: the disk takes verdicts again; %d were dropped meanwhile",
                    self._dropped,
                )
                self.fault = ""
            self._writing = False
            self._changed.notify_all()
        if verdicts:
            self.on_stored()
        return True

    def _put_back(
        self,
        verdicts: deque[Verdict],
        accepted: list[int],
        parked: list[tuple[int, str]],
        why: str,
    ) -> None:
        with self._changed:
            self._verdicts.extendleft(reversed(verdicts))
            self._accepted[:0] = accepted
            self._parked[:0] = parked
            if not self.fault:
                log.error("%s; verdicts are held in memory meanwhile", why)
            self.fault = why
            self._writing = False
            self.beat = self._environment.tick()
            self._changed.notify_all()
            if not self._closing:
                self._changed.wait_for(lambda: self._closing, _RETRY_S)

    def _report_unwritten(self) -> None:
        with self._changed:
            if self._verdicts:
                log.error(
                    "outbox: %d verdicts could not be written and are lost", len(self._verdicts)
                )
