"""The daemon beside the bare work of a frame, and beside a plain script, in short turns.

    python -m benchmarks.in_turns MODEL.tflite --sizes vga,1080p --rounds 5

On a shared machine a core's speed changes by half within seconds, and `edge-inspect bench`, which
measures one after the other for some seconds each, shows that as a difference of the two. Here both
are processes that live at the same time; one is stopped (SIGSTOP) while the other runs, for 0.4 s
each. A round gives one ratio; the median of the rounds is what counts.

Pairs: the daemon with one worker against the bare loop, and against the script that people write by
hand (edge/bench/byhand.py); with two against one. The daemon plays JPEGs as fast as it can, and
every verdict is stored, sent with QoS 1 and acknowledged.
"""

import argparse
import contextlib
import mmap
import os
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from edge.bench.child import ask
from edge.bench.listener import Listener
from edge.bench.plan import SIZES
from edge.bench.processtree import ProcessTree
from edge.configfile import load_config
from tests.system.mosquitto import Mosquitto

TURN_S, WARM_S = 0.4, 3.0
PAIRS = ("one worker / bare loop", "one worker / plain script", "two workers / one")
_PICTURES = 8
_COUNT = struct.Struct("<q")


class Contestant(ABC):
    """A process that works whenever it is its turn; until its first turn has ended it starts up,
    whatever the others do. `turns` are from when to when, in seconds since the epoch."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.turns: list[tuple[float, float]] = []

    def turn(self, seconds: float) -> None:
        """Works so long."""
        begun = time.time()
        self.process.send_signal(signal.SIGCONT)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGSTOP)
        self.turns.append((begun, time.time()))

    def worked_s(self, since: float, until: float) -> float:
        """For how many seconds of these it was its turn."""
        return sum(max(0.0, min(b, until) - max(a, since)) for a, b in self.turns)

    @abstractmethod
    def rates(self, since: float) -> tuple[float, float]:
        """Frames a second of its own turns and CPU milliseconds a frame, after `since`."""

    def close(self) -> None:
        """Ends it."""
        self.process.kill()
        self.process.wait()


class Loop(Contestant):
    """A frame after the other for ever: `bare` or `script`, see LOOPS."""

    def __init__(self, name: str, config: Path, pictures: Path) -> None:
        self._counter = config.with_name("count")
        self._counter.write_bytes(_COUNT.pack(0))
        super().__init__(["-m", "benchmarks.in_turns", name, str(config), str(pictures)])
        self._tree = ProcessTree(self.process.pid)
        self._marks: list[tuple[float, int, float]] = []

    def turn(self, seconds: float) -> None:
        """And notes how far it has come."""
        super().turn(seconds)
        (count,) = _COUNT.unpack(self._counter.read_bytes())
        self._marks.append((self.turns[-1][1], count, self._tree.cpu_s()))

    def rates(self, since: float) -> tuple[float, float]:
        """As `Contestant.rates`."""
        marks = [mark for mark in self._marks if mark[0] > since and mark[1]]
        (start, first, cpu), (end, last, cpu_end) = marks[0], marks[-1]
        frames = last - first
        return frames / self.worked_s(start, end), (cpu_end - cpu) * 1000 / frames


class Daemon(Contestant):
    """`edge-inspect run`; tells by `health` how far it has come."""

    def __init__(self, config: Path, port: int, topic: str) -> None:
        self._listener = Listener(port, topic, topic.replace("/", "-"))
        super().__init__(["-m", "edge", "run", "-c", str(config)])
        self._listener.listen_anew(ProcessTree(self.process.pid).cpu_s)

    def rates(self, since: float) -> tuple[float, float]:
        """As `Contestant.rates`; of what was acknowledged. Fails when there was an error."""
        heard = [one for one in self._listener.heard if one.measured > since and one.acked]
        first, last = heard[0], heard[-1]
        assert last.errors == 0, last.what_went_wrong
        frames = last.acked - first.acked
        worked = self.worked_s(first.measured, last.measured)
        return frames / worked, (last.cpu_s - first.cpu_s) * 1000 / frames

    def close(self) -> None:
        """Ends it."""
        super().close()
        self._listener.close()


@contextlib.contextmanager
def stand(model: Path, size: str, disk: Path) -> Iterator["Stand"]:
    """A broker and pictures; `disk` is where outboxes are."""
    folder = Path(tempfile.mkdtemp(prefix="in-turns-", dir=disk))
    broker = Mosquitto(folder / "broker", "allow_anonymous true")
    broker.start()
    try:
        yield Stand(folder, model.resolve(), size, broker.port)
    finally:
        broker.close()
        shutil.rmtree(folder, ignore_errors=True)


class Stand:
    """Makes contestants."""

    def __init__(self, folder: Path, model: Path, size: str, port: int) -> None:
        self._folder, self._model, self._port = folder, model, port
        width, height = SIZES[size]
        self.pictures = folder / "pictures"
        asked = {"folder": str(self.pictures), "count": _PICTURES, "pictures": None}
        made = ask("edge.bench.pictures", asked | {"width": width, "height": height})
        self.pictures = Path(made["jpeg"][0]).parent
        self._made = 0

    def config(self, workers: int) -> tuple[Path, str]:
        """config.yaml of a new daemon, and its station."""
        self._made += 1
        station = f"turns{self._made}"
        source = {"source": f"replay:{self.pictures}", "rate": "max", "loop": 1_000_000}
        values = {
            "station": station,
            "model": {"path": str(self._model), "workers": workers},
            "cameras": [{"id": f"c{n}", **source} for n in range(workers)],
            "mqtt": {"port": self._port},
            "outbox": {"path": str(self._folder / station / "outbox.db")},
            "health": {"interval_s": 0.5},
        }
        path = self._folder / station / "config.yaml"
        path.parent.mkdir()
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path, station

    def pair(self, name: str) -> tuple[Contestant, Contestant]:
        """One of PAIRS."""
        if name == PAIRS[2]:
            return self.daemon(2), self.daemon(1)
        loop = "bare" if name == PAIRS[0] else "script"
        return self.daemon(1), Loop(loop, self.config(1)[0], self.pictures)

    def daemon(self, workers: int) -> Daemon:
        """The daemon."""
        path, station = self.config(workers)
        return Daemon(path, self._port, f"inspection/{station}/health")


def compete(one: Contestant, other: Contestant, seconds: float) -> tuple[float, float]:
    """Ratios of `one` to `other`: frames a second, CPU a frame; and both are ended."""
    try:
        begun = time.time() + 2 * WARM_S
        while time.time() < begun + seconds:
            warm = time.time() < begun - WARM_S
            for contestant in (one, other):
                contestant.turn(WARM_S if warm else TURN_S)
        (fps, cpu), (other_fps, other_cpu) = one.rates(begun), other.rates(begun)
        return fps / other_fps, cpu / other_cpu
    finally:
        one.close()
        other.close()


def bare(config: Path, pictures: list[Path]) -> Callable[[int], None]:
    """What decodes, prepares and runs the model on the picture of a number, on one thread."""
    import cv2

    from edge.bench.bare import decode_jpeg
    from edge.inspection.framing import Framing
    from edge.modelside import inspector_from
    from edge.view import ViewConfig

    cv2.setNumThreads(1)
    inspector = inspector_from(load_config(config))
    framing = Framing(inspector.input.view or ViewConfig())
    data = [path.read_bytes() for path in pictures]

    def work(number: int) -> None:
        pixels, reduced = decode_jpeg(data[number % len(data)], inspector, framing)
        (cut,) = framing.cut(pixels, reduced).values()
        inspector.classify(inspector.prepare(cut, reduced))

    return work


def script(config: Path, pictures: list[Path]) -> Callable[[int], None]:
    """What judges and sends the picture of a number as the plain script does."""
    from edge.bench.byhand import Script
    from edge.inspection.interpreter import runtime_module

    said = load_config(config)
    runtime, _ = runtime_module("auto")
    by_hand = Script(str(said.model.path), runtime, said.mqtt.effective_port, "by-hand/result")
    files = [str(path) for path in pictures]
    by_hand.warm(files)

    def work(number: int) -> None:
        by_hand.frame(files[number % len(files)])

    return work


LOOPS = {"bare": bare, "script": script}


def loop(name: str, config: Path, pictures: Path) -> None:
    """One of LOOPS for ever; how many frames it has done stands in the file `count`."""
    work = LOOPS[name](config, sorted(pictures.iterdir()))
    done = 0
    with config.with_name("count").open("r+b") as file:
        counter = mmap.mmap(file.fileno(), _COUNT.size)
        while True:
            work(done)
            done += 1
            _COUNT.pack_into(counter, 0, done)


def main() -> int:
    """Prints a row for each size and pair."""
    if sys.argv[1:2] and sys.argv[1] in LOOPS:
        loop(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--sizes", default="vga,1080p")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=12.0, help="of a round, both together")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="for the outboxes")  # noqa: S108
    said = parser.parse_args()
    print("| size | pair | frames/s, median (all) | CPU a frame, median (all) |\n|---|---|---|---|")
    for size in said.sizes.split(","):
        with stand(said.model, size, said.disk) as made:
            for name in PAIRS:
                found = []
                for _ in range(said.rounds):
                    one, other = made.pair(name)
                    found.append(compete(one, other, said.seconds))
                cells = [
                    f"{statistics.median(column):.2f} "
                    f"({', '.join(f'{one:.2f}' for one in sorted(column))})"
                    for column in zip(*found)
                ]
                print(f"| {size} | {name} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
