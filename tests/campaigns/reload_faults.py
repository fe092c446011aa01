"""One step of each reload fails, while the daemon judges; then the same reload without a fault.

A step is any call of a function of edge on the reload's thread, or the start of a thread: found by
profiling, not by a list. The exceptions are OSError, MemoryError and one of the test.

After each failed reload the old configuration must run whole: every camera gives verdicts with the
old hash, by the trigger and on the wires too, no thread is missing, and the watchdog is fed. A
fault after the change has been made may leave the new configuration, whole, and an answer `ok`.

    python -m tests.campaigns.reload_faults --count 200 --seed 7
"""

import argparse
import json
import random
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto
from tests.support.plant import BASE, DEADLINE_S, Plant, draw_many
from tests.support.process import FaultyDaemon
from tests.support.waiting import wait_until

Values = dict[str, Any]
WATCHDOG_S = 20
FED_S = 5.0
MINUTE_S = 60.0


def configurations(folder: Path, port: int) -> tuple[Values, Values]:
    """Two configurations that differ in every section that a reload changes."""
    replay = {"source": f"replay:{folder / 'parts'}", "rate": 20, "loop": 100_000}
    first: Values = {
        "station": "line1",
        "model": {"path": str(folder / "a.tflite"), "labels": ["ok", "red"], "workers": 3},
        "cameras": [
            {"id": "live", "source": "test:", "width": 64, "height": 48, "fps": 10},
            {
                "id": "wired",
                "source": "test:",
                "width": 64,
                "height": 48,
                "fps": 20,
                "trigger": {"kind": "gpio", "pin": 4, "deadline_ms": 60_000},
                "outputs": {"pass": 17, "fail": 27, "pulse_ms": 150},
            },
            {"id": "files", **replay},
        ],
        "decision": {
            "deadline_ms": 60_000,
            "reject_at": 0.5,
            "review_from": 0.4,
            "outputs": {"alarm": 5, "alive": 6},
            "alarm": {"errors": 1000},
        },
        "mqtt": {"port": port},
        "archive": {"enabled": False, "path": str(folder / "kept"), "keep": ["fail"]},
        "outbox": {"path": str(folder / "state" / "outbox.db")},
        "health": {"interval_s": 0.5},
        "log": {"level": "info"},
    }
    second: Values = json.loads(json.dumps(first))
    second["model"]["path"] = str(folder / "b.tflite")
    second["cameras"][1]["trigger"]["pin"] = 22
    second["cameras"][1]["outputs"] = {"pass": 17, "fail": 4, "busy": 23, "pulse_ms": 150}
    second["cameras"][2]["rate"] = 25
    second["cameras"] += [{"id": "more", "source": "test:", "width": 64, "height": 48, "fps": 10}]
    second["decision"].update(reject_at=0.6, review_from=0.3, alarm={"errors": 900})
    second["decision"]["outputs"] = {"alarm": 6, "alive": 5}
    second["archive"]["enabled"] = True
    second["mqtt"]["keepalive_s"] = 30
    second["health"]["interval_s"] = 0.6
    second["log"]["level"] = "warning"
    return first, second


class Watchdog:
    """systemd's socket; knows when it was last fed."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.fed_at = time.monotonic()
        self.longest_s = 0.0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        while True:
            if b"WATCHDOG=1" in self._socket.recv(4096):
                now = time.monotonic()
                self.longest_s = max(self.longest_s, now - self.fed_at)
                self.fed_at = now


class Session:
    """The daemon, its broker and its plant."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        draw_many(folder / "parts", 40)
        shutil.copy(MODELS / "redness.tflite", folder / "a.tflite")
        shutil.copy(MODELS / "plain.tflite", folder / "b.tflite")
        self.broker = Mosquitto(folder / "broker", "allow_anonymous true", "persistence false")
        self.broker.start()
        self.configs = configurations(folder, self.broker.port)
        self.current = 0
        self.hashes: dict[int, str] = {}
        self.reload_ms: list[float] = []
        self.transaction = 0
        self.watchdog = Watchdog(folder)
        self.daemon = FaultyDaemon(folder, "reload")
        self._write(0)
        self._set_fault(0)
        pins = [values["cameras"][1]["trigger"]["pin"] for values in self.configs]
        self.daemon.write("pins", json.dumps(pins))
        self.plant = Plant(self.broker.port)
        self.daemon.start(NOTIFY_SOCKET=str(self.watchdog.path), WATCHDOG_USEC="20000000")
        self.plant.wait_for_results(10)
        self.hashes[0] = self.plant.bodies("info")[-1]["config"]

    def close(self) -> None:
        """Ends all."""
        self.daemon.close()
        self.plant.close()
        self.broker.close()

    def steps(self) -> list[str]:
        """The steps of a good reload, in order, both ways."""
        found: list[str] = []
        for _ in range(2):
            answer = self.reload(1 - self.current)
            assert answer["status"] == "ok", answer
            self._adopted(answer)
            found = self.daemon.faults()[-1]["steps"]
        return found

    def round(self, number: int) -> tuple[str, list[str]]:
        """A reload whose step fails. Returns the step and all that is wrong afterwards."""
        self._set_fault(number)
        answer = self.reload(1 - self.current)
        self._set_fault(0)
        failed = self.daemon.faults()[-1]["failed"]
        wrong = []
        if answer["status"] == "ok":
            self._adopted(answer)
        elif failed is None:
            wrong.append(f"refused without a fault: {answer['error']}")
        wrong += self.runs_whole()
        answer = self.reload(1 - self.current)
        if answer["status"] == "ok":
            self._adopted(answer)
            wrong += [f"after the next reload: {text}" for text in self.runs_whole()]
        else:
            wrong.append(f"the next reload is refused: {answer['error']}")
        return failed or "none", wrong

    def runs_whole(self) -> list[str]:
        """What of the current configuration does not run."""
        values, wanted = self.configs[self.current], self.hashes[self.current]
        cameras = [camera["id"] for camera in values["cameras"]]
        seen = len(self.plant.bodies("result"))
        healths = len(self.plant.bodies("health"))
        pulses = self.daemon.high()
        wrong = []

        def missing() -> set[str]:
            bodies = self.plant.bodies("result")[seen:]
            return set(cameras) - {
                body["camera"]
                for body in bodies
                if body["config"] == wanted and body["verdict"] != "error"
            }

        def dark() -> list[int]:
            outputs = values["cameras"][1]["outputs"]
            pins = [outputs["pass"], outputs["fail"], values["decision"]["outputs"]["alive"]]
            now = self.daemon.high()
            answers = sum(now[str(pin)] - pulses[str(pin)] for pin in pins[:2])
            alive = now[str(pins[2])] - pulses[str(pins[2])]
            return [] if answers and alive else pins

        for what, condition in (
            ("verdicts of every camera", lambda: not missing()),
            ("pulses on the wires", lambda: not dark()),
            ("health", lambda: len(self.plant.bodies("health")) > healths + 1),
        ):
            try:
                wait_until(condition, what, 20.0)
            except AssertionError as error:
                wrong.append(f"{error}; missing: {sorted(missing())}, dark: {dark()}")
        health = self.plant.bodies("health")[-1]
        if sorted(health["cameras"]) != sorted(cameras):
            wrong.append(f"health has the cameras {sorted(health['cameras'])}")
        wrong += [fault for fault in health["faults"] if not fault.startswith(_EXPECTED)]
        age_s = time.monotonic() - self.watchdog.fed_at
        if age_s > FED_S:
            wrong.append(f"the watchdog was fed {age_s:.1f} s ago")
        return wrong

    def reload(self, which: int) -> Values:
        """Requests a reload of that configuration. Returns the answer."""
        self._write(which)
        self.transaction += 1
        name = str(self.transaction)
        started = time.monotonic()
        self.plant.publish(f"{BASE}/request/reload", json.dumps({"transaction": name}).encode())
        found: list[Values] = []

        def answered() -> bool:
            bodies = self.plant.bodies("response/reload")
            found[:] = [body for body in bodies if body["transaction"] == name]
            return bool(found)

        wait_until(answered, f"an answer to reload {name}", DEADLINE_S)
        self.reload_ms.append((time.monotonic() - started) * 1000)
        return found[0]

    def _adopted(self, answer: Values) -> None:
        self.current = 1 - self.current
        self.hashes[self.current] = answer["data"]["config"]

    def _write(self, which: int) -> None:
        self.daemon.write("config.yaml", yaml.safe_dump(self.configs[which]))

    def _set_fault(self, number: int) -> None:
        self.daemon.write("fault", str(number))


# of the machine that runs the campaign, and the last refused reload
_EXPECTED = (
    "new configuration refused",
    "verdicts: the ",  # an accessory of a frame that the step itself has judged
    "clock:",
    "memory:",
    "disk:",
    "temperature:",
    "processor:",
    "power:",
)


def chosen_steps(steps: list[str], count: int, rng: random.Random) -> list[int]:
    """`count` numbers of steps: the first of every function, then others by chance."""
    first: dict[str, int] = {}
    for number, name in enumerate(steps, 1):
        first.setdefault(name, number)
    numbers = list(first.values())
    rng.shuffle(numbers)
    rest = list(set(range(1, len(steps) + 1)) - set(numbers))
    rng.shuffle(rest)
    return (numbers + rest)[:count]


def main() -> int:
    """Prints the table. Exit code 1 when a reload was not all or nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder), arguments.seed)
        try:
            return _run(session, arguments.count)
        finally:
            session.close()


def _run(session: Session, count: int) -> int:
    assert session.daemon.process is not None
    process = psutil.Process(session.daemon.process.pid)
    steps = session.steps()
    begun = time.monotonic()
    numbers = chosen_steps(steps, count, session.rng)
    functions = len(set(steps))
    print(f"{len(steps)} steps, {functions} functions; {len(numbers)} rounds", flush=True)
    threads, files = process.num_threads(), process.num_fds()
    memory = process.memory_info().rss
    outcomes: Counter[str] = Counter()
    wrong: list[str] = []
    for number in numbers:
        before = session.current
        failed, found = session.round(number)
        outcomes["refused, old whole" if session.current == 1 - before else "done, new whole"] += 1
        wrong += [f"step {number}, {failed}: {text}" for text in found]
        for text in found:
            print(f"WRONG step {number}, {failed}: {text}", flush=True)
    left_s = MINUTE_S - (time.monotonic() - begun)
    if left_s > 0:  # a worker that was never started would starve the watchdog by now
        time.sleep(min(left_s, 2 * WATCHDOG_S))
    wrong += session.runs_whole()
    grown = (process.memory_info().rss - memory) / 2**20
    more = process.num_threads() - threads, process.num_fds() - files
    session.daemon.terminate()
    code = session.daemon.exit_code()
    stored = session.daemon.last_seq()
    missing = set(range(1, stored + 1)) - set(session.plant.wait_for_results(stored))
    print(dict(outcomes))
    print(
        f"{stored} verdicts, {len(missing)} missing, {len(wrong)} wrong, exit code {code}; longest "
        f"without food {session.watchdog.longest_s:.1f} s; memory {grown:+.1f} MB, threads "
        f"{more[0]:+d}, files {more[1]:+d}; reload p50 {statistics.median(session.reload_ms):.0f} "
        f"ms, longest {max(session.reload_ms):.0f} ms"
    )
    for line in wrong[:20]:
        print(f"WRONG {line}")
    return int(bool(wrong or missing or code or session.watchdog.longest_s > WATCHDOG_S / 2))


if __name__ == "__main__":
    sys.exit(main())
