"""A clock that tests turn, a stop that does not sleep, and the TFLite runtimes of this machine."""

import importlib.util
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.capture.leash import ForkServerClient
from edge.environment import Environment, Stop
from edge.frame import Frame
from edge.terms import Runtime
from edge.verdict import Outcome, Verdict

_RUNTIMES: dict[Runtime, str] = {
    "litert": "ai_edge_litert",
    "tflite-runtime": "tflite_runtime",
}

Eventually = Callable[[Callable[[], object]], None]


class Clock:
    """Monotonic and wall-clock seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.at = 1000.0

    def tick(self) -> float:
        """Monotonic seconds."""
        return self.at

    def now(self) -> float:
        """Seconds since the epoch."""
        return 1_700_000_000.0 + self.at


class Patience(Stop):
    """A stop whose waiting turns the clock instead of sleeping; it stops after `most` waits."""

    def __init__(self, clock: Clock, most: int = 1000) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.on_wait: Callable[[int], None] = lambda _number: None
        self._clock, self._most = clock, most

    def wait(self, seconds: float, file: int | None = None) -> bool:
        """Turns the clock by so many seconds."""
        if self.is_set():
            return True
        self.waits.append(seconds)
        self._clock.at += seconds
        self.on_wait(len(self.waits))
        if len(self.waits) >= self._most:
            self.set()
        return self.is_set()


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


@pytest.fixture
def environment(clock: Clock, tmp_path: Path) -> Environment:
    """The world under that clock, with an empty tree instead of /."""
    return Environment(clock.now, clock.tick, tmp_path / "root")


@pytest.fixture
def patience(clock: Clock) -> Patience:
    """A stop under that clock."""
    return Patience(clock)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServerClient]:
    """One fork server for all tests of this process that open a camera."""
    with ForkServerClient() as client:
        yield client


@pytest.fixture
def eventually() -> Eventually:
    """`eventually(condition)`: returns when it holds, fails after 60 s."""

    def wait(condition: Callable[[], object]) -> None:
        until = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < until, "the condition did not hold within 60 s"
            time.sleep(0.005)

    return wait


def installed_runtimes() -> list[Runtime]:
    """The TFLite runtimes that this machine has."""
    return [name for name, module in _RUNTIMES.items() if importlib.util.find_spec(module)]


def _tested_runtimes() -> list[Runtime]:
    forced = os.environ.get("EDGE_TEST_RUNTIME")
    installed = installed_runtimes()
    return [name for name in installed if forced in (None, "", name)] or ["auto"]


@pytest.fixture(params=_tested_runtimes())
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each installed TFLite runtime in turn, or the one that EDGE_TEST_RUNTIME forces."""
    name: Runtime = request.param
    if name == "auto":
        pytest.skip("the TFLite runtime is not installed; run: pip install ai-edge-litert")
    return name


def solid(red: int, blue: int = 90, side: int = 32) -> NDArray[np.uint8]:
    """BGR pixels of one colour, (side, side, 3)."""
    return np.full((side, side, 3), (blue, 60, red), np.uint8)


def frame(
    seq: int = 1,
    red: int | None = 0,
    camera: str = "top",
    fault: str | None = None,
    tick: float = 1000.0,
) -> Frame:
    """A frame of one colour, or without pixels when `red` is None."""
    pixels = None if red is None or fault else solid(red)
    return Frame(camera, seq, pixels, 1_700_000_000.0 + tick, tick, fault=fault)


def noise_frame(seq: int, side: int) -> Frame:
    """A frame of noise, which no encoder makes small."""
    pixels = np.random.default_rng(seq).integers(0, 256, (side, side, 3)).astype(np.uint8)
    return Frame("top", seq, pixels, 1_700_000_000.0, 1000.0)


def verdict(outcome: Outcome, number: int = 0, camera: str = "top") -> Verdict:
    """A verdict of that outcome; `number` tells one from another."""
    score = {"pass": 0.1, "review": 0.5, "fail": 0.9}.get(outcome)
    return Verdict(
        id=f"018bcfe5-6800-7000-8000-{number:012d}",
        boot_id="b-1",
        station="line1",
        camera=camera,
        part=None,
        captured_at=1_700_000_000.0,
        verdict=outcome,
        label=None if score is None else "red",
        score=score,
        probabilities={} if score is None else {"ok": 1 - score, "red": score},
        reject_at=0.6,
        review_from=0.4,
        model=None,
        config="0123456789ab",
        frame_width=32,
        frame_height=32,
        frame_seq=number,
        capture_to_verdict_ms=5.0,
        inference_ms=1.0,
        reason="camera lost" if score is None else None,
    )
