"""An inspector whose model gives scripted answers, and a verdict sink made of functions."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.core.frame import Frame
from edge.core.verdict import ModelIdentity, Verdict
from edge.inspection.decision import Thresholds
from edge.inspection.inspector import Inspector
from edge.inspection.model_file import ModelFile
from edge.inspection.preprocessing import InputSpec
from edge.pipeline.judge import Judge

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
MakeJudge = Callable[..., Judge]


class ScriptedModel:
    """A classifier that answers with a row, or raises, and may take its time."""

    def __init__(self, answer: list[float] | BaseException, work: Callable[[], None]) -> None:
        self.answer, self.work = answer, work
        self.calls = 0
        self.memory_bytes = 1000

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Classifies."""
        assert picture.shape == (16, 16, 3)
        self.calls += 1
        self.work()
        if isinstance(self.answer, BaseException):
            raise self.answer
        return np.array(self.answer, np.float32)

    def clone(self) -> "ScriptedModel":
        """A copy that starts the same script again."""
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


def ignore(*_arguments: object) -> None:
    """Does nothing."""


class Sink:
    """A `VerdictSink` made of two functions."""

    def __init__(
        self,
        deliver: Callable[[Verdict], object] = ignore,
        keep: Callable[[Sequence[Frame], Verdict], object] = ignore,
        *,
        keeps_all_frames: bool = False,
    ) -> None:
        """`keeps_all_frames`: what the sink answers."""
        self._deliver, self._keep = deliver, keep
        self._keeps_all_frames = keeps_all_frames

    def deliver(self, verdict: Verdict) -> None:
        """Calls the first."""
        self._deliver(verdict)

    def keep(self, frames: Sequence[Frame], verdict: Verdict) -> None:
        """Calls the second."""
        self._keep(frames, verdict)

    def keeps_all_frames(self) -> bool:
        """As it was built."""
        return self._keeps_all_frames
