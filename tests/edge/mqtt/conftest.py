"""Fixtures for the tests of edge.mqtt."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.edge.mqtt.virtual_time import PublisherSimulation
from tests.support.fake_broker import FakeBroker

Simulate = Callable[..., PublisherSimulation]


@pytest.fixture
def simulate(tmp_path: Path) -> Iterator[Simulate]:
    """Makes simulations; closes their files after the test."""
    made: list[PublisherSimulation] = []

    def make(rows: int, broker: FakeBroker | None = None, **options: Any) -> PublisherSimulation:
        made.append(PublisherSimulation(tmp_path, rows, broker, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()
