"""What the two levels of the outbox cost: bytes written to disk per verdict, commits, verdicts a
second, and how long a verdict waits before it may be sent.

`python -m benchmarks.outbox_levels [FOLDER]`: FOLDER is on the disk in question. Bytes are those of
/proc/self/io (`write_bytes`), so FOLDER must not be in memory. The broker is a loop that
acknowledges at once, after one second, or never. Ratios are within one run.
"""

import argparse
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

import numpy as np

from edge.core.clock import Clock
from edge.core.terms import Durability
from edge.core.verdict import Verdict
from edge.storage import OutboxStore, OutboxWriter
from tests.support.verdicts import a_verdict

SECONDS = 3.0
BULK = 3000
ACKS: dict[str, float | None] = {"at once": 0.0, "after 1 s": 1.0, "never": None}


def written() -> int:
    """Bytes that this process has caused to be written to disk."""
    for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
        name, value = line.split(":")
        if name == "write_bytes":
            return int(value)
    raise SystemExit("/proc/self/io has no write_bytes: this kernel does not count them")


class Broker(threading.Thread):
    """Takes what may be sent, and acknowledges it after a delay, seconds; None: never."""

    def __init__(self, writer: OutboxWriter, news: threading.Event, delay: float | None) -> None:
        super().__init__(daemon=True)
        self.seen: dict[int, float] = {}
        self._writer, self._delay = writer, delay
        self._news, self._end = news, False

    def run(self) -> None:
        """Until `stop`."""
        cursor, waiting = 0, deque[tuple[float, int]]()
        while not self._end:
            self._news.wait(0.01)
            self._news.clear()
            rows = self._writer.send_queue.batch(cursor, 1000)
            now = time.monotonic()
            for row in rows:
                cursor = row.seq
                self.seen[row.seq] = now
                if self._delay is not None:
                    waiting.append((now + self._delay, row.seq))
            while waiting and waiting[0][0] <= now:
                self._writer.accept(waiting.popleft()[1])
            if len(rows) == 1000:
                self._news.set()

    def stop(self) -> None:
        """Ends it."""
        self._end = True
        self.join()


def measure(folder: Path, level: Durability, rate: float | None, delay: float | None) -> str:
    """One row of the table, without its first columns. `rate`: verdicts a second; None: bulk."""
    store = OutboxStore(folder / "outbox.db", 2**29, 1e6, Clock())
    news = threading.Event()
    writer = OutboxWriter(store, Clock(), durability=level, on_sendable=news.set)
    thread = threading.Thread(target=writer.run)
    broker = Broker(writer, news, delay)
    commits, real = 0, store.apply

    def counted(*work: object, **options: object) -> object:
        nonlocal commits
        commits += 1
        return real(*work, **options)  # type: ignore[arg-type]

    store.apply = counted  # type: ignore[method-assign, assignment]
    count = BULK if rate is None else int(rate * SECONDS)
    verdicts: list[Verdict] = [a_verdict() for _ in range(count)]
    before, began, at = written(), time.monotonic(), dict[int, float]()
    thread.start()
    broker.start()
    for number, verdict in enumerate(verdicts, 1):
        if rate is not None:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        at[number] = time.monotonic()
        writer.submit(verdict)
    while len(broker.seen) < count:
        time.sleep(0.001)
    took = time.monotonic() - began
    time.sleep(1.2 if delay is not None else 0.6)  # what the window and the acks still write
    broker.stop()
    writer.close()
    thread.join()
    size = written() - before
    waits = np.array([broker.seen[n] - at[n] for n in at]) * 1000
    writer.send_queue.close()
    store.close()
    p50, p99 = np.percentile(waits, [50, 99])
    return f"{size / count:.0f} | {commits} | {count / took:.0f} | {p50:.2f} | {p99:.2f} |"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("/var/tmp"))  # noqa: S108
    root = parser.parse_args().folder
    print(
        "| verdicts/s | broker acks | level | bytes/verdict | commits | verdicts/s seen "
        "| visible p50 ms | p99 ms |\n|---|---|---|---|---|---|---|---|"
    )
    for rate in (5.0, 100.0, None):
        for name, delay in ACKS.items():
            for level in ("strict", "balanced"):
                with tempfile.TemporaryDirectory(dir=root) as folder:
                    row = measure(Path(folder), level, rate, delay)
                print(
                    f"| {'bulk' if rate is None else f'{rate:g}'} | {name} | {level} | {row}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
