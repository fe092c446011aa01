"""The line changes while it runs: whole or not at all, and nothing old is judged by the new."""

import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import gpiozero
import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from edge.capture.camera import CameraRead
from edge.config import Config
from edge.config.diff import diff_configs
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EdgeInspectError
from edge.core.part import Part
from edge.core.threads import start_thread
from edge.core.verdict import Verdict
from edge.pipeline.build import inspector_from
from edge.pipeline.pipeline import LineTimeouts, Pipeline
from edge.pipeline.running_cameras import RunningCameras
from edge.pipeline.running_model import RunningModel
from tests.support.scripted_model import Sink
from tests.support.waiting import wait_until


class NothingJudged:
    """No item has its verdict yet."""

    def judged(self, camera: str, receipt: str) -> bool:
        """Never."""
        del camera, receipt
        return False

    def prune(self, camera: str, present: Collection[str]) -> None:
        """Remembers nothing."""


class Staged:
    """A camera whose every picture the test releases; closed or not, a read that waits goes on
    waiting, as in a driver that hangs."""

    live = True

    def __init__(self, pictures: threading.Semaphore) -> None:
        self._pictures = pictures
        self._number = 0

    def read(self, _stop: StopEvent) -> CameraRead | None:
        self._pictures.acquire()
        self._number += 1
        pixels = np.full((24, 32, 3), 60, np.uint8)
        pixels[::2, ::2] = 120 + self._number % 100
        return CameraRead(pixels)

    def close(self) -> None:
        pass


class Hall:
    """A running line of staged cameras."""

    def __init__(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._model = model
        self.pictures: dict[str, threading.Semaphore] = {}
        self.opened: list[str] = []
        self.verdicts: list[Verdict] = []
        self.factory = MockFactory()
        self.config = self.make([{"id": "a", "source": "test:"}, {"id": "b", "source": "test:"}])
        self.inspector = inspector_from(self.config)
        self.cameras = RunningCameras()
        self.noted: list[Part] = []
        self.line = Pipeline(
            self.config,
            RunningModel(self.inspector),
            Clock(),
            cameras=self.cameras,
            sink=Sink(self.verdicts.append),
            journal=self,
            parts_changed=threading.Event(),
            receipts=NothingJudged(),
            factory=self.factory,
            open_camera=self._open,
            timeouts=LineTimeouts(join_s=0.2, finish_s=0.2),  # as long as a test may wait
        )
        self.line.start()

    def make(self, cameras: list[dict[str, Any]], **decision: Any) -> Config:
        """A configuration of the one model."""
        return Config.read(
            {
                "station": "line1",
                "model": {"path": str(self._model)},
                "cameras": [{"timeout_s": 60, **camera} for camera in cameras],
                "decision": {"deadline_ms": 60_000, **decision},
            }
        )

    def note(self, part: Part) -> None:
        """As `PartJournal`."""
        self.noted.append(part)

    def show(self, camera: str) -> None:
        """The camera has one more picture."""
        self.pictures[camera].release()

    def adopt(self, config: Config) -> None:
        """Takes a configuration over."""
        self.line.adopt(self.config, diff_configs(self.config, config), self.inspector)
        self.config = config

    def of(self, camera: str) -> list[Verdict]:
        """The verdicts on a camera, without those that say it is silent."""
        return [v for v in self.verdicts if v.camera == camera]

    def close(self) -> None:
        """Ends it; cameras that wait get a picture to wake up by."""
        stopping = start_thread("stop", self.line.stop)
        while stopping.is_alive():
            for pictures in self.pictures.values():
                pictures.release()
            stopping.join(0.01)
        assert self.line.workers.join(30) == []
        self.factory.close()

    def _open(self, config: Any, _environment: Clock, *_more: object) -> Staged:
        self.opened.append(config.id)
        pictures = self.pictures[config.id] = threading.Semaphore(0)
        return Staged(pictures)


@pytest.fixture
def hall(redness_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hall]:
    """Two cameras, a and b, both open."""
    made = Hall(redness_model, monkeypatch)
    yield made
    made.close()


def test_a_camera_that_hangs_is_left_behind(hall: Hall) -> None:
    """Camera a hangs in its driver when it is changed: its successor judges, and what the driver
    brings in the end is never judged. Camera b is not opened again."""
    wait_until(lambda: sorted(hall.opened) == ["a", "b"])
    hung = hall.pictures["a"]
    hall.adopt(
        hall.make([{"id": "a", "source": "test:", "fps": 9}, {"id": "b", "source": "test:"}])
    )
    wait_until(lambda: hall.opened.count("a") == 2)
    hung.release()
    hall.show("b")
    wait_until(lambda: hall.of("b"))
    assert hall.of("a") == []
    hall.show("a")
    wait_until(lambda: hall.of("a"))
    assert [v.config for v in hall.of("a")] == [hall.config.hash]
    assert hall.opened.count("b") == 1


def test_numbers_go_on(hall: Hall) -> None:
    """A camera's frame numbers do not begin anew with its successor."""
    wait_until(lambda: "a" in hall.pictures)
    hall.show("a")
    wait_until(lambda: hall.of("a"))
    hall.adopt(
        hall.make([{"id": "a", "source": "test:", "fps": 9}, {"id": "b", "source": "test:"}])
    )
    wait_until(lambda: hall.opened.count("a") == 2)
    hall.show("a")
    wait_until(lambda: len(hall.of("a")) == 2)
    assert [v.frame_seq for v in hall.of("a")] == [1, 2]


def test_a_pin_that_is_taken_changes_nothing(hall: Hall) -> None:
    """The new cannot be: the old cameras are there again, with their old configuration."""
    wait_until(lambda: sorted(hall.opened) == ["a", "b"])
    old = hall.config
    taken = gpiozero.LED(17, pin_factory=hall.factory)
    trigger = {"kind": "gpio", "pin": 17}
    with pytest.raises(EdgeInspectError, match="17"):
        hall.adopt(
            hall.make(
                [
                    {"id": "a", "source": "test:", "fps": 9},
                    {"id": "b", "source": "test:", "trigger": trigger},
                    {"id": "c", "source": "test:"},
                ]
            )
        )
    taken.close()
    assert sorted(hall.cameras.readers) == ["a", "b"]
    assert not hall.cameras.trackers
    wait_until(lambda: hall.opened.count("b") == 2)
    hall.show("b")
    wait_until(lambda: hall.of("b"))
    assert [v.config for v in hall.of("b")] == [old.hash]


def test_open_parts_of_a_camera_that_goes_are_answered(hall: Hall) -> None:
    """A part that was announced to a camera that is taken away gets its `error`, once."""
    wait_until(lambda: sorted(hall.opened) == ["a", "b"])
    asked = {"kind": "request", "deadline_ms": 60_000}
    hall.adopt(hall.make([{"id": "a", "source": "test:", "trigger": asked}]))
    assert sorted(hall.cameras.readers) == ["a"]
    tracker = hall.cameras.trackers["a"]
    tracker.trigger("request", "P1")
    assert [part.name for part in hall.noted] == ["P1"]
    hall.adopt(hall.make([{"id": "b", "source": "test:"}]))
    (verdict,) = hall.of("a")
    assert (verdict.verdict, verdict.part) == ("error", "P1")
    assert "configuration was changed" in str(verdict.reason)
    with pytest.raises(EdgeInspectError):
        tracker.trigger("request", "P2")
