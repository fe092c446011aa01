"""The box of these tests, and its records: the service itself, and the same through the local
socket with its client."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli.records_client import RecordsClient
from edge.core.clock import Clock
from edge.plant import Records
from edge.web import LocalSocket
from tests.support.records import NOON, FileHistory, RecordsOfABox


@pytest.fixture
def box(tmp_path: Path) -> RecordsOfABox:
    """A box that remembers nothing yet."""
    return RecordsOfABox(tmp_path)


@pytest.fixture(params=["memory", "files", "socket"])
def records(request: pytest.FixtureRequest, box: RecordsOfABox) -> Iterator[Records]:
    """The service over a history in memory or in a file, or the client of a socket."""
    if request.param != "socket":
        file = FileHistory(box.folder / "history.db", box.history)
        yield box.service(file if request.param == "files" else None)
        return
    path = box.folder / "api.sock"
    serving = LocalSocket(path, box.service(), box.folder / "outbox.db", Clock(lambda: NOON))
    serving.start()
    assert not serving.fault
    client = RecordsClient(path)
    assert client.serves(box.folder / "outbox.db")
    yield client
    serving.close()
    assert serving.join(10)
