"""A judge whose model says what a test wants, and parts whose state a test sets."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.core.clock import Clock
from edge.core.frame import Frame
from edge.core.percentiles import Latencies
from edge.core.verdict import ModelIdentity, Verdict
from edge.inspection.decision import Thresholds
from edge.inspection.inspector import Inspector
from edge.inspection.model_file import ModelFile
from edge.inspection.preprocess import InputSpec
from edge.monitoring.components import Components
from edge.monitoring.health import Health
from edge.monitoring.host import HostMetrics
from edge.mqtt.puback import CAUSES
from edge.pipeline.judge import Judge, Provenance
from edge.storage.outbox.records import OutboxStats
from tests.conftest import Require

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
MakeJudge = Callable[..., Judge]


class ScriptedModel:
    """A classifier that answers with a row, or raises, and may take its time."""

    def __init__(self, answer: list[float] | BaseException, work: Callable[[], None]) -> None:
        self.answer, self.work = answer, work
        self.calls = 0

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classifies."""
        assert picture.shape == (16, 16, 3)
        self.calls += 1
        self.work()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return np.array(self.answer, np.float32)

    def twin(self) -> "ScriptedModel":
        """The same script, begun anew."""
        return ScriptedModel(self.answer, self.work)


def inspector_with(model: ScriptedModel) -> Inspector:
    """An inspector around a scripted model: labels ok and red, thresholds 0.4 and 0.6."""
    identity = ModelIdentity("scripted", "1", "0" * 64)
    return Inspector(
        identity=identity,
        runtime="scripted",
        input=InputSpec(width=16, height=16),
        output="probabilities",
        temperature=1.0,
        labels=("ok", "red"),
        ok_label="ok",
        thresholds=Thresholds(reject_at=0.6, review_from=0.4),
        classify=model,
        file=ModelFile("scripted.tflite", b"", identity.sha256, None, None),
    )


@pytest.fixture
def make_judge(environment: Clock) -> MakeJudge:
    """`make_judge([p_ok, p_red] or an exception, deadline_ms=…, work=…)`."""

    def make(
        answer: list[float] | BaseException,
        deadline_ms: float | None = 2000,
        work: Callable[[], None] = lambda: None,
    ) -> Judge:
        provenance = Provenance("line1", "0123456789ab", "b-1")
        return Judge(
            inspector_with(ScriptedModel(answer, work)), provenance, environment, deadline_ms
        )

    return make


def ignore(*_arguments: object) -> None:
    """Does nothing."""


class Sink:
    """A `VerdictSink` made of two functions."""

    def __init__(
        self,
        deliver: Callable[[Verdict], object] = ignore,
        keep: Callable[[Frame, Verdict], object] = ignore,
    ) -> None:
        self._deliver, self._keep = deliver, keep

    def deliver(self, verdict: Verdict) -> None:
        """Calls the first."""
        self._deliver(verdict)

    def keep(self, frame: Frame, verdict: Verdict) -> None:
        """Calls the second."""
        self._keep(frame, verdict)


class House:
    """Everything that health and the supervisor look at, all well until a test says otherwise."""

    def __init__(self, environment: Clock, state: Path) -> None:
        tick = environment.tick()
        self.reader = SimpleNamespace(
            id="top",
            state="live",
            why="",
            frames=0,
            frozen=0,
            passed_over=0,
            repeated=0,
            distrusted={},
            faults=0,
            reconnects=0,
            stuck=0.0,
            checked=0,
        )
        self.reader.check = lambda: setattr(self.reader, "checked", self.reader.checked + 1)
        self.reader.stuck_s = lambda: self.reader.stuck
        self.reader.last_frame_age_s = lambda: 0.04
        self.stats = OutboxStats(rows=2, bytes=2048, stored=9, acked=7)
        self.announced: list[tuple[str, bytes]] = []
        self.latencies = Latencies()
        self.judging = SimpleNamespace(
            beat=tick,
            counts={"pass": 5, "review": 1, "fail": 2, "error": 1},
            replaced=lambda _camera: 3,
        )
        self.writer = SimpleNamespace(beat=tick, fault="", stats=lambda: self.stats)
        self.publisher: Any = SimpleNamespace(
            beat=tick,
            state="online",
            why="",
            reconnects=1,
            at="127.0.0.1:1883",
            version="5",
            refused=dict.fromkeys(CAUSES, 0),
            faults=lambda: [why for why in [self.publisher.why] if why],
            announce=lambda name, body: self.announced.append((name, body)),
        )
        self.open_parts = SimpleNamespace(fault="")
        components: dict[str, Any] = {
            "open_parts": self.open_parts,
            "readers": {"top": self.reader},
            "latencies": self.latencies,
            "workers": self.judging,
            "writer": self.writer,
            "publisher": self.publisher,
        }
        self.components = Components(**cast(Any, components))
        self.health = Health(
            self.components, HostMetrics(environment.root, state), environment, "s-1"
        )


@pytest.fixture
def house(environment: Clock, tmp_path: Path) -> House:
    """Parts that are all well."""
    return House(environment, tmp_path)


@pytest.fixture
def board(require: Require) -> Iterator[Any]:
    """A Raspberry Pi of mock pins."""
    require("gpiozero", "pip install '.[test]'")
    from gpiozero.pins.mock import MockFactory

    factory = MockFactory()
    yield factory
    factory.reset()
