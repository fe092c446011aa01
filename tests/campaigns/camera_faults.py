"""Cameras that randomly hang, crash, freeze, go dark, come late or change size. Checks that no
stale or damaged picture gets `pass`, and that every missing picture is counted.

    python -m tests.campaigns.camera_faults --count 10000 --seed 1

Processes, shared memory and judge are real. Only the driver in each process is a fake with the
faults of tests/edge/capture/faulty.py. Exit code 1 when a rule is broken.
"""

import argparse
import logging
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from edge.capture.camera import Camera, CameraRead
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.capture.reader import Reader
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from edge.core.frame import Frame
from edge.inspection.inspector import Overrides, load_inspector
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.mailbox import Mailbox
from tests.edge.capture.faulty import ENDING, life_and_count, number_of, planned

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
FAULTY = "tests.edge.capture.faulty"
_DRAIN_S = 60.0


@dataclass
class ReadRecord:
    """The reads of one camera, recorded independently of the reader's counters."""

    reads: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    counts: dict[int, int] = field(default_factory=dict)  # process number -> counted pictures
    ended: dict[int, str] = field(default_factory=dict)  # process number -> error kind at its end
    problems: list[str] = field(default_factory=list)


class RecordingCamera:
    """Wraps a camera and records every read before the reader gets it."""

    live = True

    def __init__(self, camera: IsolatedCamera, seed: int, life: int, record: ReadRecord) -> None:
        self._camera, self._seed, self._life, self._ledger = camera, seed, life, record
        record.counts[life] = 0

    def read(self, stop: StopEvent) -> CameraRead | None:
        """Reads, and checks that every missing picture is counted."""
        record = self._ledger
        try:
            frame_read = self._camera.read(stop)
        except CameraError as error:
            record.errors[error.kind] += 1
            record.ended[self._life] = error.kind
            raise
        if frame_read is None:
            return None
        record.reads += 1
        record.counts[self._life] += 1 + frame_read.passed_over
        known = record.counts[self._life]
        step = planned(self._seed, self._life, known)
        found = (
            (-1, -1) if frame_read.pixels is None else life_and_count(number_of(frame_read.pixels))
        )
        if step in ("good", "late") and found != (self._life, known):
            record.problems.append(f"life {self._life}: {known} accounted for, but {found} came")
        if (step == "damaged") != (frame_read.pixels is None):
            record.problems.append(
                f"life {self._life} picture {known}: {step}, but {frame_read.fault}"
            )
        return frame_read

    def close(self) -> None:
        """Ends the camera process."""
        self._camera.close()


class CameraUnderTest:
    """One camera with its reader, as in the daemon."""

    def __init__(
        self,
        name: str,
        seed: int,
        mailbox: Mailbox,
        stop: StopEvent,
        fork_server: ForkServerClient,
    ) -> None:
        self.name, self.seed, self.record = name, seed, ReadRecord()
        self.lives = 0
        self._environment, self._fork_server = Clock(), fork_server
        config = self._config(0)
        self.reader = Reader(
            config, self._open, mailbox, self._environment, stop, first_pause_s=0.01
        )
        self.thread = threading.Thread(target=self.reader.run, name=f"camera-{name}")

    def _config(self, life: int) -> CameraConfig:
        return CameraConfig.read(
            {
                "id": self.name,
                "source": f"v4l2:plan:{self.seed}:{life}",
                "timeout_s": 1.0,
                "open_timeout_s": 30.0,
                "frozen_after": 2,
                "settle_steady": False,
                "trust": {"max_age_s": 0.5},
            }
        )

    def _open(self) -> Camera:
        self.lives += 1
        camera = IsolatedCamera(
            self._config(self.lives), self._environment, self._fork_server, FAULTY
        )
        return RecordingCamera(camera, self.seed, self.lives, self.record)

    def injected(self) -> Counter[str]:
        """The injected faults so far, by kind."""
        found: Counter[str] = Counter()
        for life, known in list(self.record.counts.items()):
            count = 1
            while count <= known or life in self.record.ended:
                kind = planned(self.seed, life, count)
                if kind != "good":
                    found[kind] += 1
                if kind in ENDING and count > known:
                    break
                count += 1
        return found


@dataclass
class Verdicts:
    """The verdicts so far."""

    counts: Counter[str] = field(default_factory=Counter)
    by_camera: Counter[str] = field(default_factory=Counter)
    seen: set[tuple[str, int]] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)


def check_pass(frame: Frame, line: CameraUnderTest, verdicts: Verdicts) -> None:
    """Records a wrong pass: the picture is faulty, old, or judged for the second time."""
    assert frame.pixels is not None
    number = number_of(frame.pixels)
    life, count = life_and_count(number)
    kind = planned(line.seed, life, count) if number > 0 else "no number"
    age = time.monotonic() - frame.captured_tick
    if kind != "good" or (line.name, number) in verdicts.seen or age > 2.0:
        verdicts.wrong.append(f"{line.name} life {life} picture {count}: {kind}, {age:.2f} s old")
    verdicts.seen.add((line.name, number))


def run(count: int, seed: int, cameras: int, *, say: bool = True) -> list[str]:
    """Injects `count` faults. Returns the broken rules as sentences."""
    with ForkServerClient() as fork_server:
        return _run(count, seed, cameras, fork_server, say=say)


def _run(
    count: int, seed: int, cameras: int, fork_server: ForkServerClient, *, say: bool
) -> list[str]:
    environment, stop, mailbox = Clock(), StopEvent(), Mailbox()
    inspector = load_inspector(MODEL, Overrides(), "auto", 1)
    judge = Judge(inspector, Provenance("bench", "0" * 12, "b"), environment, 2000)
    lines = {
        f"c{n}": CameraUnderTest(f"c{n}", seed * 1000 + n, mailbox, stop, fork_server)
        for n in range(cameras)
    }
    verdicts, since, last_report = Verdicts(), time.monotonic(), 0.0
    for line in lines.values():
        line.thread.start()
    stopping = False
    while not mailbox.drained:
        frame = mailbox.take(0.5)
        if isinstance(frame, Frame):
            verdict = judge(frame)
            verdicts.counts[verdict.verdict] += 1
            verdicts.by_camera[frame.camera] += 1
            if verdict.verdict == "pass":
                check_pass(frame, lines[frame.camera], verdicts)
        if time.monotonic() - last_report > 2 and not stopping:
            last_report = time.monotonic()
            injected = sum(sum(line.injected().values()) for line in lines.values())
            if injected >= count:
                stopping = True
                stop.set()
                threading.Thread(target=finish, args=(lines, mailbox), name="finish").start()
    if say:
        report(lines, verdicts, mailbox, time.monotonic() - since)
    return broken(lines, verdicts, mailbox)


def finish(lines: dict[str, CameraUnderTest], mailbox: Mailbox) -> None:
    """Waits for the end of all cameras, then closes the mailbox."""
    for line in lines.values():
        line.thread.join(_DRAIN_S)
    mailbox.close()


def broken(lines: dict[str, CameraUnderTest], verdicts: Verdicts, mailbox: Mailbox) -> list[str]:
    """The broken rules."""
    found = [f"wrong pass: {text}" for text in verdicts.wrong]
    for name, line in lines.items():
        record, reader = line.record, line.reader
        found += [f"{name}: {text}" for text in record.problems]
        port = sum(record.counts.values())
        if reader.frames + reader.passed_over != port or reader.frames != record.reads:
            found.append(f"{name}: {port} pictures came, the reader counts {reader.frames}")
        handed = reader.frames - reader.repeated + sum(record.errors.values())
        kept = verdicts.by_camera[name] + mailbox.replaced(name)
        if handed != kept:
            found.append(f"{name}: {handed} frames handed over, {kept} judged or replaced")
        if reader.reconnects < len(record.ended) - 1:
            found.append(f"{name}: {len(record.ended)} ends, {reader.reconnects} reconnects")
        for life, kind in record.ended.items():
            if kind == "wrong_size" and not may_end(line, life, "size"):
                found.append(f"{name}: life {life} ended as wrong_size without reason")
    if not verdicts.counts["pass"]:
        found.append("no picture passed, so the run proves nothing")
    return found


def may_end(line: CameraUnderTest, life: int, kind: str) -> bool:
    """Whether the plan has a fault of this kind after the last picture of a process."""
    count = line.record.counts[life] + 1
    while (step := planned(line.seed, life, count)) != kind:
        if step in ("hang", "crash"):
            return False
        count += 1
    return True


def report(
    lines: dict[str, CameraUnderTest], verdicts: Verdicts, mailbox: Mailbox, took_s: float
) -> None:
    """Prints the figures."""
    injected: Counter[str] = Counter()
    noticed: Counter[str] = Counter()
    for line in lines.values():
        injected += line.injected()
        noticed += Counter(line.reader.distrusted)
    readers = [line.reader for line in lines.values()]
    print(f"{sum(injected.values())} faults injected in {took_s:.0f} s:", dict(injected))
    print("noticed, by state of health:", dict(noticed))
    print("verdicts:", dict(verdicts.counts), f"- wrong passes: {len(verdicts.wrong)}")
    print(
        f"pictures: {sum(r.frames for r in readers)} read, "
        f"{sum(r.passed_over for r in readers)} skipped by the camera process, "
        f"{sum(mailbox.replaced(name) for name in lines)} replaced in the mailbox, "
        f"{sum(r.repeated for r in readers)} repeated; "
        f"{sum(r.reconnects for r in readers)} reconnects"
    )


def main() -> int:
    """Exit code 1 when a rule was broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="faults to inject")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cameras", type=int, default=4)
    arguments = parser.parse_args()
    logging.getLogger("edge").setLevel(logging.CRITICAL)  # do not log ten thousand faults
    problems = run(arguments.count, arguments.seed, arguments.cameras)
    for text in problems[:20]:
        print("BROKEN:", text)
    print("all rules held" if not problems else f"{len(problems)} rules broken")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
