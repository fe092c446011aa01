"""New model versions on a running daemon: worse ones must go back by themselves within their
probation, good ones must stay.

    python -m tests.campaigns.model_probation --rounds 10

Each round activates each kind of version over redness@1, which has judged before: one trained on
shuffled labels (its two labels are the wrong way round), one trained in another light (it
standardises pictures that are not), one with swapped thresholds, and a good one. All pass their own
golden pictures. Exit code 1 when one goes the wrong way, or when a verdict is missing.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge.config import load_config
from edge.models import NameRecord, ProbationRecord, open_store
from tests.support.model_versions import version_of_redness, with_true_golden_scores
from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon, Plant, draw
from tests.support.waiting import wait_until

PARTS = 500
_PAST = 600  # verdicts of redness@1 before each switch
_RATE = 100  # pictures a second
_DRAWN = 500
WORSE = ("shuffled labels", "another light", "swapped thresholds")


def content(kind: str, version: str) -> bytes:
    """A model file of this kind."""
    if kind == "shuffled labels":
        return with_true_golden_scores(version_of_redness(version, labels=("red", "ok")))
    if kind == "another light":
        return with_true_golden_scores(version_of_redness(version, standardisation="per_picture"))
    if kind == "swapped thresholds":
        return version_of_redness(version, reject_at=0.9, review_from=0.1)
    return version_of_redness(version)


class Line:
    """A daemon whose model has a name, and an independent subscriber."""

    def __init__(self, folder: Path, plant: Plant, port: int) -> None:
        order = random.Random(1).sample(range(_DRAWN), _DRAWN)  # as parts come on a line
        for place, number in enumerate(order):
            red = int(255 * (number / _DRAWN) ** 3)  # most parts are good
            draw(folder / "parts" / f"{place:04}.png", red)
        self._folder, self.plant = folder, plant
        self.daemon = Daemon(
            folder,
            {
                "station": "line1",
                "model": {"path": "redness"},
                "models": {
                    "path": str(folder / "versions"),
                    "probation": {"parts": PARTS, "false_returns": 0.01},
                },
                "cameras": [
                    {
                        "id": "top",
                        "source": f"replay:{folder / 'parts'}",
                        "rate": _RATE,
                        "loop": 1_000_000,
                    }
                ],
                "mqtt": {"host": "127.0.0.1", "port": port},
            },
        )

    def models(self, *arguments: str) -> str:
        """`edge-inspect models`."""
        command = [sys.executable, "-m", "edge", "models", *arguments]
        done = subprocess.run(
            [*command, "-c", str(self.daemon.config)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"models {' '.join(arguments)}: {done.stderr}")
        return done.stdout

    def install(self, kind: str, version: str) -> str:
        """Returns the SHA-256."""
        path = self._folder / f"{version}.tflite"
        path.write_bytes(content(kind, version))
        return str(json.loads(self.models("install", str(path), "--json"))["sha256"])

    def state(self) -> tuple[NameRecord, ProbationRecord | None]:
        """As the store has it."""
        store = open_store(load_config(self.daemon.config))
        return store.record("redness"), store.probation("redness")

    def try_version(self, kind: str, version: str) -> tuple[bool, ProbationRecord]:
        """Whether the version went back, and its probation. The box then judges by redness@1."""
        first = self.state()[0].active
        sha256 = self.install(kind, version)
        self.daemon.wait_for_stored(self.daemon.last_seq() + _PAST)
        self.models("activate", sha256)

        def decided() -> ProbationRecord | None:
            record = self.state()[1]
            ended = ("passed", "returned")
            return record if record and record.sha256 == sha256 and record.state in ended else None

        wait_until(lambda: decided() is not None, f"a decision on {kind}", poll_s=0.1)
        record = decided()
        assert record is not None
        went_back = self.state()[0].active == first
        if not went_back:
            self.models("rollback")
        self.models("remove", sha256)
        return went_back, record


@contextmanager
def running_line() -> Iterator[Line]:
    """A line that judges by redness@1."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        broker = Mosquitto(folder / "broker")
        broker.start()
        plant = Plant(broker.port)
        line = Line(folder, plant, broker.port)
        line.models("activate", line.install("good", "1"))
        line.daemon.start()
        try:
            yield line
        finally:
            line.daemon.close()
            plant.close()
            broker.kill()


def main() -> int:
    """Prints a line for each kind. Exit code 1 when a rule is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    found: dict[str, list[tuple[bool, ProbationRecord]]] = defaultdict(list)
    with running_line() as line:
        for number in range(options.rounds):
            for kind in (*WORSE, "good"):
                version = f"{len(found[kind]) + 2}-{kind.replace(' ', '-')}-{number}"
                found[kind].append(line.try_version(kind, version))
        assert line.daemon.stop() == 0
        stored = line.daemon.last_seq()
        results: dict[int, Any] = line.plant.wait_for_results(stored)
    missing = stored - len(results)
    broken = missing != 0
    for kind, tries in found.items():
        back = sum(went_back for went_back, _ in tries)
        seen = sorted(record.seen for went_back, record in tries if went_back)
        when = f" after {seen[0]} to {seen[-1]} parts" if seen else ""
        print(f"{kind}: {back} of {len(tries)} went back{when}")
        if seen:
            print(f"  {next(record.reason for went_back, record in tries if went_back)}")
        broken |= back != (len(tries) if kind in WORSE else 0)
    print(f"{len(results)} verdicts, {missing} missing")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
