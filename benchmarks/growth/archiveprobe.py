"""One process with an archive of so many pictures, at its budget: what the start, one more picture
and a search by id cost. Leaves as many files as it found. Prints JSON, seconds and bytes."""

import argparse
import json
import os
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.growth import processes
from benchmarks.growth.probe import cpu_of
from edge.config import ArchiveConfig
from edge.core.clock import Clock
from edge.core.errors import RefusedError
from edge.core.frame import Frame
from edge.core.ids import uuid7
from edge.storage.evidence.archive import Archive, NoLabels
from tests.support.verdicts import NOON, a_verdict

A_MB = 256  # pictures of one block each
_KEPT, _FOUND, _SILENCE_S = 50, 20, 120.0
_MISSING = 2_000_000  # of the same day


def id_of(number: int) -> str:
    """The id of the picture with this number, all of one day."""
    return uuid7(int(NOON * 1000) + number, number.to_bytes(10, "big"))


def fill(folder: Path, pictures: int) -> None:
    """So many pictures of one block each, all of one day, which is the worst case."""
    day = folder / time.strftime("%Y-%m-%d", time.gmtime(NOON))
    day.mkdir(parents=True, exist_ok=True)
    left = {path.name for path in day.iterdir()}
    for name in left - {f"fail-top-{id_of(number)}.jpg" for number in range(pictures)}:
        (day / name).unlink()  # of the measurement before
    for number in range(pictures):
        name = f"fail-top-{id_of(number)}.jpg"
        if name not in left:
            (day / name).write_bytes(bytes(2000))


class Keeper:
    """The archive in its own thread, whose CPU is asked for."""

    def __init__(self, folder: Path, pictures: int) -> None:
        values = {"enabled": True, "path": str(folder), "max_mb": max(1, pictures // A_MB)}
        self.archive = Archive(ArchiveConfig.read(values), Clock(), NoLabels())
        self.thread = threading.Thread(target=self.archive.run, daemon=True)
        self._pixels = np.random.default_rng(1).integers(0, 256, (24, 32, 3)).astype(np.uint8)
        self._next = pictures

    def cpu_s(self) -> float:
        """CPU seconds of the archive's thread."""
        assert self.thread.ident is not None
        return time.clock_gettime(time.pthread_getcpuclockid(self.thread.ident))

    def keep(self) -> None:
        """Returns when one more picture is on disk and the budget is kept."""
        verdict = a_verdict(id=id_of(self._next), captured_at=NOON)
        self._next += 1
        before = self.archive.counts.kept
        self.archive.keep([Frame("top", 1, self._pixels, NOON, 0.0)], verdict)
        self.wait(lambda: self.archive.counts.kept > before)

    @staticmethod
    def wait(condition: object) -> None:
        """Raises TimeoutError."""
        assert callable(condition)
        until = time.monotonic() + _SILENCE_S
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError("the archive does not go on")
            time.sleep(0.001)

    def found(self, number: int) -> None:
        """Searches; the picture may be there or not."""
        try:
            self.archive.find(id_of(number))
        except RefusedError:
            return


def measure(folder: Path, pictures: int) -> dict[str, float]:
    """The figures."""
    keeper = Keeper(folder, pictures)
    clock = time.monotonic()
    keeper.thread.start()
    keeper.keep()
    found = {"first_s": time.monotonic() - clock, "first": keeper.cpu_s()}
    keeper.wait(lambda: keeper.archive.counted)
    found["start"] = keeper.cpu_s()
    for _ in range(2):  # the first that is deleted makes a list
        keeper.keep()
    cpu = keeper.cpu_s()
    for _ in range(_KEPT):
        keeper.keep()
    found["keep"] = (keeper.cpu_s() - cpu) / _KEPT
    numbers = iter(range(pictures, pictures + _FOUND))  # the newest
    found["find"] = cpu_of(lambda: keeper.found(next(numbers)), _FOUND)
    found["miss"] = cpu_of(lambda: keeper.found(_MISSING), _FOUND)
    found["memory"] = processes.own_memory(os.getpid())
    keeper.archive.close()
    keeper.thread.join()
    return found


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("pictures", type=int)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.folder, arguments.pictures)))


if __name__ == "__main__":
    main()
