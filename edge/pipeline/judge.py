"""From frames to verdicts, by one model. Whatever goes wrong becomes an `error` verdict with its
reason: a fault never becomes `pass`."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError
from edge.core.frame import Frame, Pixels
from edge.core.ids import uuid7
from edge.core.image import EncodedPicture
from edge.core.part import Part
from edge.core.percentiles import Latencies
from edge.core.verdict import Outcome, Rule, Verdict
from edge.inspection import Inspector, Judgement, Thresholds, combine, with_hysteresis
from edge.pipeline.decode_parity import DecodeParity
from edge.pipeline.frame_inspector import CameraProfile, FrameInspector, FrameResult, OnBadPicture

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Provenance:
    """What every verdict of this process says of where it comes from."""

    station: str
    config_hash: str
    boot_id: str


class Judge:
    """Frames → verdicts. Not for use by two threads at once."""

    def __init__(
        self,
        inspector: Inspector,
        provenance: Provenance,
        environment: Clock,
        deadline_ms: float | None,
        *,
        manners: Mapping[str, CameraProfile] | None = None,
        hysteresis: float = 0.0,
        latencies: Latencies | None = None,
        on_bad_picture: OnBadPicture = lambda _camera, _why, _kind: None,
        parity: DecodeParity | None = None,
    ) -> None:
        """`deadline_ms`: a judgement later than this after its capture is an error; None: never.
        `manners` by camera; a camera that is not there is seen as the model was
        trained, and judged frame by frame. `hysteresis` is in units of score, see `lowered`.
        `latencies`, `on_bad_picture` and `parity` as `FrameInspector` takes them."""
        self.inspector = inspector
        self.latencies = latencies or Latencies()
        self._provenance = provenance
        self._environment = environment
        self._deadline_ms = deadline_ms
        self._examiner = FrameInspector(
            inspector,
            environment,
            manners or {},
            latencies=self.latencies,
            on_bad_picture=on_bad_picture,
            parity=parity or DecodeParity(),
        )
        self._hysteresis = hysteresis
        self._before: dict[tuple[str, str | None], Outcome] = {}

    def __call__(self, frame: Frame) -> Verdict:
        """The verdict on a frame of a camera whose view is one picture, or shares one verdict."""
        (verdict,) = self.judge(frame)
        return verdict

    def judge(self, frame: Frame) -> list[Verdict]:
        """The verdicts on one frame that no trigger asked for: one, or one a region."""
        return self.conclude(frame.camera, [self.look(frame)])

    def verdicts_a_part(self, camera: str) -> int:
        """How many verdicts each part of a camera gets: one, or one a region."""
        return self._examiner.manner(camera).framing.verdicts

    def decode(self, camera: str, picture: EncodedPicture) -> tuple[Pixels, int]:
        """As `FrameInspector.decode`."""
        return self._examiner.decode(camera, picture)

    def look(self, frame: Frame) -> FrameResult:
        """Judges one frame, every region of it. Raises nothing."""
        return self._examiner.look(frame)

    def conclude(
        self,
        camera: str,
        findings: Sequence[FrameResult],
        part: Part | None = None,
        fault: str | None = None,
    ) -> list[Verdict]:
        """The verdicts from all frames of a part, or from one frame without: one, or one a region.

        `fault` ends a part, however its frames were judged. Without one there is a finding at
        least.
        """
        fault = fault or next((f.fault for f in findings if f.fault is not None), None)
        fault = fault or self._late(findings, part)
        manner = self._examiner.manner(camera)
        regions = manner.framing.regions
        try:
            if fault is None:
                return self._by_rule(camera, findings, part, manner)
        except EdgeInspectError as error:
            fault = str(error)
        except Exception as error:  # as above: whoever waits for this verdict must get one
            log.exception("inspection: unexpected fault in the decision")
            fault = f"fault in the decision ({error!r})"
        if manner.framing.worst_decides:
            regions = (None,)
        rules = {name: self._rule(manner, findings, name) for name in regions}
        verdicts = [
            self._verdict(camera, findings, part, region=name, rule=rules[name], fault=fault)
            for name in regions
        ]
        return _receipt_on_last(verdicts)

    def _by_rule(
        self, camera: str, findings: Sequence[FrameResult], part: Part | None, manner: CameraProfile
    ) -> list[Verdict]:
        trigger, framing = manner.trigger, manner.framing
        # Between parts there is no before: hysteresis is for one thing watched over time.
        steady = part is None and findings[0].frame.item is None
        found: dict[str | None, tuple[Judgement, Thresholds]] = {}
        for name in framing.regions:
            key = camera, None if framing.worst_decides else name
            before = self._before.get(key) if steady else None
            at = with_hysteresis(self.inspector.thresholds, before, self._hysteresis)
            judgements = [finding.judgements[name] for finding in findings]
            rule_name = trigger.rule_name if part is not None else "single"
            if rule_name == "single" and at is self.inspector.thresholds:
                (one,) = judgements  # the usual case: judged by these thresholds already
            else:
                one = combine(judgements, rule_name, trigger.k, self.inspector.ok_label, at)
            found[name] = one, at
        of_regions: dict[str, float] = {}
        if framing.worst_decides:
            of_regions = {str(name): j.score for name, (j, _) in found.items()}
            worst = max(found, key=lambda name: found[name][0].score)
            found = {worst: found[worst]}
        verdicts = []
        for name, (judgement, at) in found.items():
            rule = self._rule(manner, findings, name, part)
            if of_regions or at is not self.inspector.thresholds:
                by = round(self.inspector.thresholds.review_from - at.review_from, 9)
                rule = replace(rule, regions=of_regions, hysteresis=by)
            verdicts.append(
                self._verdict(
                    camera, findings, part, region=name, rule=rule, judgement=judgement, at=at
                )
            )
            if steady:
                self._before[camera, None if framing.worst_decides else name] = judgement.outcome
        return _receipt_on_last(verdicts)

    def _late(self, findings: Sequence[FrameResult], part: Part | None) -> str | None:
        tick = self._environment.tick()
        if part is not None:
            if tick <= part.until:
                return None
            return (
                f"judged {(tick - part.tick) * 1000:.0f} ms after the trigger, later than "
                "trigger.deadline_ms"
            )
        frame = findings[0].frame
        # an item waits for its turn as long as it takes: nobody stands at a gate for it
        if self._deadline_ms is None or frame.item is not None:
            return None
        age_ms = (tick - frame.captured_tick) * 1000
        if age_ms <= self._deadline_ms:
            return None
        return f"judged {age_ms:.0f} ms after capture, later than deadline_ms"

    def _rule(
        self,
        manner: CameraProfile,
        findings: Sequence[FrameResult],
        region: str | None,
        part: Part | None = None,
    ) -> Rule:
        trigger = manner.trigger
        scores = tuple(f.judgements[region].score for f in findings if region in f.judgements)
        if part is None and not trigger.announces:
            return Rule(scores=scores)
        return Rule(trigger.rule_name, trigger.frames, scores, trigger.k)

    def _verdict(
        self,
        camera: str,
        findings: Sequence[FrameResult],
        part: Part | None,
        *,
        region: str | None,
        rule: Rule,
        judgement: Judgement | None = None,
        at: Thresholds | None = None,
        fault: str | None = None,
    ) -> Verdict:
        tick = self._environment.tick()
        shown = max(findings, key=lambda f: f.score, default=None)
        captured = shown.frame.captured_tick if shown else part.tick if part else tick
        total_ms = max(0.0, (tick - captured) * 1000)
        since_trigger_ms = None if part is None else max(0.0, (tick - part.tick) * 1000)
        took = {"capture_to_verdict": total_ms}
        if since_trigger_ms is not None:
            took["trigger_to_verdict"] = since_trigger_ms
        self.latencies.add(took)
        at = at or self.inspector.thresholds
        times = [f.inference_ms for f in findings if f.inference_ms is not None]
        return Verdict(
            id=uuid7(),
            boot_id=self._provenance.boot_id,
            station=self._provenance.station,
            camera=camera,
            part=part.name if part else shown.frame.item if shown else None,
            captured_at=shown.frame.captured_at if shown else part.at if part else 0.0,
            verdict=judgement.outcome if judgement else "error",
            label=judgement.label if judgement else None,
            score=judgement.score if judgement else None,
            probabilities=judgement.probabilities if judgement else {},
            reject_at=at.reject_at,
            review_from=at.review_from,
            model=self.inspector.identity,
            config=self._provenance.config_hash,
            frame_width=shown.width if shown else 0,
            frame_height=shown.height if shown else 0,
            frame_seq=shown.frame.seq if shown else 0,
            capture_to_verdict_ms=total_ms,
            inference_ms=sum(times) if times else None,
            reason=judgement.reason if judgement else fault,
            region=region,
            rule=rule,
            trigger=part,
            trigger_to_verdict_ms=since_trigger_ms,
            receipt=shown.frame.receipt if shown else None,
        )


def _receipt_on_last(verdicts: list[Verdict]) -> list[Verdict]:
    """Only the last verdict of a picture says that the picture is done: the outbox may commit
    between two of them, and a picture half told must be judged again."""
    return [replace(v, receipt=None) for v in verdicts[:-1]] + verdicts[-1:]
