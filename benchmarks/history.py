"""What the history costs: bytes a row, how long questions take while verdicts arrive, bytes written
to disk per verdict with and without it, and processor time per verdict.

`python -m benchmarks.history [FOLDER] [--rows N] [--seconds S]`: FOLDER is on the disk in question.
Bytes written are those of /proc/self/io, so FOLDER must not be in memory. With and without history
take turns within one run.
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.outbox_levels import Broker, written
from edge.core.clock import Clock
from edge.core.ids import uuid7
from edge.core.messages import stored_body
from edge.core.terms import Durability
from edge.core.verdict import Outcome, Rule, Verdict
from edge.storage import (
    HistoryQuery,
    HistoryReader,
    HistorySettings,
    HistoryWriter,
    OutboxStore,
    OutboxWriter,
)
from edge.storage.history.database import HistoryDatabase
from edge.storage.history.records import HistoryBody
from tests.support.verdicts import a_verdict

BATCH = 500
RATE = 50.0  # verdicts a second while questions are asked
QUESTIONS = 200
TURNS = 3
START = 1_790_000_000.0


def judged(number: int, rng: random.Random, at: float) -> Verdict:
    """A verdict of a line with 5 % rejects and three labels."""
    score = rng.betavariate(0.5, 12)
    outcome: Outcome = "fail" if score > 0.25 else "review" if score > 0.2 else "pass"
    return a_verdict(
        id=uuid7(round(at * 1000) + 30),
        captured_at=at,
        verdict=outcome,
        label="ok" if outcome == "pass" else "scratch",
        score=score,
        probabilities={"ok": 1 - score, "scratch": score * 0.7, "dent": score * 0.3},
        frame_seq=number * 3,
        capture_to_verdict_ms=rng.uniform(20, 60),
        inference_ms=rng.uniform(5, 9),
        reason=f"score {score:.4f} lies between" if outcome == "review" else None,
        rule=Rule(scores=(score,)),
    )


def fill(path: Path, rows: int) -> None:
    """Prints the size of a history at ten verdicts a second."""
    rng = random.Random(22)
    database = HistoryDatabase(path, HistorySettings(max_bytes=2**40))
    for first in range(1, rows + 1, BATCH):
        numbers = range(first, min(rows, first + BATCH - 1) + 1)
        made = [HistoryBody(stored_body(judged(n, rng, START + n / 10), n)) for n in numbers]
        database.add(made, None)
    database.close()
    size = path.stat().st_size
    print(f"size: {rows} verdicts take {size / 1e6:.1f} MB, {size / rows:.0f} bytes each")


def ask(path: Path, rows: int) -> None:
    """Prints how long questions take while verdicts arrive."""
    writer = HistoryWriter(path, HistorySettings(max_bytes=2**40), Clock())
    thread = threading.Thread(target=writer.run)
    thread.start()
    end = threading.Event()
    rng = random.Random(23)

    def arrive() -> None:
        number = rows
        while not end.wait(1 / RATE):
            number += 1
            writer.add(stored_body(judged(number, rng, START + number / 10), number))

    arriving = threading.Thread(target=arrive)
    arriving.start()
    reader, newest = HistoryReader(path), START + rows / 10
    known = next(reader.verdicts(HistoryQuery())).body["id"]
    questions: dict[str, Callable[[], object]] = {
        "last 100": lambda: list(reader.verdicts(HistoryQuery(limit=100))),
        "last 100 rejects": lambda: list(reader.verdicts(HistoryQuery(limit=100, verdict="fail"))),
        "100 of yesterday": lambda: list(
            reader.verdicts(HistoryQuery(limit=100, until=newest - 86400 / 2))
        ),
        "one by its id": lambda: reader.by_id(known),
        "trend of 8 hours": lambda: reader.trend(newest - 8 * 3600, newest, 300),
    }
    for name, question in questions.items():
        times = []
        for _ in range(QUESTIONS):
            began = time.perf_counter()
            question()
            times.append((time.perf_counter() - began) * 1000)
        p50, p99 = np.percentile(times, [50, 99])
        print(f"{name}: p50 {p50:.1f} ms, p99 {p99:.1f} ms at {RATE:g} verdicts/s", flush=True)
    end.set()
    arriving.join()
    writer.close()
    thread.join()


def run_outbox(
    folder: Path, level: Durability, rate: float | None, count: int, *, history: bool
) -> tuple[float, float]:
    """Bytes written and microseconds of processor time, per verdict. `rate`: None: at once."""
    store = OutboxStore(folder / "outbox.db", 2**29, 1e6, Clock())
    news = threading.Event()
    settings = HistorySettings(max_bytes=200 * 2**20 if history else 0)
    remembered = HistoryWriter(folder / "history.db", settings, Clock())
    writer = OutboxWriter(
        store, Clock(), durability=level, on_sendable=news.set, remember=remembered.add
    )
    threads = [threading.Thread(target=run) for run in (writer.run, remembered.run)]
    broker = Broker(writer, news, 0.0)
    rng = random.Random(24)
    verdicts = [judged(n, rng, START + n / 10) for n in range(1, count + 1)]
    for thread in (*threads, broker):
        thread.start()
    while history and not remembered.stats().bytes:  # creating the file is no cost of a verdict
        time.sleep(0.01)
    before, cpu, began = written(), time.process_time(), time.monotonic()
    for number, verdict in enumerate(verdicts):
        if rate is not None:
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
        writer.submit(verdict)
    while len(broker.seen) < count:
        time.sleep(0.001)
    time.sleep(1.2)  # what the acknowledgements still write
    broker.stop()
    writer.close()
    threads[0].join()
    remembered.close()
    threads[1].join()
    cost = (written() - before) / count, (time.process_time() - cpu) / count * 1e6
    writer.send_queue.close()
    store.close()
    return cost


def main() -> None:
    """Prints all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("/var/tmp"))  # noqa: S108
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each turn at 10/s")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        fill(Path(folder) / "history.db", given.rows)
        ask(Path(folder) / "history.db", given.rows)
    levels: tuple[Durability, ...] = ("strict", "balanced")
    for level in levels:
        for rate, count in ((10.0, round(10 * given.seconds)), (None, 3000)):
            costs: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
            for turn in range(2 * TURNS if rate is None else 2):
                history = bool(turn % 2)
                with tempfile.TemporaryDirectory(dir=given.folder) as folder:
                    cost = run_outbox(Path(folder), level, rate, count, history=history)
                costs[history].append(cost)
            (size, cpu), (size_with, cpu_with) = (
                [statistics.median(values) for values in zip(*costs[history])]
                for history in (False, True)
            )
            print(
                f"{level}, {'at once' if rate is None else f'{rate:g}/s'}: {size:.0f} bytes a "
                f"verdict without history, {size_with:.0f} with; {cpu:.0f} µs of processor time "
                f"without, {cpu_with:.0f} with",
                flush=True,
            )


if __name__ == "__main__":
    main()
