"""Turns frames into verdicts with one model. A fault becomes an `error` verdict with its reason,
never a `pass`."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError
from edge.core.frame import Frame
from edge.core.ids import uuid7
from edge.core.image import EncodedPicture
from edge.core.part import Part
from edge.core.percentiles import Latencies
from edge.core.terms import Pixels
from edge.core.verdict import Judging, Outcome, RecipeIdentity, Rule, Verdict
from edge.core.view import ViewConfig
from edge.inspection import Inspector, Judgement, Thresholds, combine, with_hysteresis
from edge.pipeline.frame_inspector import CameraProfile, FrameInspector, FrameResult, OnBadPicture

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin that every verdict of a judge states."""

    station: str
    config_hash: str
    boot_id: str
    recipe: RecipeIdentity | None = None


def judging_by(inspector: Inspector, view: ViewConfig) -> Judging:
    """What judging a picture of this view again takes."""
    rule = inspector.input.decoding
    settings: dict[str, Any] = {"ok_label": inspector.ok_label}
    if inspector.file.spec is None:  # config.yaml has the settings that the file lacks
        settings |= {
            "labels": list(inspector.labels),
            "output": inspector.output,
            "scaling": inspector.scaling,
        }
    decoding = None if rule is None else rule.to_dict(brief=True)
    return Judging(view, decoding, settings, inspector.runtime)


class Judge:
    """Not for use by two threads at once."""

    def __init__(
        self,
        inspector: Inspector,
        provenance: Provenance,
        clock: Clock,
        deadline_ms: float | None,
        *,
        profiles: Mapping[str, CameraProfile] | None = None,
        hysteresis: float = 0.0,
        latencies: Latencies | None = None,
        on_bad_picture: OnBadPicture = lambda _camera, _why, _kind: None,
    ) -> None:
        """Parameters:

        deadline_ms: a later judgement is an error, counted from the capture; None: no deadline.
        profiles: by camera; a camera without one gets the view that the model was trained with,
            and is judged frame by frame.
        hysteresis: in units of score, see `with_hysteresis`.

        The others are those of `FrameInspector`.
        """
        self.inspector = inspector
        self.latencies = latencies or Latencies()
        self._provenance = provenance
        self._clock = clock
        self._deadline_ms = deadline_ms
        self._frame_inspector = FrameInspector(
            inspector,
            clock,
            profiles or {},
            latencies=self.latencies,
            on_bad_picture=on_bad_picture,
        )
        self._hysteresis = hysteresis
        self._before: dict[tuple[str, str | None], Outcome] = {}
        self._judging: dict[str, Judging] = {}

    def __call__(self, frame: Frame) -> Verdict:
        """The one verdict on a frame; for a view without regions, or with one verdict for all."""
        (verdict,) = self.judge(frame)
        return verdict

    def judge(self, frame: Frame) -> list[Verdict]:
        """The verdicts on one frame without a trigger: one, or one per region."""
        return self.conclude(frame.camera, [self.inspect(frame)])

    def decode(self, camera: str, picture: EncodedPicture) -> tuple[Pixels, int]:
        """As `FrameInspector.decode`."""
        return self._frame_inspector.decode(camera, picture)

    def inspect(self, frame: Frame) -> FrameResult:
        """Judges one frame, every region of it. Raises nothing."""
        return self._frame_inspector.inspect(frame)

    def conclude(
        self,
        camera: str,
        results: Sequence[FrameResult],
        part: Part | None = None,
        fault: str | None = None,
    ) -> list[Verdict]:
        """The verdicts from all frames of a part, or from one frame without a part: one, or one per
        region.

        results: at least one, unless there is a `fault`.
        fault: ends the part, whatever its frames show.
        """
        fault = fault or next((r.fault for r in results if r.fault is not None), None)
        fault = fault or self._late(results, part)
        profile = self._frame_inspector.profile(camera)
        regions = profile.crop.regions
        try:
            if fault is None:
                return self._by_rule(camera, results, part, profile)
        except EdgeInspectError as error:
            fault = str(error)
        except Exception as error:  # the part must get a verdict whatever happens
            log.exception("inspection: unexpected fault in the decision")
            fault = f"fault in the decision ({error!r})"
        if profile.crop.worst_decides:
            regions = (None,)
        rules = {name: self._rule(profile, results, name) for name in regions}
        verdicts = [
            self._verdict(camera, results, part, region=name, rule=rules[name], fault=fault)
            for name in regions
        ]
        return _receipt_on_last(verdicts)

    def _by_rule(
        self, camera: str, results: Sequence[FrameResult], part: Part | None, profile: CameraProfile
    ) -> list[Verdict]:
        trigger, crop = profile.trigger, profile.crop
        # hysteresis is for one thing watched over time, not for a series of parts
        steady = part is None and results[0].frame.item is None
        found: dict[str | None, tuple[Judgement, Thresholds]] = {}
        for name in crop.regions:
            key = camera, None if crop.worst_decides else name
            before = self._before.get(key) if steady else None
            at = with_hysteresis(self.inspector.thresholds, before, self._hysteresis)
            judgements = [result.judgements[name] for result in results]
            rule_name = trigger.rule_name if part is not None else "single"
            if rule_name == "single" and at is self.inspector.thresholds:
                (one,) = judgements  # the usual case: judged by these thresholds already
            else:
                one = combine(judgements, rule_name, trigger.k, self.inspector.ok_label, at)
            found[name] = one, at
        of_regions: dict[str, float] = {}
        if crop.worst_decides:
            of_regions = {str(name): j.score for name, (j, _) in found.items()}
            worst = max(found, key=lambda name: found[name][0].score)
            found = {worst: found[worst]}
        verdicts = []
        for name, (judgement, at) in found.items():
            rule = self._rule(profile, results, name, part)
            if of_regions or at is not self.inspector.thresholds:
                by = round(self.inspector.thresholds.review_from - at.review_from, 9)
                rule = replace(rule, regions=of_regions, hysteresis=by)
            verdicts.append(
                self._verdict(
                    camera, results, part, region=name, rule=rule, judgement=judgement, at=at
                )
            )
            if steady:
                self._before[camera, None if crop.worst_decides else name] = judgement.outcome
        return _receipt_on_last(verdicts)

    def _late(self, results: Sequence[FrameResult], part: Part | None) -> str | None:
        tick = self._clock.tick()
        if part is not None:
            if tick <= part.until:
                return None
            return (
                f"judged {(tick - part.tick) * 1000:.0f} ms after the trigger, later than "
                "trigger.deadline_ms"
            )
        frame = results[0].frame
        # a file may wait: no gate is waiting for its verdict
        if self._deadline_ms is None or frame.item is not None:
            return None
        age_ms = (tick - frame.captured_tick) * 1000
        if age_ms <= self._deadline_ms:
            return None
        return f"judged {age_ms:.0f} ms after capture, later than deadline_ms"

    def _rule(
        self,
        profile: CameraProfile,
        results: Sequence[FrameResult],
        region: str | None,
        part: Part | None = None,
    ) -> Rule:
        trigger = profile.trigger
        scores = tuple(r.judgements[region].score for r in results if region in r.judgements)
        if part is None and not trigger.announces:
            return Rule(scores=scores)
        return Rule(trigger.rule_name, trigger.frames, scores, trigger.k)

    def _verdict(
        self,
        camera: str,
        results: Sequence[FrameResult],
        part: Part | None,
        *,
        region: str | None,
        rule: Rule,
        judgement: Judgement | None = None,
        at: Thresholds | None = None,
        fault: str | None = None,
    ) -> Verdict:
        tick = self._clock.tick()
        shown = max(results, key=lambda r: r.score, default=None)
        captured = shown.frame.captured_tick if shown else part.tick if part else tick
        total_ms = max(0.0, (tick - captured) * 1000)
        since_trigger_ms = None if part is None else max(0.0, (tick - part.tick) * 1000)
        took = {"capture_to_verdict": total_ms}
        if since_trigger_ms is not None:
            took["trigger_to_verdict"] = since_trigger_ms
        self.latencies.add(took)
        at = at or self.inspector.thresholds
        times = [r.inference_ms for r in results if r.inference_ms is not None]
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
            judging=self._judging_of(camera),
            recipe=self._provenance.recipe,
        )

    def _judging_of(self, camera: str) -> Judging:
        found = self._judging.get(camera)
        if found is None:
            view = self._frame_inspector.profile(camera).crop.view
            found = self._judging[camera] = judging_by(self.inspector, view)
        return found


def _receipt_on_last(verdicts: list[Verdict]) -> list[Verdict]:
    """Only the last verdict of a picture marks it as processed. The outbox may commit between two
    of them, and then the picture must be judged again."""
    return [replace(v, receipt=None) for v in verdicts[:-1]] + verdicts[-1:]
