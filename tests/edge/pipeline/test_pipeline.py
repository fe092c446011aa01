"""A running pipeline changes as a whole or not at all, and never mixes configurations."""

import threading
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from itertools import count
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
from edge.pipeline import build_inspector
from edge.pipeline.pipeline import Pipeline, PipelineTimeouts
from edge.pipeline.running_state import RunningCameras, RunningModel
from tests.support.scripted_model import Sink
from tests.support.waiting import wait_until


class NothingJudged:
    """No item has its verdict yet."""

    def judged(self, camera: str, receipt: str) -> bool:
        """Never."""
        del camera, receipt
        return False

    def stored(self, camera: str, receipt: str) -> bool:
        """Never."""
        del camera, receipt
        return False

    def hand_out(self, camera: str, receipt: str) -> None:
        """Remembers nothing."""

    def prune(self, camera: str, present: Collection[str]) -> None:
        """Remembers nothing."""


class Staged:
    """A camera that gives a picture when the test releases one. Closing it does not end a waiting
    read, as in a driver that hangs."""

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


class StagedPipeline:
    """A running pipeline of staged cameras."""

    def __init__(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._model = model
        self.pictures: dict[str, threading.Semaphore] = {}
        self.opened: list[str] = []
        self.verdicts: list[Verdict] = []
        self.factory = MockFactory()
        self.config = self.make([{"id": "a", "source": "test:"}, {"id": "b", "source": "test:"}])
        self.inspector = build_inspector(self.config)
        self.cameras = RunningCameras()
        self.noted: list[Part] = []
        self.numbers = count(1)
        self.pipeline = Pipeline(
            self.config,
            RunningModel(self.inspector),
            Clock(),
            cameras=self.cameras,
            sink=Sink(self.verdicts.append),
            note_part=lambda part, _verdicts: self.noted.append(part),
            next_number=lambda _camera: next(self.numbers),
            parts_changed=lambda: None,
            processed_items=NothingJudged(),
            factory=self.factory,
            open_camera=self._open,
            timeouts=PipelineTimeouts(join_s=0.2, finish_s=0.2),  # as long as a test may wait
        )
        self.pipeline.start()

    def make(self, cameras: list[dict[str, Any]], **decision: Any) -> Config:
        """A configuration of the one model."""
        return Config.read(
            {
                "station": "line1",
                "model": {"path": str(self._model), "workers": 3},  # one for each camera
                "cameras": [{"timeout_s": 60, **camera} for camera in cameras],
                "decision": {"deadline_ms": 60_000, **decision},
            }
        )

    def show(self, camera: str) -> None:
        """The camera has one more picture."""
        self.pictures[camera].release()

    def adopt(self, config: Config) -> None:
        """Applies a configuration; each pin counts as one that the old configuration uses."""
        changes, never = diff_configs(self.config, config), StopEvent()
        with ExitStack() as undo:
            change = self.pipeline.prepare(changes, self.inspector, lambda _pin: False, undo)
            self.pipeline.adopt(change, lambda _undo: None, never)
            undo.pop_all()
        self.pipeline.finish(change, never)
        self.config = config

    def of(self, camera: str) -> list[Verdict]:
        """The verdicts on a camera."""
        return [v for v in self.verdicts if v.camera == camera]

    def close(self) -> None:
        """Stops it; a picture ends each waiting read."""
        stopping = start_thread("stop", self.pipeline.stop)
        while stopping.is_alive():
            for pictures in self.pictures.values():
                pictures.release()
            stopping.join(0.01)
        assert self.pipeline.workers.join(30) == []
        self.factory.close()

    def _open(self, config: Any, _environment: Clock, *_more: object) -> Staged:
        self.opened.append(config.id)
        pictures = self.pictures[config.id] = threading.Semaphore(0)
        return Staged(pictures)


@pytest.fixture
def staged(redness_model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StagedPipeline]:
    """Two cameras, a and b, both open."""
    made = StagedPipeline(redness_model, monkeypatch)
    yield made
    made.close()


def test_a_camera_that_hangs_is_left_behind(staged: StagedPipeline) -> None:
    """Camera a hangs in its driver when it is changed. Its successor is judged; a picture that the
    driver returns later is not. Camera b is not opened again."""
    wait_until(lambda: sorted(staged.opened) == ["a", "b"])
    hung = staged.pictures["a"]
    staged.adopt(
        staged.make([{"id": "a", "source": "test:", "fps": 9}, {"id": "b", "source": "test:"}])
    )
    wait_until(lambda: staged.opened.count("a") == 2)
    hung.release()
    staged.show("b")
    wait_until(lambda: staged.of("b"))
    assert staged.of("a") == []
    staged.show("a")
    wait_until(lambda: staged.of("a"))
    assert [v.config for v in staged.of("a")] == [staged.config.hash]
    assert staged.opened.count("b") == 1


def test_frame_numbers_continue(staged: StagedPipeline) -> None:
    """A camera's frame numbers continue with its successor."""
    wait_until(lambda: "a" in staged.pictures)
    staged.show("a")
    wait_until(lambda: staged.of("a"))
    staged.adopt(
        staged.make([{"id": "a", "source": "test:", "fps": 9}, {"id": "b", "source": "test:"}])
    )
    wait_until(lambda: staged.opened.count("a") == 2)
    staged.show("a")
    wait_until(lambda: len(staged.of("a")) == 2)
    assert [v.frame_seq for v in staged.of("a")] == [1, 2]


def test_a_pin_that_is_taken_changes_nothing(staged: StagedPipeline) -> None:
    """The new configuration cannot run: the old cameras were never stopped, and the worker of the
    new one is gone."""
    wait_until(lambda: sorted(staged.opened) == ["a", "b"])
    old, workers = staged.config, staged.pipeline.workers.all
    taken = gpiozero.LED(17, pin_factory=staged.factory)
    trigger = {"kind": "gpio", "pin": 17}
    with pytest.raises(EdgeInspectError, match="17"):
        staged.adopt(
            staged.make(
                [
                    {"id": "a", "source": "test:", "fps": 9},
                    {"id": "b", "source": "test:", "trigger": trigger},
                    {"id": "c", "source": "test:"},
                ]
            )
        )
    taken.close()
    assert sorted(staged.cameras.readers) == ["a", "b"]
    assert not staged.cameras.trackers
    assert sorted(staged.opened) == ["a", "b"]
    assert staged.pipeline.workers.all == workers
    staged.show("b")
    wait_until(lambda: staged.of("b"))
    assert [v.config for v in staged.of("b")] == [old.hash]


@pytest.mark.slow
def test_open_parts_of_a_camera_that_goes_are_answered(staged: StagedPipeline) -> None:
    """An open part of a removed camera gets one `error` verdict."""
    wait_until(lambda: sorted(staged.opened) == ["a", "b"])
    asked = {"kind": "request", "deadline_ms": 60_000}
    staged.adopt(staged.make([{"id": "a", "source": "test:", "trigger": asked}]))
    assert sorted(staged.cameras.readers) == ["a"]
    tracker = staged.cameras.trackers["a"]
    tracker.trigger("request", "P1")
    assert [part.name for part in staged.noted] == ["P1"]
    staged.adopt(staged.make([{"id": "b", "source": "test:"}]))
    (verdict,) = staged.of("a")
    assert (verdict.verdict, verdict.part) == ("error", "P1")
    assert "configuration was changed" in str(verdict.reason)
    with pytest.raises(EdgeInspectError):
        tracker.trigger("request", "P2")
