"""What is done to the box, its disk, its file, its clock, its network and its broker, and how it
is made well again."""

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


class Mischief:
    """Knows what is still to be healed."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self._world = rig
        self._chance = random.Random(f"round {seed}")
        self._open: list[Callable[[], None]] = []

    @property
    def lasting(self) -> bool:
        """Whether something done earlier is not healed yet."""
        return bool(self._open)

    def apply(self, event: Event) -> None:
        """Does it now. The box lives afterwards."""
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
        self._world.ensure_alive()

    def _upset_box(self, event: Event) -> None:
        if event.kind == "box_stop":
            self.heal()
            self._world.stop()
            self._world.start()
        elif event.kind == "box_freeze":
            self._world.boxes.signal(signal.SIGSTOP)
            wait(event.hold_s)
            self._world.boxes.signal(signal.SIGCONT)
            self._world.boxes.lives[-1].frozen += event.hold_s
        else:
            self._world.kill()
            wait(event.hold_s * event.amount)
            self._world.start()

    def _upset_broker(self, event: Event) -> None:
        if event.kind == "broker_freeze":
            self._world.broker.freeze()
            self._later(event, self._world.broker.thaw)
            return
        self.heal()
        self._world.broker.kill()
        self._world.subscriber.lost()
        wait(event.hold_s)
        # What the broker takes before the plant is back would hang on the broker's disk, which is
        # not under test.
        self._world.proxy.behave(closed=True)
        self._world.broker.start()
        self._world.subscriber.wait()
        self._world.proxy.behave(closed=False)

    def _upset_disk(self, event: Event) -> None:
        self._world.facts.held.add(self._world.boxes.lives[-1].number)
        if event.kind == "disk_limit":
            self._world.boxes.limit_files(
                outboxfile.largest(self._world.outbox) + int(event.amount * 20_000)
            )
            self._later(event, lambda: self._world.boxes.limit_files(NO_LIMIT))
        elif event.kind == "disk_full":
            self._world.disk.fill()
            self._later(event, self._world.disk.free)
        else:
            self.heal()  # a read-only disk takes no mend but its own
            self._world.disk.break_down()
            wait(event.hold_s)
            if event.amount < 0.5:
                self._world.boxes.signal(signal.SIGTERM)
                if self._world.boxes.wait_end() is None:
                    self._world.fault("the box does not end after SIGTERM on a read-only disk")
            self._world.boxes.kill()
            self._world.disk.mend()
            self._world.after_death()
            self._world.start()

    def _damage(self, event: Event) -> None:
        self.heal()
        if event.amount * 10 % 1 < 0.7:  # an outage, so that there is something to damage
            self._world.proxy.behave(closed=True)
            self._world.proxy.cut()
            goal = self._world.boxes.given + 5 * event.after
            self._world.boxes.wait_until(lambda: self._world.boxes.given >= goal, 3.0)
            self._open.append(lambda: self._world.proxy.behave(closed=False))
        if event.amount < 0.3:
            self._world.stop()
        else:
            self._world.kill()
        rows = self._world.after_death()
        before = {row.id: row.seq for row in rows}
        done = _DAMAGES[event.kind](self._world.outbox, self._chance)
        if event.kind == "lost_tail":
            for row in outboxfile.read(self._world.outbox) or []:
                before.pop(row.id, None)
            self._world.facts.unwritten.update(before)
        else:
            self._world.facts.exposed.update(before)
            if self._world.facts.damaged_in is None:
                self._world.facts.damaged_in = len(self._world.boxes.lives)
        with (self._world.folder / "damage.txt").open("a") as file:
            file.write(f"{event.kind}: {done}, {len(rows)} verdicts in it\n")
        self._world.start()

    def _jump(self, event: Event) -> None:
        self._world.boxes.shift_clock(_YEAR_S if event.amount < 0.5 else -_YEAR_S)
        if event.amount * 10 % 1 < 0.5:
            self._later(event, lambda: self._world.boxes.shift_clock(0.0))

    def _upset_network(self, event: Event) -> None:
        proxy, amount = self._world.proxy, event.amount
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
            self._world.proxy.reset_behaviour()
            if amount * 10 % 1 < 0.5:
                self._world.proxy.cut()

        return heal

    def _later(self, event: Event, heal: Callable[[], None]) -> None:
        """Heals after the time the fault lasts, or leaves it so that the next one falls into it."""
        if event.amount * 100 % 1 < 0.5:
            wait(event.hold_s)
            heal()
        else:
            self._open.append(heal)

    def heal(self) -> None:
        """All is well again."""
        while self._open:
            self._open.pop()()


def wait(seconds: float) -> None:
    """Exactly so long, down to microseconds: a schedule's times are its own, not a wait for
    something to happen."""
    until = time.perf_counter() + seconds
    if seconds > 0.002:
        time.sleep(seconds - 0.001)
    while time.perf_counter() < until:
        pass
