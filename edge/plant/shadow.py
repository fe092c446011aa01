"""A candidate that judges along on live parts, before it counts.

Nothing of it is published, stored or kept. It never makes a verdict late: its thread has the lowest
priority and a mailbox for one part, and a part is skipped while frames wait for a worker. Views,
thresholds, rules and recipes are those of config.yaml, as if the candidate were active.
"""

import logging
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from edge.config import Config
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError, RefusedError
from edge.core.frame import Frame
from edge.core.messages import rfc3339
from edge.core.text import one_line, typed
from edge.core.threads import yield_processor
from edge.core.verdict import Outcome, Verdict
from edge.inspection import Inspector, ModelFile
from edge.models import ShadowRecord, Version, configs_judging_by, open_store
from edge.pipeline import Judge, build_inspector, build_judge
from edge.plant.shadow_report import ShadowCounts, ShadowReport

log = logging.getLogger(__name__)

_Key = tuple[str, int, int | None]  # camera, frame, part
_Opinions = Mapping[str | None, tuple[Outcome, float | None]]  # by region: verdict and inference ms


class LiveParts(Protocol):
    """Sees the live parts beside the verdicts; `Shadow` is the real part."""

    @property
    def wants_all_frames(self) -> bool:
        """Whether it needs the pictures of all frames of a part."""
        ...

    def offer(self, frames: Sequence[Frame], verdict: Verdict) -> None:
        """A part after its verdict. Never waits."""
        ...


class NoShadow:
    """Nothing judges along."""

    wants_all_frames = False

    def offer(self, frames: Sequence[Frame], verdict: Verdict) -> None:
        """Nothing."""


@dataclass(slots=True)
class _Item:
    """One part that waits, with a verdict for each region."""

    key: _Key
    frames: tuple[Frame, ...]
    verdicts: list[Verdict]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What judges along: for which record, under which configuration, a judge by recipe."""

    record: ShadowRecord
    config: Config
    hash: str
    judges: Mapping[int | None, Judge] = field(default_factory=dict)
    fault: str | None = None


class Shadow:
    """Safe between threads; one thread runs it."""

    def __init__(
        self, config: Callable[[], Config], clock: Clock, is_busy: Callable[[], bool]
    ) -> None:
        """Goes on with the candidate that the last process had.

        config   the running one; a reload changes it
        is_busy  whether frames wait for an inspection worker
        """
        self._config, self._clock, self._is_busy = config, clock, is_busy
        self._changed = threading.Condition()
        self._record = open_store(config()).shadow()
        self._waiting: _Item | None = None
        self._counts = ShadowCounts(self._now())
        self._candidate: _Candidate | None = None  # the thread's
        self._last: tuple[_Key, _Opinions] | None = None  # the thread's
        self._closing = False

    @property
    def wants_all_frames(self) -> bool:
        """Whether a candidate judges along."""
        return self._record is not None

    def start(self, version: Version, by: str) -> ShadowReport:
        """This version judges along from now on, in place of any other. Raises RefusedError."""
        config = self._config()
        if not configs_judging_by(config, version.name):
            raise RefusedError(
                f"{version.title}: config.yaml names {version.name} neither in model.path nor in a "
                "recipe, so nothing can be compared; name it there, or use edge-inspect models "
                "verify --pictures"
            )
        store = open_store(config)
        if store.record(version.name).active == version.sha256:
            raise RefusedError(f"{version.title}: is active already; only another version can be")
        record = ShadowRecord(
            name=version.name, version=version.version, sha256=version.sha256, by=by
        )
        store.save_shadow(record)
        log.info("shadow: %s judges along (asked by %s)", *map(one_line, (version.title, by)))
        self._adopt(record)
        found = self.report()
        assert found is not None
        return found

    def stop(self) -> ShadowReport:
        """Nothing judges along any more. Returns the last figures. Raises RefusedError."""
        found = self.report()
        if found is None:
            raise RefusedError(
                "no version judges along; begin with edge-inspect models shadow NAME"
            )
        self._end(f"{found.title} no longer judges along")
        return found

    def switched(self, sha256: str) -> None:
        """This version judges now. Raises nothing."""
        record = self._record
        if record is not None and record.sha256 == sha256:
            self._end(f"{record.title} is active and no longer judges along")

    def report(self) -> ShadowReport | None:
        """The figures so far; None: no candidate judges along."""
        with self._changed:
            record, candidate = self._record, self._candidate
            if record is None:
                return None
            fault = None
            if candidate is not None and candidate.record == record:
                fault = candidate.fault
            return self._counts.report(
                name=record.name,
                version=record.version,
                sha256=record.sha256,
                by=record.by,
                fault=fault,
            )

    def offer(self, frames: Sequence[Frame], verdict: Verdict) -> None:
        """A part after its verdict. Never waits; the newest part replaces one that waits."""
        record, model = self._record, verdict.model
        if record is None or model is None or verdict.verdict == "error":
            return
        if typed(model.name) != record.name:
            return
        part = None if verdict.trigger is None else verdict.trigger.number
        key = verdict.camera, frames[0].seq, part
        with self._changed:
            if self._waiting is not None and self._waiting.key == key:
                self._waiting.verdicts.append(verdict)
                return
        whole = len(frames) >= len(verdict.rule.scores) and all(one.has_picture for one in frames)
        if not whole or self._is_busy():
            self._skip(1)
            return
        item = _Item(key, tuple(one.compact() for one in frames), [verdict])
        with self._changed:
            if self._waiting is not None:
                self._counts.skipped += len(self._waiting.verdicts)
            self._waiting = item
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the thread. The next process goes on with the candidate."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def run(self) -> None:
        """Until closed."""
        yield_processor()
        while not self._closing:
            self.run_once()

    def run_once(self) -> None:
        """Waits for a part, or for another candidate, and judges along."""
        with self._changed:
            while not (self._closing or self._waiting or self._is_outdated()):
                self._changed.wait()
            item, self._waiting = self._waiting, None
            record, outdated = self._record, self._is_outdated()
        if record is None:
            self._candidate = self._last = None  # frees the memory of the model
            return
        if outdated:
            self._last = None
            candidate = self._built(record)
            with self._changed:
                self._candidate = candidate
                self._counts = ShadowCounts(self._now())
        if item is not None and self._candidate is not None:
            self._judge(item, self._candidate)

    def _is_outdated(self) -> bool:
        """Whether the candidate is not the one of the record, or of an earlier configuration."""
        record, candidate = self._record, self._candidate
        if record is None or candidate is None:
            return record is not None or candidate is not None
        return candidate.record != record or candidate.config is not self._config()

    def _judge(self, item: _Item, candidate: _Candidate) -> None:
        first = item.verdicts[0]
        assert first.model is not None
        recipe = None if first.recipe is None else first.recipe.number
        judge = candidate.judges.get(recipe)
        if first.model.sha256 == candidate.record.sha256:
            self.switched(first.model.sha256)
            return
        if candidate.fault is not None or judge is None:
            return  # another model of the same name: a file that config.yaml names
        if self._last is not None and self._last[0] == item.key:
            opinions = self._last[1]
        elif self._is_busy() or first.config != candidate.hash:
            self._skip(len(item.verdicts))
            return
        else:
            opinions = _opinions(judge, item.frames, first)
            self._last = item.key, opinions
        with self._changed:
            if self._counts.active not in (None, first.model.sha256):
                self._counts = ShadowCounts(self._now())
            self._counts.active = first.model.sha256
            for verdict in item.verdicts:
                mine = next(iter(opinions.values())) if len(opinions) == 1 else None
                mine = mine or opinions.get(verdict.region)
                if mine is not None:
                    self._counts.add((verdict.verdict, verdict.inference_ms), mine)

    def _built(self, record: ShadowRecord) -> _Candidate:
        """Loads the candidate. Raises nothing: the live verdicts do not need it."""
        config = self._config()
        try:
            store = open_store(config)
            file = store.load(store.find(record.sha256))
            judges = _judges(config, record.name, file, self._clock)
        except EdgeInspectError as error:
            log.error("shadow: %s does not judge along: %s", record.title, error)
            return _Candidate(record, config, config.hash, fault=str(error))
        return _Candidate(record, config, config.hash, judges)

    def _end(self, why: str) -> None:
        log.info("shadow: %s", why)
        self._adopt(None)
        try:
            open_store(self._config()).save_shadow(None)
        except RefusedError as error:
            log.error("shadow: %s; after a restart it judges along again", error)

    def _adopt(self, record: ShadowRecord | None) -> None:
        with self._changed:
            self._record, self._waiting = record, None
            self._counts = ShadowCounts(self._now())
            self._changed.notify_all()

    def _skip(self, parts: int) -> None:
        with self._changed:
            self._counts.skipped += parts

    def _now(self) -> str:
        return rfc3339(self._clock.now())


def _judges(config: Config, name: str, file: ModelFile, clock: Clock) -> dict[int | None, Judge]:
    """A judge for each configuration that judges by this name; they share what they can. Raises
    EdgeInspectError."""
    built: list[tuple[Config, Inspector]] = []
    judges = {}
    for recipe, merged in configs_judging_by(config, name).items():
        one = merged.replace(model=merged.model.replace(threads=1))
        inspector = None
        for other, loaded in built:
            if other.model == one.model:
                at = one.decision
                inspector = loaded.with_thresholds(at.reject_at, at.review_from)
        if inspector is None:
            inspector = build_inspector(one, None, file)
            built.append((one, inspector))
        judges[recipe] = build_judge(one, inspector, clock, None)
    return judges


def _opinions(judge: Judge, frames: Sequence[Frame], verdict: Verdict) -> _Opinions:
    """The candidate's verdicts on a part. It has all the time of the world: its verdict moves
    nothing."""
    part = verdict.trigger
    if part is not None:
        part = replace(part, until=math.inf)
    results = [judge.inspect(frame) for frame in frames]
    found = judge.conclude(verdict.camera, results, part)
    return {one.region: (one.verdict, one.inference_ms) for one in found}
