"""Starts, stops, freezes and kills the box from outside, and reads its journal."""

import contextlib
import json
import os
import queue
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_DEADLINE_S = 30.0
NO_LIMIT = resource.RLIM_INFINITY


@dataclass(slots=True)
class Life:
    """The journal of one process."""

    number: int
    given: list[tuple[str, str, float]] = field(default_factory=list)  # id, camera, monotonic s
    counts: dict[str, Any] = field(default_factory=dict)  # the outbox's own, newest
    safe: list[str] = field(default_factory=list)  # ids that it reported as stored or acknowledged
    numbers: dict[str, int] = field(default_factory=dict)  # and their numbers
    commit: float | None = None  # since when it makes one, monotonic s
    longest: float = 0.0  # commit, seconds
    frozen: float = 0.0  # seconds that it was stopped from outside
    started: float = 0.0
    ended: float | None = None
    code: int | None = None


class Boxes:
    """A process from which lives are forked; at most one life at a time."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for the clock's offset; not on the failing disk."""
        self._clock = folder / "clock"
        self.shift_clock(0.0)
        self._changed = threading.Condition()
        self.lives: list[Life] = []
        self.given = self.reports = 0  # over all lives of the round
        reader, writer = os.pipe()
        self._mother = subprocess.Popen(
            [sys.executable, "-m", "tests.loss.box", str(writer), str(self._clock)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[writer],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        os.close(writer)
        self._news: queue.SimpleQueue[dict[str, int]] = queue.SimpleQueue()
        self._journal_end = threading.Event()
        threading.Thread(target=self._read_journal, args=(reader,), daemon=True).start()
        threading.Thread(target=self._read_news, daemon=True).start()
        self._ends: dict[int, int] = {}
        self.pid = 0

    def shift_clock(self, seconds: float) -> None:
        """Shifts the box's wall clock."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(struct.pack("d", seconds))

    def new_round(self) -> None:
        """Forgets earlier lives."""
        with self._changed:
            self.lives, self.given, self.reports = [], 0, 0

    def start(self, order: dict[str, Any]) -> Life:
        """Starts a life. Returns when its process exists."""
        with self._changed:
            life = Life(len(self.lives), started=time.monotonic())
            self.lives.append(life)
        assert self._mother.stdin is not None
        line = json.dumps({**order, "life": life.number})
        self._mother.stdin.write(line.encode() + b"\n")
        self._mother.stdin.flush()
        while "born" not in (news := self._news.get(timeout=_DEADLINE_S)):
            self._note(news)
        self.pid = news["born"]
        self._ends.pop(self.pid, None)  # of an earlier process with this number
        return life

    @property
    def alive(self) -> bool:
        """Whether a life is running."""
        while not self._news.empty():
            self._note(self._news.get())
        return bool(self.pid) and self.pid not in self._ends

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the running life, if any."""
        if self.alive:
            os.kill(self.pid, number)

    def limit_files(self, size: int) -> None:
        """No file may grow past `size` bytes: writes fail as with a full disk (EFBIG)."""
        if self.alive:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, NO_LIMIT))

    def wait_end(self, deadline_s: float = _DEADLINE_S) -> int | None:
        """Its exit code, negative for a signal; None when it still runs after `deadline_s`."""
        until = time.monotonic() + deadline_s
        while self.pid not in self._ends and (left := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self._note(self._news.get(timeout=left))
        code = self._ends.get(self.pid)
        if code is not None and self.lives[-1].ended is None:
            self.lives[-1].ended, self.lives[-1].code = time.monotonic(), code
            self._let_journal_settle()
        return code

    def kill(self) -> None:
        """`kill -9`, and waits for the end."""
        self.signal(signal.SIGKILL)
        self.wait_end()

    def wait_until(self, condition: Callable[[], bool], deadline_s: float = _DEADLINE_S) -> bool:
        """Waits until the condition is true, the life ends, or the deadline is past."""
        until = time.monotonic() + deadline_s
        with self._changed:
            while not condition():
                if time.monotonic() > until or not self.alive:
                    return False
                self._changed.wait(0.05)
        return True

    def close(self) -> None:
        """Ends all processes."""
        if self.alive:
            self.kill()
        assert self._mother.stdin is not None
        self._mother.stdin.close()
        self._mother.wait(_DEADLINE_S)
        self._clock.unlink(missing_ok=True)

    def _note(self, news: dict[str, int]) -> None:
        if "ended" in news:
            self._ends[news["ended"]] = news["code"]

    def _read_news(self) -> None:
        assert self._mother.stdout is not None
        for line in self._mother.stdout:
            self._news.put(json.loads(line))

    def _read_journal(self, fd: int) -> None:
        rest = b""
        while data := os.read(fd, 65536):
            *lines, rest = (rest + data).split(b"\n")
            with self._changed:
                for line in lines:
                    self._hear(line.decode())
                self._changed.notify_all()
        os.close(fd)

    def _hear(self, line: str) -> None:
        number, what, rest = line.split(" ", 2)
        if what == "!":
            self._journal_end.set()
            return
        if int(number) >= len(self.lives):
            return
        life = self.lives[int(number)]
        if what == "G":
            name, camera, tick = rest.split(" ")
            life.given.append((name, camera, float(tick)))
            self.given += 1
        elif what == "C":
            numbers = dict(pair.split("=") for pair in rest.split(" "))
            life.safe += numbers
            life.numbers |= {name: int(seq) for name, seq in numbers.items()}
        elif what == "B":
            life.commit = float(rest)
        elif what == "E":
            at, dropped = rest.split(" ")
            if life.commit is not None:
                life.longest = max(life.longest, float(at) - life.commit)
            life.commit = None
            life.counts["dropped"] = int(dropped)
        else:
            life.counts = json.loads(rest)
            self.reports += 1

    def _let_journal_settle(self) -> None:
        """Reads the rest of a dead life's journal from the pipe, up to a marker."""
        self._journal_end.clear()
        assert self._mother.stdin is not None
        self._mother.stdin.write(b'{"mark": 1}\n')
        self._mother.stdin.flush()
        if not self._journal_end.wait(_DEADLINE_S):
            raise TimeoutError("the journal does not end")
