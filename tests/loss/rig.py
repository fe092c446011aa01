"""The test rig of one round: disk, broker, subscriber, proxy and box, all new except the process
that starts boxes; and the facts that are gathered about them."""

import contextlib
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import yaml

from edge.config.schema import OutboxConfig
from tests.loss import outboxfile
from tests.loss.boxes import Boxes
from tests.loss.disk import Card, Disk, Memory
from tests.loss.oracle import Facts
from tests.loss.schedule import Schedule
from tests.loss.subscriber import Subscriber
from tests.support.mosquitto import Mosquitto
from tests.support.proxy import Proxy

_LOSSES = re.compile(
    r"saved, at most (\d+) lost|; at most (\d+) verdicts are lost|"
    r": (\d+) verdicts not stored: other verdicts have their numbers"
)
_UNOPENED = re.compile(r"the outbox cannot be opened .*; verdicts are sent from memory$", re.M)
MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"


class Rig:
    """Its methods act on the box as a whole: start, stop, kill, read its outbox."""

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
        any_age: bool = False,
    ) -> None:
        """`folder`: what is kept when the round fails. `any_age`: the level's window is measured,
        but not judged."""
        self.folder, self.boxes, self.schedule = folder, boxes, schedule
        self._level, self._broken = level, broken
        self.facts = Facts()
        self._log_at: list[int] = []  # bytes of the log at the start of each life
        if level == "balanced" and not any_age:
            self.facts.window_s = OutboxConfig().window_ms / 1000
        folder.mkdir(parents=True)
        make: type[Disk] = Disk
        if mounts:
            make = Card if "disk_readonly" in schedule.kinds() else Memory
        self.disk = make(folder / "disk")
        self.outbox = folder / "disk" / "outbox.db"
        self._empty = folder / "empty"
        self._empty.mkdir()
        self.broker = Mosquitto(folder / "broker")
        self.broker.start()
        self.subscriber = Subscriber(self.broker.port, "inspection/#")
        self.proxy = Proxy(self.broker.port)
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

    def start(self, config: str = "box.yaml") -> None:
        """A life of the box; does not wait for it."""
        log = self.folder / "box.log"
        self._log_at.append(log.stat().st_size if log.exists() else 0)
        self.boxes.start(
            {
                "config": str(self.folder / config),
                "log": str(self.folder / "box.log"),
                "broken": self._broken,
                "outbox": str(self.outbox),
            }
        )

    def ensure_alive(self) -> None:
        """A box that ended by itself has failed, whatever was done to it."""
        if self.boxes.alive:
            return
        code = self.boxes.wait_end()
        if code != -signal.SIGKILL:
            self.fault(f"the box ended by itself with {code}: {self._last_words()}")
        self.after_death()
        self.start()

    def kill(self) -> None:
        """`kill -9`."""
        if self.boxes.alive:
            self.boxes.kill()
        else:
            self.ensure_alive()
            self.boxes.kill()
        self.after_death()

    def stop(self) -> None:
        """SIGTERM, as systemd stops it."""
        self.ensure_alive()
        self.boxes.signal(signal.SIGTERM)
        code = self.boxes.wait_end()
        if code is None:
            self.fault("the box does not end after SIGTERM")
            self.boxes.kill()
        elif code != 0 and (code != -signal.SIGTERM or self.boxes.lives[-1].given):
            # (before it listens for SIGTERM, the signal ends it like any program)
            self.fault(f"the box ended with {code} after SIGTERM: {self._last_words()}")
        self.after_death()

    def after_death(self) -> list[outboxfile.Waiting]:
        """What stands in the file now; noted as stored."""
        rows = outboxfile.read(self.outbox)
        if rows is None:
            return []
        rows = [row for row in rows if not row.id.startswith(outboxfile.UNREADABLE)]
        life = self.boxes.lives[-1]
        if rows and life.code == -signal.SIGKILL and life.commit is not None:
            self.facts.interrupted[life.number] = rows[0].seq
        self.facts.on_disk.update({row.id: row.seq for row in rows})
        return rows

    def _last_words(self) -> str:
        log = self.folder / "box.log"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        return lines[-1] if lines else "no word"

    def _reported_lost(self) -> int:
        """How many verdicts the box says, in its log, that a damaged file has perhaps cost."""
        log = self.folder / "box.log"
        text = log.read_text(errors="replace") if log.exists() else ""
        return sum(int(next(filter(None, found))) for found in _LOSSES.findall(text))

    def _unopened(self) -> set[int]:
        """The lives that said at their start that they could not open the outbox."""
        log = self.folder / "box.log"
        raw = log.read_bytes() if log.exists() else b""
        ends = [*self._log_at[1:], len(raw)]
        texts = [raw[at:end].decode(errors="replace") for at, end in zip(self._log_at, ends)]
        starts = (text.partition(" ready: ")[0] for text in texts)
        return {number for number, text in enumerate(starts) if _UNOPENED.search(text)}

    def fault(self, sentence: str) -> None:
        """Something that must not happen, once."""
        if sentence not in self.facts.faults:
            self.facts.faults.append(sentence)

    def _write_config(self, name: str, cameras: list[dict[str, Any]]) -> None:
        outbox: dict[str, Any] = {"path": str(self.outbox), "max_mb": self.schedule.max_mb}
        outbox["durability"] = self._level
        values = {
            "station": "line1",
            "model": {"path": str(MODEL)},
            "cameras": cameras,
            "decision": {"deadline_ms": 60_000},
            "mqtt": {
                "port": self.proxy.port,
                "keepalive_s": 5,
                "version": self.schedule.version,
            },
            "health": {"interval_s": 0.5},
            "outbox": outbox,
            # on the same disk, so that history and evidence meet each fault of it
            "archive": {
                "enabled": True,
                "path": str(self.outbox.parent / "archive"),
                "keep": ["pass", "review", "fail"],
                "max_mb": 1,
                "min_free_mb": 1,
            },
            "log": {"level": "debug"},
        }
        (self.folder / name).write_text(yaml.safe_dump(values), encoding="utf-8")

    def close(self) -> None:
        """All facts are in; everything goes but the folder."""
        with contextlib.suppress(OSError, TimeoutError):  # then what is missing is judged as lost
            self.subscriber.catch_up()  # its thread may be behind what the broker has written
        self.facts.lives = list(self.boxes.lives)
        self.facts.reported_lost = self._reported_lost()
        self.facts.unopened = self._unopened()
        self.facts.arrivals = list(self.subscriber.arrivals)
        self.facts.refused = dict(self.proxy.recorder.refused)
        if self.boxes.alive:
            self.boxes.signal(signal.SIGCONT)
            self.boxes.kill()
        self.proxy.close()
        self.subscriber.close()
        if self.outbox.parent.exists():
            shutil.copytree(
                self.outbox.parent,
                self.folder / "outbox-at-the-end",
                ignore=shutil.ignore_patterns("lost+found", "filler", "api.sock", "archive"),
            )
        self.broker.close()
        self.disk.close()
