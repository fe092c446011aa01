"""`request/snapshot`: by camera or by verdict; every request gets an answer."""

from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from edge.capture.frame_tap import FrameTap
from edge.config.mqtt import SnapshotsConfig
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError, RefusedError, TriggerError
from edge.mqtt.request_router import Data, result_or_error, settle
from edge.mqtt.snapshots import SnapshotSender
from edge.plant.snapshot_requests import SnapshotRequests
from tests.support.clock import FakeClock

PICTURE = np.full((48, 64, 3), 90, np.uint8)
ID = "0199a1b2-c3d4-7000-8000-000000000001"


class Orders(SnapshotSender):
    """Remembers what would be sent."""

    def __init__(self, environment: Clock) -> None:
        def no_link(_on_event: object) -> Any:
            raise AssertionError("nothing is sent here")

        super().__init__(SnapshotsConfig(), "inspection/line1", environment, no_link)
        self.ordered: list[tuple[str, Any, Future[Data]]] = []

    def order(self, name: str, source: Any, answer: Future[Data]) -> None:
        self.ordered.append((name, source, answer))


class SnapshotBox:
    """Snapshot requests for cameras, with an archive that holds one picture."""

    def __init__(self, *cameras: str, archive: bool = True) -> None:
        self.clock = FakeClock()
        environment = Clock(now=self.clock.now, tick=self.clock.tick)
        self.taps = {name: FrameTap() for name in cameras}
        self.orders = Orders(environment)
        readers = {name: SimpleNamespace(id=name, tap=tap) for name, tap in self.taps.items()}
        self.requests = SnapshotRequests(
            cast(Any, readers),
            cast(
                Any, SimpleNamespace(archive=SimpleNamespace(find=self._kept) if archive else None)
            ),
            self.orders,
            environment,
        )

    @staticmethod
    def _kept(name: str) -> bytes:
        if name != ID:
            raise RefusedError("none is kept")
        return b"jpeg"

    def request(self, **fields: object) -> list[Any]:
        """Sends a request; the list gets its answer."""
        answers: list[Any] = []
        self.requests.handle("1", fields).add_done_callback(
            lambda done: answers.append(result_or_error(done))
        )
        return answers


def test_the_next_picture_of_a_camera() -> None:
    """Nothing is sent before the camera has a new picture; then exactly that one is."""
    box = SnapshotBox("top", "side")
    answers = box.request(camera="side")
    box.taps["top"].deliver(PICTURE)
    assert box.orders.ordered == []
    box.taps["side"].deliver(PICTURE)
    ((_name, source, answer),) = box.orders.ordered
    assert source() is PICTURE
    settle(answer, {"topic": "t"})
    assert answers == [{"topic": "t"}]


def test_one_camera_needs_no_name() -> None:
    """The only camera is meant."""
    box = SnapshotBox("top")
    box.request()
    box.taps["top"].deliver(PICTURE)
    assert len(box.orders.ordered) == 1


def test_a_camera_that_gives_no_picture() -> None:
    """After five seconds the answer is an error, and a picture that comes after is not sent."""
    box = SnapshotBox("top")
    answers = box.request()
    box.requests.overdue()
    assert answers == []
    box.clock.at += 5.1
    box.requests.overdue()
    box.requests.overdue()
    assert len(answers) == 1
    assert isinstance(answers[0], EdgeInspectError)
    assert "no picture in 5 s" in str(answers[0])
    box.taps["top"].deliver(PICTURE)
    assert box.orders.ordered == []


def test_a_kept_picture() -> None:
    """By the id of its verdict, read on the sender's thread, not on the network's."""
    box = SnapshotBox("top")
    box.request(id=ID)
    ((name, source, _answer),) = box.orders.ordered
    assert (name, source()) == (ID, b"jpeg")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "name one of them"),
        ({"camera": "bottom"}, "there is no 'bottom'"),
        ({"camera": 7}, "camera: "),
        ({"id": "../../etc/passwd"}, "id: "),
        ({"id": ID, "camera": "top"}, "one of the two"),
        ({"picture": "x"}, "picture: "),
    ],
)
def test_what_makes_no_sense_is_refused(fields: dict[str, Any], words: str) -> None:
    """Each mistake is named."""
    with pytest.raises(TriggerError, match=words):
        SnapshotBox("top", "side").requests.handle("1", fields)


def test_no_archive_no_old_pictures() -> None:
    """The sentence names the key that keeps pictures."""
    with pytest.raises(TriggerError, match=r"archive\.enabled"):
        SnapshotBox("top", archive=False).requests.handle("1", {"id": ID})


def test_too_many_who_wait() -> None:
    """The ninth request that waits for one camera is refused."""
    box = SnapshotBox("top")
    for _ in range(8):
        box.request()
    with pytest.raises(TriggerError, match="too many"):
        box.request()
