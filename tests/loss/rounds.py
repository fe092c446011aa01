"""One round: a world is built, the schedule is played, everything is healed, and what is left is
sent; then the oracle is asked."""

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from edge.config import OutboxConfig
from tests.loss import outboxfile
from tests.loss.boxes import NO_LIMIT, Boxes
from tests.loss.disk import Card, Disk, Memory
from tests.loss.oracle import Facts, Judgement, judge
from tests.loss.proxy import Proxy
from tests.loss.schedule import Event, Schedule
from tests.loss.subscriber import Subscriber
from tests.system.mosquitto import Mosquitto

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
_YEAR_S = 365.25 * 86400
_DRAIN_S = 30.0
# One group commit holds at most the 256 verdicts that may wait for the disk, 1 KB each with their
# page; while it is made they stand in the log and in the file.
BATCH_BYTES = 2 * 256 * 1024
_REFUSALS = ((3, 0x88), (4, 0x86), (5, 0x87), (2, 0x85), (3, 0x89), (5, 0x97))


class Round:
    """Everything of one round, fresh but for the mother of the boxes."""

    def __init__(
        self,
        folder: Path,
        boxes: Boxes,
        pictures: Path,
        schedule: Schedule,
        *,
        level: str = "strict",
        broken: str = "",
        mounts: bool = False,
    ) -> None:
        """`folder`: what is kept when the round fails."""
        self._folder, self._boxes, self._schedule = folder, boxes, schedule
        self._level, self._broken = level, broken
        self._chance = random.Random(f"round {schedule.seed}")
        self._facts = Facts()
        self._open: list[Callable[[], None]] = []
        folder.mkdir(parents=True)
        make: type[Disk] = Disk
        if mounts:
            make = Card if "disk_readonly" in schedule.kinds() else Memory
        self._disk = make(folder / "disk")
        self._outbox = folder / "disk" / "outbox.db"
        self._empty = folder / "empty"
        self._empty.mkdir()
        self._broker = Mosquitto(folder / "broker")
        self._broker.start()
        self._subscriber = Subscriber(self._broker.port, "inspection/#")
        self._proxy = Proxy(self._broker.port)
        boxes.new_round()
        boxes.shift_clock(0.0)
        self._write_config(
            "box.yaml",
            [
                {"id": f"cam{n}", "source": f"replay:{pictures}"}
                | {"rate": schedule.rate, "loop": 100_000}
                for n in range(schedule.cameras)
            ],
        )
        self._write_config("quiet.yaml", [{"id": "cam0", "source": f"folder:{self._empty}"}])

    def play(self) -> Judgement:
        """Everything in order. What is left behind is away afterwards, but for the folder."""
        capped = "cap" in self._schedule.kinds()
        done = threading.Event()
        sampler = threading.Thread(target=self._sample_sizes, args=(done,), name="sampler")
        if capped:
            self._facts.allowed = int(self._schedule.max_mb * 2**20) + BATCH_BYTES
            sampler.start()
        try:
            self._start()
            for event in self._schedule.events:
                self._wait_for(event)
                self._apply(event)
            self._finish()
        finally:
            done.set()
            if capped:
                sampler.join()
            self._facts.lives = list(self._boxes.lives)
            self._facts.arrivals = list(self._subscriber.arrivals)
            self._facts.refused = dict(self._proxy.refused)
            self._close()
        return judge(self._facts)

    # The box ---------------------------------------------------------------------------------

    def _start(self, config: str = "box.yaml") -> None:
        self._boxes.start(
            {
                "config": str(self._folder / config),
                "log": str(self._folder / "box.log"),
                "broken": self._broken,
                "outbox": str(self._outbox),
            }
        )

    def _ensure_alive(self) -> None:
        """A box that ended by itself has failed, whatever was done to it."""
        if self._boxes.alive:
            return
        code = self._boxes.wait_end()
        if code != -signal.SIGKILL:
            self._fault(f"the box ended by itself with {code}: {self._last_words()}")
        self._after_death()
        self._start()

    def _kill(self) -> None:
        if self._boxes.alive:
            self._boxes.kill()
        else:
            self._ensure_alive()
            self._boxes.kill()
        self._after_death()

    def _stop(self, *, healed: bool = True) -> None:
        """SIGTERM, as systemd stops it."""
        if healed:
            self._heal()
        self._ensure_alive()
        self._boxes.signal(signal.SIGTERM)
        code = self._boxes.wait_end()
        if code is None:
            self._fault("the box does not end after SIGTERM")
            self._boxes.kill()
        elif code != 0 and (code != -signal.SIGTERM or self._boxes.lives[-1].given):
            # (before it listens for SIGTERM, the signal ends it like any program)
            self._fault(f"the box ended with {code} after SIGTERM: {self._last_words()}")
        self._after_death()

    def _after_death(self) -> list[outboxfile.Waiting]:
        rows = outboxfile.read(self._outbox)
        if rows is None:
            return []
        self._facts.on_disk.update({row.id: row.seq for row in rows})
        return rows

    def _last_words(self) -> str:
        log = self._folder / "box.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return lines[-1] if lines else "no word"

    def _fault(self, sentence: str) -> None:
        self._facts.faults.append(sentence)

    # The schedule ----------------------------------------------------------------------------

    def _wait_for(self, event: Event) -> None:
        boxes, proxy = self._boxes, self._proxy
        if event.when == "given":
            goal = boxes.given + event.after
            boxes.wait_until(lambda: boxes.given >= goal, 5.0)
        elif event.when == "stored":
            goal = boxes.said + 1 + event.after // 8
            boxes.wait_until(lambda: boxes.said >= goal, 5.0)
        elif event.when == "sent":
            goal = len(proxy.sent) + event.after
            until = time.monotonic() + (0.5 if self._open else 5.0)
            while len(proxy.sent) < goal and time.monotonic() < until:
                time.sleep(0.0002)
        _wait(event.delay_s)

    def _apply(self, event: Event) -> None:
        kind = event.kind
        if kind.startswith("box_"):
            self._upset_box(event)
        elif kind.startswith("broker_"):
            self._upset_broker(event)
        elif kind.startswith("disk_"):
            self._upset_disk(event)
        elif kind in ("torn_tail", "flipped_bytes"):
            self._damage(event)
        elif kind == "clock_jump":
            self._jump(event)
        else:
            self._upset_network(event)
        self._ensure_alive()

    def _upset_box(self, event: Event) -> None:
        if event.kind == "box_stop":
            self._stop()
            self._start()
        elif event.kind == "box_freeze":
            self._boxes.signal(signal.SIGSTOP)
            _wait(event.hold_s)
            self._boxes.signal(signal.SIGCONT)
        else:
            self._kill()
            _wait(event.hold_s * event.amount)
            self._start()

    def _upset_broker(self, event: Event) -> None:
        if event.kind == "broker_freeze":
            self._broker.freeze()
            self._later(event, self._broker.thaw)
            return
        self._heal()
        self._broker.kill()
        self._subscriber.lost()
        _wait(event.hold_s)
        # What the broker takes before the plant is back would hang on the broker's disk, which is
        # not under test.
        self._proxy.behave(closed=True)
        self._broker.start()
        self._subscriber.wait()
        self._proxy.behave(closed=False)

    def _upset_disk(self, event: Event) -> None:
        self._facts.held.add(self._boxes.lives[-1].number)
        if event.kind == "disk_limit":
            self._boxes.limit_files(outboxfile.largest(self._outbox) + int(event.amount * 20_000))
            self._later(event, lambda: self._boxes.limit_files(NO_LIMIT))
        elif event.kind == "disk_full":
            self._disk.fill()
            self._later(event, self._disk.free)
        else:
            self._heal()  # a read-only disk takes no mend but its own
            self._disk.break_down()
            _wait(event.hold_s)
            if event.amount < 0.5:
                self._boxes.signal(signal.SIGTERM)
                if self._boxes.wait_end() is None:
                    self._fault("the box does not end after SIGTERM on a read-only disk")
            self._boxes.kill()
            self._disk.mend()
            self._after_death()
            self._start()

    def _damage(self, event: Event) -> None:
        if event.amount * 10 % 1 < 0.7:  # an outage, so that there is something to damage
            self._proxy.behave(closed=True)
            self._proxy.cut()
            goal = self._boxes.given + 5 * event.after
            self._boxes.wait_until(lambda: self._boxes.given >= goal, 3.0)
            self._open.append(lambda: self._proxy.behave(closed=False))
        if event.amount < 0.3:
            self._stop(healed=False)
        else:
            self._kill()
        rows = self._after_death()
        self._facts.exposed.update({row.id: row.seq for row in rows})
        work = outboxfile.flip_bytes if event.kind == "flipped_bytes" else outboxfile.tear_tail
        done = work(self._outbox, self._chance)
        with (self._folder / "damage.txt").open("a") as file:
            file.write(f"{event.kind}: {done}, {len(rows)} verdicts in it\n")
        self._start()

    def _jump(self, event: Event) -> None:
        self._boxes.shift_clock(_YEAR_S if event.amount < 0.5 else -_YEAR_S)
        if event.amount * 10 % 1 < 0.5:
            self._later(event, lambda: self._boxes.shift_clock(0.0))

    def _upset_network(self, event: Event) -> None:
        proxy, amount = self._proxy, event.amount
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
                self._later(event, proxy.pass_on)
            case "net_deaf" | "cap":
                proxy.behave(deaf=True)
                proxy.cut()
                self._later(event, self._pass_or_cut(0.0))
            case "connack_refused":
                proxy.behave(refuse=_REFUSALS[int(amount * len(_REFUSALS))])
                proxy.cut()
                self._later(event, proxy.pass_on)
            case _:
                reason = 0x97 if event.kind == "puback_quota" else 0x87
                proxy.behave(answers=[reason] * (1 + int(amount * 30)))

    def _pass_or_cut(self, amount: float) -> Callable[[], None]:
        def heal() -> None:
            self._proxy.pass_on()
            if amount * 10 % 1 < 0.5:
                self._proxy.cut()

        return heal

    def _later(self, event: Event, heal: Callable[[], None]) -> None:
        """Heals after the time the fault lasts, or leaves it so that the next one falls into it."""
        if event.amount * 100 % 1 < 0.5:
            _wait(event.hold_s)
            heal()
        else:
            self._open.append(heal)

    def _heal(self) -> None:
        while self._open:
            self._open.pop()()

    # The end ---------------------------------------------------------------------------------

    def _finish(self) -> None:
        """All is well again: what is stored must come out."""
        self._heal()
        self._proxy.pass_on()
        self._ensure_alive()
        self._stop()
        left = self._left()
        self._facts.parked = sum(row.parked is not None for row in left)
        if left:
            self._start("quiet.yaml")
            until = time.monotonic() + _DRAIN_S
            while outboxfile.count(self._outbox) != 0 and time.monotonic() < until:
                self._ensure_alive()
                time.sleep(0.05)
            self._stop()
            left = self._left()
        self._facts.waiting = left

    def _left(self) -> list[outboxfile.Waiting]:
        rows = outboxfile.read(self._outbox)
        if rows is None:
            self._fault("the outbox cannot be read at the end")
        return rows or []

    def _sample_sizes(self, done: threading.Event) -> None:
        while not done.wait(0.003):
            self._facts.largest = max(self._facts.largest, outboxfile.size(self._outbox))

    def _write_config(self, name: str, cameras: list[dict[str, Any]]) -> None:
        outbox: dict[str, Any] = {"path": str(self._outbox), "max_mb": self._schedule.max_mb}
        if "durability" in OutboxConfig.model_fields:
            outbox["durability"] = self._level
        values = {
            "station": "line1",
            "model": {"path": str(MODEL)},
            "cameras": cameras,
            "decision": {"deadline_ms": 60_000},
            "mqtt": {
                "port": self._proxy.port,
                "keepalive_s": 5,
                "version": self._schedule.version,
            },
            "health": {"interval_s": 0.5},
            "outbox": outbox,
            "log": {"level": "debug"},
        }
        (self._folder / name).write_text(yaml.safe_dump(values), encoding="utf-8")

    def _close(self) -> None:
        if self._boxes.alive:
            self._boxes.signal(signal.SIGCONT)
            self._boxes.kill()
        self._proxy.close()
        self._subscriber.close()
        if os.environ.get("LOSS_KEEP_ALL") or self._outbox.exists():
            shutil.copytree(
                self._outbox.parent,
                self._folder / "outbox-at-the-end",
                ignore=shutil.ignore_patterns("lost+found", "filler"),
            )
        self._broker.close()
        self._disk.close()


def _wait(seconds: float) -> None:
    """Exactly so long, down to microseconds: a schedule's times are its own, not a wait for
    something to happen."""
    until = time.perf_counter() + seconds
    if seconds > 0.002:
        time.sleep(seconds - 0.001)
    while time.perf_counter() < until:
        pass
