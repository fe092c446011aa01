"""The daemon in a process of its own, with mock pins, in which a test makes one step fail.

    python -m tests.support.faulty_daemon reload FOLDER      # one call of each reload fails
    python -m tests.support.faulty_daemon threads FOLDER     # a thread is killed on request

FOLDER has config.yaml. `FOLDER/fault` names what fails next: a number for `reload` (which call of a
function of edge, counted from 1; 0: none), a thread's name for `threads`. `FOLDER/fault.log` gets a
JSON line for each.
"""

import _thread
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

os.environ.setdefault("GPIOZERO_PIN_FACTORY", "mock")

from edge.__main__ import main
from edge.config import Config, ConfigDiff
from edge.reload import Reconfiguration

EDGE = str(Path(sys.modules["edge"].__file__ or "").parent)
PIN_S = 0.1
# Python ignores the exceptions of `__del__`. What opens the file of numbers only parses afterwards.
_PURE = (
    "storage/outbox/sequence.py SequenceAllocator.__init__.<locals>",
    "storage/outbox/sequence.py _",
)


class InjectedError(Exception):
    """Made by the test."""


class Killed(BaseException):
    """Made by the test; no `except Exception` catches it."""


FAULTS: tuple[Callable[[], Exception], ...] = (
    lambda: InjectedError("injected"),
    lambda: OSError(28, "No space left on device"),
    lambda: MemoryError("injected"),
)


class Counter:
    """A profile function: the n-th step fails. Steps are calls of functions of edge, and starts of
    threads."""

    def __init__(self, number: int, until: str = "") -> None:
        """`until`: the function that comes after the last step."""
        self.number, self.steps = number, 0
        self._until = until
        self.names: list[str] = []

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        """As `sys.setprofile` wants it."""
        if event == "c_call" and arg is _thread.start_new_thread:
            self._step("start_new_thread")
        elif event == "call" and frame.f_code.co_filename.startswith(EDGE):
            name = _name(frame.f_code)
            if name == self._until:
                sys.setprofile(None)
            elif not name.endswith("__del__") and not name.startswith(_PURE):
                self._step(name)

    def _step(self, name: str) -> None:
        self.steps += 1
        self.names.append(name)
        if self.steps == self.number:
            sys.setprofile(None)
            raise FAULTS[self.number % len(FAULTS)]()


def _name(code: CodeType) -> str:
    return f"{code.co_filename.removeprefix(EDGE + '/')} {code.co_qualname}"


def fail_reloads(folder: Path) -> None:
    """Each reload reads the number of the step that fails from `fault`."""
    original = Reconfiguration.apply

    def apply(self: Reconfiguration, old: Config, changes: ConfigDiff) -> None:
        counter = Counter(int((folder / "fault").read_text(encoding="utf-8")))
        sys.setprofile(counter)
        try:
            original(self, old, changes)
        finally:
            sys.setprofile(None)
            failed = counter.names[-1] if 0 < counter.number <= counter.steps else None
            _note(folder, {"failed": failed, "steps": counter.names})

    Reconfiguration.apply = apply  # type: ignore[method-assign]


def kill_threads(folder: Path) -> None:
    """The thread that `fault` names is killed at its next call of a function of edge. In Python's
    own functions it would leave a lock in a state that no thread can leave it in."""

    def hook(frame: FrameType, event: str, _arg: Any) -> None:
        if event != "call" or not doomed or not frame.f_code.co_filename.startswith(EDGE):
            return
        if doomed[0] == threading.current_thread().name:
            _note(folder, {"killed": doomed.pop()})
            raise Killed("by the test")

    doomed: list[str] = []
    threading.setprofile(hook)

    def watch() -> None:
        sys.setprofile(None)
        asked = folder / "fault"
        while True:
            if asked.exists():
                doomed[:] = [asked.read_text(encoding="utf-8")]
                asked.unlink()
            names = sorted(thread.name for thread in threading.enumerate())
            part = folder / "threads.part"
            part.write_text(json.dumps(names), encoding="utf-8")
            part.rename(folder / "threads")
            time.sleep(PIN_S)

    threading.Thread(target=watch, name="the test's", daemon=True).start()


def move_pins(folder: Path) -> None:
    """Drives the pins that `FOLDER/pins` lists, up and down; counts how often an
    output is high."""

    def run() -> None:
        sys.setprofile(None)
        from gpiozero import Device

        level, high = False, dict.fromkeys(range(28), 0)
        while True:
            time.sleep(PIN_S)
            factory: Any = Device.pin_factory
            if factory is None:
                continue
            level = not level
            for number in json.loads((folder / "pins").read_text(encoding="utf-8")):
                pin = factory.pin(number)
                if pin.function == "input":
                    (pin.drive_high if level else pin.drive_low)()
            for number in high:
                pin = factory.pin(number)
                high[number] += pin.function == "output" and bool(pin.state)
            part = folder / "high.part"
            part.write_text(json.dumps(high), encoding="utf-8")
            part.rename(folder / "high")

    threading.Thread(target=run, name="the test's pins", daemon=True).start()


def _note(folder: Path, entry: dict[str, Any]) -> None:
    with (folder / "fault.log").open("a", encoding="utf-8") as log:
        log.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    place = Path(sys.argv[2])
    {"reload": fail_reloads, "threads": kill_threads}[sys.argv[1]](place)
    if (place / "pins").exists():
        move_pins(place)
    sys.exit(main(["run", "-c", str(place / "config.yaml")]))
