"""A clock that tests turn, a stop that does not sleep, and the TFLite runtimes of this machine."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.core.clock import Clock
from edge.core.terms import Runtime
from tests.conftest import Require
from tests.support.clock import FakeClock, Patience
from tests.support.frames import frame, noise_frame, solid
from tests.support.runtimes import installed_runtimes
from tests.support.verdicts import verdict

__all__ = [
    "FakeClock",
    "Patience",
    "frame",
    "installed_runtimes",
    "noise_frame",
    "solid",
    "verdict",
]


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands."""
    return FakeClock()


@pytest.fixture
def environment(clock: FakeClock, tmp_path: Path) -> Clock:
    """The world under that clock, with an empty tree instead of /."""
    return Clock(clock.now, clock.tick, tmp_path / "root")


@pytest.fixture
def patience(clock: FakeClock) -> Patience:
    """A stop under that clock."""
    return Patience(clock)


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


@pytest.fixture
def board(require: Require) -> Iterator[Any]:
    """A Raspberry Pi of mock pins."""
    require("gpiozero", "pip install '.[test]'")
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    yield factory
    factory.reset()
