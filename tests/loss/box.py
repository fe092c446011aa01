"""The box: the real daemon, forked from a process that has already imported it, so that a start
costs no import. It differs from `edge-inspect run` in three things, all in this module: it journals
the verdicts that it receives and reports as stored (the witness), it reads the wall clock with an
offset that a schedule may change, and its pauses between connections are
short.

Run by `tests.loss.boxes`; speaks JSON lines on stdin and stdout.
"""

import json
import mmap
import os
import random
import select
import signal
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

_IDS = 64  # in one line of the journal: a pipe writes a line of this size atomically
_PAUSE_S = (0.02, 0.3)  # between two connections: a round must not wait out a minute's backoff
Journal = Callable[[str], None]


def shift_the_clock(file: Path) -> None:
    """Shifts the wall clock by the number (a double, seconds) in `file`, which another process may
    change at any time. To be called before the daemon is imported, which keeps `time.time`."""
    with file.open("rb") as opened:
        shared = mmap.mmap(opened.fileno(), 8, access=mmap.ACCESS_READ)
    real, real_ns = time.time, time.time_ns

    def offset() -> float:
        value: float = struct.unpack("d", shared[:8])[0]
        return value

    time.time = lambda: real() + offset()
    time.time_ns = lambda: real_ns() + int(offset() * 1e9)


def record_events(journal: Journal) -> None:
    """Journals each verdict before the outbox gets it (`G`), each one that it reports as safe
    (`C`), the outbox's counts when there is something to send (`S`), the begin of each commit
    (`B`), and its end with the number of verdicts dropped so far (`E`)."""
    from edge.storage.outbox.writer import OutboxWriter

    begin, submit = OutboxWriter.__init__, OutboxWriter.submit
    run, run_once = OutboxWriter.run, OutboxWriter.run_once

    def noted_submit(self: Any, verdict: Any) -> None:
        journal(f"G {verdict.id} {verdict.camera} {time.monotonic():.6f}")
        submit(self, verdict)

    def noted_begin(
        self: Any, *parts: Any, on_sendable: Any, on_commit: Any, **options: Any
    ) -> None:
        def safe(verdicts: Sequence[Any], numbers: Sequence[int]) -> None:
            names = [f"{verdict.id}={seq}" for verdict, seq in zip(verdicts, numbers, strict=True)]
            for first in range(0, len(names), _IDS):
                journal(f"C {' '.join(names[first : first + _IDS])}")
            on_commit(verdicts, numbers)

        def sendable() -> None:
            journal(f"S {stats_json(self.stats())}")
            on_sendable()

        begin(self, *parts, on_sendable=sendable, on_commit=safe, **options)

    def noted_run(self: Any) -> None:
        journal(f"S {stats_json(self.stats())}")
        run(self)
        journal(f"S {stats_json(self.stats())}")

    def noted_run_once(self: Any) -> bool:
        journal(f"B {time.monotonic():.6f}")
        ended: bool = run_once(self)
        journal(f"E {time.monotonic():.6f} {self.stats().dropped}")
        return ended

    OutboxWriter.__init__ = noted_begin  # type: ignore[method-assign,assignment]
    OutboxWriter.submit, OutboxWriter.run = noted_submit, noted_run  # type: ignore[method-assign]
    OutboxWriter.run_once = noted_run_once  # type: ignore[method-assign]


def stats_json(stats: Any) -> str:
    """The outbox's counts as JSON."""
    return json.dumps({**asdict(stats), "dropped": stats.dropped})


def shorten_pauses() -> None:
    """Shortens the pauses between connections."""
    from edge.mqtt.failover import Backoff

    slow = Backoff.__init__

    def quick(self: Backoff, base_s: float, cap_s: float, rng: random.Random | None = None) -> None:
        slow(self, min(base_s, _PAUSE_S[0]), min(cap_s, _PAUSE_S[1]), rng)

    Backoff.__init__ = quick  # type: ignore[method-assign]


def live(order: dict[str, Any], journal_fd: int) -> int:
    """One life of the daemon, in its own process. Returns its exit code."""
    life = order["life"]

    def journal(text: str) -> None:
        os.write(journal_fd, f"{life} {text}\n".encode())

    random.seed()
    shorten_pauses()
    if order.get("broken"):
        from tests.loss.broken import BREAKAGES

        BREAKAGES[order["broken"]](Path(order["outbox"]))
    record_events(journal)
    from edge.__main__ import main

    return main(["run", "-c", order["config"]])


def _preload() -> None:
    import edge.cli.run
    import edge.daemon

    edge.daemon.Daemon  # noqa: B018  imported for its imports
    edge.cli.run.run  # noqa: B018
    import importlib

    for runtime in ("ai_edge_litert.interpreter", "tflite_runtime.interpreter"):
        try:
            importlib.import_module(runtime)
        except ImportError:
            continue
        break


def _fork(order: dict[str, Any], journal_fd: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 2)
        os.dup2(log, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.close(log)
        code = live(order, journal_fd)
    finally:
        sys.stderr.flush()
        os._exit(code)


def serve(journal_fd: int) -> None:
    """Forks a life for each line on stdin; reports each pid and each end."""
    wake_in, wake_out = os.pipe()
    os.set_blocking(wake_in, False)
    os.set_blocking(wake_out, False)
    signal.set_wakeup_fd(wake_out)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    rest = b""
    while True:
        ready, _, _ = select.select([0, wake_in], [], [])
        if wake_in in ready:
            os.read(wake_in, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            _tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})
        if 0 in ready:
            data = os.read(0, 65536)
            if not data:
                return
            rest += data
            while b"\n" in rest:
                line, rest = rest.split(b"\n", 1)
                order = json.loads(line)
                if "mark" in order:
                    os.write(journal_fd, b"0 ! -\n")
                else:
                    _tell({"born": _fork(order, journal_fd)})


def _tell(what: dict[str, int]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


if __name__ == "__main__":
    shift_the_clock(Path(sys.argv[2]))
    _preload()
    serve(int(sys.argv[1]))
