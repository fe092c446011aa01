"""From frame to verdict, and the thread that does it for every frame."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edge.capture.mailbox import Mailbox
from edge.environment import Environment
from edge.errors import EdgeInspectError
from edge.frame import Frame
from edge.identity import uuid7
from edge.inspection.decision import Judgement
from edge.inspection.inspector import Inspector
from edge.verdict import OUTCOMES, Outcome, Verdict

log = logging.getLogger(__name__)

_TAKE_S = 0.5
_KEPT = 1000


@dataclass(frozen=True, slots=True)
class Provenance:
    """What every verdict of this process says of where it comes from."""

    station: str
    config_hash: str
    boot_id: str


class Latencies:
    """The last thousand durations of each stage, in milliseconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, deque[float]] = {}

    def add(self, stage: str, ms: float) -> None:
        """Notes one duration."""
        with self._lock:
            self._stages.setdefault(stage, deque(maxlen=_KEPT)).append(ms)

    def percentiles(self) -> dict[str, dict[str, float]]:
        """`{stage: {p50, p95, p99}}` in milliseconds."""
        with self._lock:
            copies = {stage: list(values) for stage, values in self._stages.items()}
        return {
            stage: {
                f"p{q}": round(float(p), 3)
                for q, p in zip((50, 95, 99), np.percentile(v, [50, 95, 99]))
            }
            for stage, v in copies.items()
        }


class Judge:
    """Frame → Verdict, by one model. Not for use by two threads at once.

    Whatever goes wrong becomes an `error` verdict with its reason: a fault never becomes `pass`.
    """

    def __init__(
        self,
        inspector: Inspector,
        provenance: Provenance,
        environment: Environment,
        deadline_ms: float | None,
    ) -> None:
        """`deadline_ms`: a judgement later than this after its capture is an error; None: never."""
        self.inspector = inspector
        self.latencies = Latencies()
        self._provenance = provenance
        self._environment = environment
        self._deadline_ms = deadline_ms

    def __call__(self, frame: Frame) -> Verdict:
        """Judges one frame."""
        if frame.pixels is None:
            return self._verdict(frame, None, None, frame.fault or "the camera gave no picture")
        start = self._environment.tick()
        try:
            picture = self.inspector.prepare(frame.pixels)
            prepared = self._environment.tick()
            judgement = self.inspector.judge(picture)
        except EdgeInspectError as error:
            return self._verdict(frame, None, None, str(error))
        except Exception as error:  # a model that crashes must not take its part for good
            log.exception("inspection: unexpected fault")
            return self._verdict(frame, None, None, f"fault in the model ({error!r})")
        done = self._environment.tick()
        self.latencies.add("prepare", (prepared - start) * 1000)
        self.latencies.add("inference", (done - prepared) * 1000)
        age_ms = (done - frame.captured_tick) * 1000
        # an item waits for its turn as long as it takes: nobody stands at a gate for it
        deadline_ms = self._deadline_ms if frame.item is None else None
        if deadline_ms is not None and age_ms > deadline_ms:
            late = f"judged {age_ms:.0f} ms after capture, later than deadline_ms"
            return self._verdict(frame, None, (done - prepared) * 1000, late)
        return self._verdict(frame, judgement, (done - prepared) * 1000, None)

    def _verdict(
        self,
        frame: Frame,
        judgement: Judgement | None,
        inference_ms: float | None,
        fault: str | None,
    ) -> Verdict:
        total_ms = (self._environment.tick() - frame.captured_tick) * 1000
        self.latencies.add("capture_to_verdict", total_ms)
        at = self.inspector.thresholds
        height, width = frame.pixels.shape[:2] if frame.pixels is not None else (0, 0)
        return Verdict(
            id=uuid7(),
            boot_id=self._provenance.boot_id,
            station=self._provenance.station,
            camera=frame.camera,
            part=frame.item,
            captured_at=frame.captured_at,
            verdict=judgement.outcome if judgement else "error",
            label=judgement.label if judgement else None,
            score=judgement.score if judgement else None,
            probabilities=judgement.probabilities if judgement else {},
            reject_at=at.reject_at,
            review_from=at.review_from,
            model=self.inspector.identity,
            config=self._provenance.config_hash,
            frame_width=width,
            frame_height=height,
            frame_seq=frame.seq,
            capture_to_verdict_ms=total_ms,
            inference_ms=inference_ms,
            reason=judgement.reason if judgement else fault,
            receipt=frame.receipt,
        )


class Judging:
    """The inspection thread: takes frames, judges, hands verdicts on."""

    def __init__(
        self,
        mailbox: Mailbox,
        judge: Judge,
        deliver: Callable[[Verdict], None],
        keep: Callable[[Frame, Verdict], None],
        environment: Environment,
    ) -> None:
        """`deliver` stores a verdict for the plant; `keep` may keep the picture as evidence."""
        self.counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self.faults = 0
        self.beat = environment.tick()
        self._mailbox, self._judge = mailbox, judge
        self._deliver, self._keep = deliver, keep
        self._environment = environment

    def run(self) -> None:
        """Until the mailbox is closed and empty."""
        while not self._mailbox.drained:
            self.beat = self._environment.tick()
            frame = self._mailbox.take(_TAKE_S)
            if frame is None:
                continue
            try:
                self.run_once(frame)
            except Exception:  # outermost loop: one frame's fault must not end all judging
                self.faults += 1
                log.exception("inspection: unexpected fault after judging")

    def run_once(self, frame: Frame) -> None:
        """One frame: judged, handed to the outbox, perhaps kept."""
        verdict = self._judge(frame)
        self._deliver(verdict)
        self.counts[verdict.verdict] += 1
        self._keep(frame, verdict)
