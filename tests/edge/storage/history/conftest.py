"""Fixtures for the tests of edge.storage.history."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.core.clock import Clock
from edge.storage.history.database import HistoryDatabase
from edge.storage.history.records import HistorySettings
from edge.storage.history.writer import HistoryWriter
from tests.support.clock import FakeClock

Open = Callable[..., HistoryDatabase]
Write = Callable[..., HistoryWriter]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the history is."""
    return tmp_path / "history.db"


@pytest.fixture
def open_history(path: Path) -> Iterator[Open]:
    """Opens the file, with other settings and parameters if given."""
    opened: list[HistoryDatabase] = []

    def start(settings: HistorySettings | None = None, **options: Any) -> HistoryDatabase:
        opened.append(HistoryDatabase(path, settings or HistorySettings(), **options))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def a_writer(path: Path, clock: FakeClock) -> Iterator[Write]:
    """A writer on the fake clock, with other settings and parameters if given. No thread runs."""
    writers: list[HistoryWriter] = []

    def start(settings: HistorySettings | None = None, **options: Any) -> HistoryWriter:
        environment = Clock(clock.now, clock.tick)
        writers.append(HistoryWriter(path, settings or HistorySettings(), environment, **options))
        return writers[-1]

    yield start
    for one in writers:
        one.close()
        one.run()
