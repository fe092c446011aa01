"""Injects faults into the box, its disk, file, clock, network and broker, and repairs them."""

import random
import signal
import time
from collections.abc import Callable

from tests.loss import outboxfile
from tests.loss.boxes import NO_LIMIT
from tests.loss.rig import Rig
from tests.loss.schedule import FILE, Event

_YEAR_S = 365.25 * 86400
_DAMAGES = {
    "flipped_bytes": outboxfile.flip_bytes,
    "torn_tail": outboxfile.tear_tail,
    "lost_tail": outboxfile.lose_tail,
}
_REFUSALS = ((3, 0x88), (4, 0x86), (5, 0x87), (2, 0x85), (3, 0x89), (5, 0x97))


class FaultInjector:
    """Applies the events of a schedule, and keeps the repairs that are due."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self._rig = rig
        self._chance = random.Random(f"round {seed}")
        self._open: list[Callable[[], None]] = []

    @property
    def lasting(self) -> bool:
        """Whether an earlier fault is not repaired yet."""
        return bool(self._open)

    def apply(self, event: Event) -> None:
        """Applies a fault now. The box runs afterwards."""
        kind = event.kind
        if kind.startswith("box_"):
            self._upset_box(event)
        elif kind.startswith("broker_"):
            self._upset_broker(event)
        elif kind.startswith("disk_"):
            self._upset_disk(event)
        elif kind in FILE:
            self._damage(event)
        elif kind == "clock_jump":
            self._jump(event)
        else:
            self._upset_network(event)
        self._rig.ensure_alive()

    def _upset_box(self, event: Event) -> None:
        if event.kind == "box_stop":
            self.heal()
            self._rig.stop()
            self._rig.start()
        elif event.kind == "box_freeze":
            self._rig.boxes.signal(signal.SIGSTOP)
            wait(event.hold_s)
            self._rig.boxes.signal(signal.SIGCONT)
            self._rig.boxes.lives[-1].frozen += event.hold_s
        else:
            self._rig.kill()
            wait(event.hold_s * event.amount)
            self._rig.start()

    def _upset_broker(self, event: Event) -> None:
        if event.kind == "broker_freeze":
            self._rig.broker.freeze()
            self._later(event, self._rig.broker.thaw)
            return
        self.heal()
        self._rig.broker.kill()
        self._rig.subscriber.lost()
        wait(event.hold_s)
        # What the broker takes before the plant is back would hang on the broker's disk, which is
        # not under test.
        self._rig.proxy.behave(closed=True)
        self._rig.broker.start()
        self._rig.subscriber.wait()
        self._rig.proxy.behave(closed=False)

    def _upset_disk(self, event: Event) -> None:
        self._rig.facts.held.add(self._rig.boxes.lives[-1].number)
        if event.kind == "disk_limit":
            self._rig.boxes.limit_files(
                outboxfile.largest(self._rig.outbox) + int(event.amount * 20_000)
            )
            self._later(event, lambda: self._rig.boxes.limit_files(NO_LIMIT))
        elif event.kind == "disk_full":
            self._rig.disk.fill()
            self._later(event, self._rig.disk.free)
        else:
            self.heal()  # a read-only disk allows no other repair first
            self._rig.disk.break_down()
            wait(event.hold_s)
            if event.amount < 0.5:
                self._rig.boxes.signal(signal.SIGTERM)
                if self._rig.boxes.wait_end() is None:
                    self._rig.fault("the box does not end after SIGTERM on a read-only disk")
            self._rig.boxes.kill()
            self._rig.disk.repair()
            self._rig.after_death()
            self._rig.start()

    def _damage(self, event: Event) -> None:
        self.heal()
        if event.amount * 10 % 1 < 0.7:  # an outage, so that there is something to damage
            self._rig.proxy.behave(closed=True)
            self._rig.proxy.cut()
            goal = self._rig.boxes.given + 5 * event.after
            self._rig.boxes.wait_until(lambda: self._rig.boxes.given >= goal, 3.0)
            self._open.append(lambda: self._rig.proxy.behave(closed=False))
        if event.amount < 0.3:
            self._rig.stop()
        else:
            self._rig.kill()
        rows = self._rig.after_death()
        before = {row.id: row.seq for row in rows}
        done = _DAMAGES[event.kind](self._rig.outbox, self._chance)
        if event.kind == "lost_tail":
            for row in outboxfile.read(self._rig.outbox) or []:
                before.pop(row.id, None)
            self._rig.facts.unwritten.update(before)
        else:
            self._rig.facts.exposed.update(before)
            if self._rig.facts.damaged_in is None:
                self._rig.facts.damaged_in = len(self._rig.boxes.lives)
        with (self._rig.folder / "damage.txt").open("a") as file:
            file.write(f"{event.kind}: {done}, {len(rows)} verdicts in it\n")
        self._rig.start()

    def _jump(self, event: Event) -> None:
        self._rig.boxes.shift_clock(_YEAR_S if event.amount < 0.5 else -_YEAR_S)
        if event.amount * 10 % 1 < 0.5:
            self._later(event, lambda: self._rig.boxes.shift_clock(0.0))

    def _upset_network(self, event: Event) -> None:
        proxy, amount = self._rig.proxy, event.amount
        match event.kind:
            case "net_cut":
                proxy.cut()
            case "net_half_close":
                proxy.half_close(to_box=amount < 0.5)
                self._later(event, proxy.cut if amount * 10 % 1 < 0.7 else lambda: None)
            case "net_stall":
                proxy.behave(stall_to_broker=amount < 0.7, stall_to_box=amount > 0.3)
                self._later(event, self._pass_or_cut(amount))
            case "net_throttle":
                proxy.behave(bytes_per_s=500 + amount * 20_000)
                self._later(event, proxy.reset_behaviour)
            case "net_deaf" | "cap":
                proxy.behave(silent=True)
                proxy.cut()
                self._later(event, self._pass_or_cut(0.0))
            case "connack_refused":
                proxy.behave(refuse=_REFUSALS[int(amount * len(_REFUSALS))])
                proxy.cut()
                self._later(event, proxy.reset_behaviour)
            case _:
                reason = 0x97 if event.kind == "puback_quota" else 0x87
                proxy.behave(answers=[reason] * (1 + int(amount * 30)))

    def _pass_or_cut(self, amount: float) -> Callable[[], None]:
        def heal() -> None:
            self._rig.proxy.reset_behaviour()
            if amount * 10 % 1 < 0.5:
                self._rig.proxy.cut()

        return heal

    def _later(self, event: Event, heal: Callable[[], None]) -> None:
        """Repairs after the duration of the fault, or leaves it to overlap with the next fault."""
        if event.amount * 100 % 1 < 0.5:
            wait(event.hold_s)
            heal()
        else:
            self._open.append(heal)

    def heal(self) -> None:
        """Repairs all faults."""
        while self._open:
            self._open.pop()()


def wait(seconds: float) -> None:
    """Waits for exactly this time, down to microseconds: the schedule sets it, no event does."""
    until = time.perf_counter() + seconds
    if seconds > 0.002:
        time.sleep(seconds - 0.001)
    while time.perf_counter() < until:
        pass
