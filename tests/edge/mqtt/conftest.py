"""For the tests of delivery."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.edge.mqtt.virtual_time import World
from tests.support.fake_broker import FakeBroker

Make = Callable[..., World]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Make]:
    """Makes a World, and puts its files away."""
    made: list[World] = []

    def make(rows: int, broker: FakeBroker | None = None, **options: Any) -> World:
        made.append(World(tmp_path, rows, broker, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()
