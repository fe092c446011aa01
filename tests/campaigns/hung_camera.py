"""One camera driver hangs repeatedly. Checks that no other camera loses a picture because of it.

    python -m tests.campaigns.hung_camera --hangs 20

Four cameras, each in a process, share one mailbox and one judge, as in the daemon. Three draw the
number of each picture into it; the judged numbers must be 2, 3, 4 … (the first picture only gives
the size). The fourth hangs after each second of pictures and must recover. The same time without
hangs follows as a control. Exit code 1 when a number is missing or duplicated in either phase, or
when the hung camera does not recover.
"""

import argparse
import logging
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from edge.capture.camera import Camera
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.capture.reader import Reader
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.frame import Frame
from edge.inspection.inspector import Overrides, load_inspector
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.mailbox import Mailbox
from tests.edge.capture.faulty import life_and_count, number_of

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
FAULTY = "tests.edge.capture.faulty"
OTHERS = ("left", "right", "above")
_FPS, _TIMEOUT_S = 10, 1.0
_LIMIT_S = 60.0  # for the recovery from one hang


@dataclass
class Judged:
    """The judged numbers of each camera in order, and its errors."""

    numbers: dict[str, list[int]] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)


class CameraRig:
    """The cameras and the judge. `steps` is the script of the fourth camera per process."""

    def __init__(self, steps: str) -> None:
        self.judged, self.mailbox, self.stop = Judged(), Mailbox(), StopEvent()
        self._fork_server = ForkServerClient()
        sources = dict.fromkeys(OTHERS, "good") | {"hung": steps}
        self.readers = {name: self._reader(name, rest) for name, rest in sources.items()}
        environment = Clock()
        inspector = load_inspector(MODEL, Overrides(), "auto", 1)
        self._judge = Judge(inspector, Provenance("bench", "0" * 12, "b"), environment, 2000)
        self._threads = [threading.Thread(target=r.run) for r in self.readers.values()]
        self._inspection = threading.Thread(target=self._inspect)
        for thread in (*self._threads, self._inspection):
            thread.start()

    def _reader(self, name: str, rest: str) -> Reader:
        config = CameraConfig.read(
            {
                "id": name,
                "source": f"v4l2:{rest}",
                "fps": _FPS,
                "timeout_s": _TIMEOUT_S,
                "open_timeout_s": 30,
                "settle_steady": False,
            }
        )
        environment = Clock()

        def opener() -> Camera:
            return IsolatedCamera(config, environment, self._fork_server, FAULTY)

        return Reader(config, opener, self.mailbox, environment, self.stop, first_pause_s=0.2)

    def _inspect(self) -> None:
        while not self.mailbox.drained:
            frame = self.mailbox.take(0.2)
            if not isinstance(frame, Frame):
                continue
            if self._judge(frame).verdict == "error" or frame.pixels is None:
                self.judged.errors[frame.camera] = self.judged.errors.get(frame.camera, 0) + 1
                continue
            number = life_and_count(number_of(frame.pixels))[1]
            self.judged.numbers.setdefault(frame.camera, []).append(number)

    def hangs(self) -> int:
        """The number of hangs of the fourth camera that are over."""
        reader = self.readers["hung"]
        return min(reader.reconnects, self.judged.numbers.get("hung", []).count(2) - 1)

    def close(self) -> None:
        """Stops the cameras, then the judge."""
        self.stop.set()
        for thread in self._threads:
            thread.join(30)
        self.mailbox.close()
        self._inspection.join(30)
        self._fork_server.close()


def missing(numbers: list[int]) -> list[str]:
    """The places where the judged numbers differ from 2, 3, 4 …"""
    found, expected = [], 2
    for number in numbers:
        if number != expected:
            found.append(f"expected {expected}, got {number}")
        expected = number + 1
    return found


def phase(title: str, steps: str, hangs: int, seconds: float) -> tuple[int, float]:
    """Runs until `hangs` hangs are over, or for `seconds`. Prints the numbers of the other cameras.

    Returns the number of broken rules and the seconds.
    """
    rig, started = CameraRig(steps), time.monotonic()
    while time.monotonic() - started < (seconds or hangs * _LIMIT_S):
        if hangs and rig.hangs() >= hangs:
            break
        time.sleep(0.05)
    took = time.monotonic() - started
    rig.close()
    broken = int(rig.hangs() < hangs)
    print(f"{title}: {rig.hangs()} hangs recovered in {took:.0f} s", flush=True)
    for name in OTHERS:
        numbers, reader = rig.judged.numbers.get(name, []), rig.readers[name]
        gaps = missing(numbers)
        lost = (numbers[-1] - 1 if numbers else 0) - len(numbers)
        broken += bool(gaps) or len(numbers) < 2 or name in rig.judged.errors
        print(
            f"  {name}: pictures 2 to {numbers[-1] if numbers else '-'}, {len(numbers)} judged, "
            f"{lost} missing, {rig.judged.errors.get(name, 0)} errors "
            f"(counters: {reader.passed_over - 1} skipped, "
            f"{rig.mailbox.replaced(name)} replaced)",
            *gaps[:5],
            flush=True,
        )
    return broken, took


def main() -> int:
    """Exit code 1 when a rule is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--hangs", type=int, default=20)
    hangs = parser.parse_args().hangs
    logging.getLogger("edge").setLevel(logging.CRITICAL)
    steps = ",".join(["good"] * _FPS) + ",hang"
    broken, took = phase("one camera hangs", steps, hangs, 0.0)
    broken_without_hangs, _ = phase("the same time without hangs", "good", 0, took)
    print("every picture of the other cameras was judged" if not broken else f"{broken} broken")
    return 1 if broken or broken_without_hangs else 0


if __name__ == "__main__":
    sys.exit(main())
