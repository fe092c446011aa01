"""Sends a new version of a model back when its verdicts differ from those of the version before by
more than chance explains. edge/models/probation.py has the rule.

The workers only count. The thread `probation` reads the past out of history, writes the counts to
the store, and activates the version before. The store holds what is decided before it is done, so a
killed process goes on where it ended.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from edge.config import Config, names_model
from edge.core.errors import EdgeInspectError
from edge.core.text import one_line
from edge.core.verdict import Verdict
from edge.models import (
    Difference,
    ModelStore,
    NameRecord,
    Probation,
    ProbationRecord,
    open_store,
)
from edge.plant.past_rates import PAST_PARTS, PastRates, PastVerdicts, is_slow, rates_of

log = logging.getLogger(__name__)

_SAVE_S = 1.0
_HISTORY_S = 6.0  # history writes every five seconds
_RETRY_S = 60.0  # after a version that should go back could not

SendBack = Callable[[ProbationRecord], object]


@dataclass(slots=True)
class _Running:
    """A probation that runs. `saved`: how many parts the store knows of."""

    record: ProbationRecord
    probation: Probation
    saved: int = 0

    @classmethod
    def of(cls, record: ProbationRecord) -> "_Running":
        return cls(record, Probation.of(record), record.seen)


@dataclass(frozen=True, slots=True)
class _Look:
    """Other versions may be active."""


@dataclass(frozen=True, slots=True)
class _Return:
    """A version must go back."""

    record: ProbationRecord


@dataclass(slots=True)
class _Returns:
    """Versions that could not go back yet: when it is tried again, and why not."""

    due: dict[str, float] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)


class ProbationWatch:
    """Safe between threads; `run` is the thread `probation`."""

    def __init__(
        self,
        config: Callable[[], Config],
        past: PastVerdicts,
        tick: Callable[[], float] = time.monotonic,
    ) -> None:
        """`config`: in force. `past`: the history. `tick`: monotonic seconds."""
        self._config, self._past, self._tick = config, past, tick
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}  # by SHA-256
        self._returns = _Returns()
        self._awaited: dict[str, float] = {}  # history, by the time of the switch: until when
        self._work: queue.SimpleQueue[_Look | _Return | None] = queue.SimpleQueue()

    @property
    def counted(self) -> frozenset[str]:
        """The versions whose verdicts are counted now, by SHA-256."""
        return frozenset(self._running)

    def count(self, verdict: Verdict) -> None:
        """Counts a verdict of a version on probation. Never waits for a disk."""
        if not self._running or verdict.model is None or not verdict.frame_width:
            return  # a part without a picture says nothing about the model
        with self._lock:
            running = self._running.get(verdict.model.sha256)
            if running is None:
                return
            slow = is_slow(verdict.capture_to_verdict_ms, running.record.slow_ms)
            found = running.probation.count(rates_of(verdict.verdict, slow=slow))
            if found is None and not running.probation.is_over:
                return
            del self._running[verdict.model.sha256]
        record = running.probation.noted_in(running.record)
        self._work.put(_Return(_decided(record, found)))

    def look_again(self) -> None:
        """Other versions may be active, as after each reload. Returns at once."""
        self._work.put(_Look())

    def close(self) -> None:
        """Ends the thread; what is counted is saved."""
        self._work.put(None)

    def faults(self) -> list[str]:
        """Versions that went back or should, one sentence each."""
        with self._lock:
            found = list(self._returns.why.values())
        store = open_store(self._config())
        for name in _judging(self._config()):
            record = store.probation(name)
            if record is not None and record.state == "returned":
                found += _went_back(store, record)
        return found

    def run(self, send_back: SendBack) -> None:
        """Until closed. `send_back`: as `ModelsService.send_back`."""
        self._look()
        while True:
            try:
                work = self._work.get(timeout=self._patience())
            except queue.Empty:
                self._save()
                if self._awaited:
                    self._look()
                self._retry(send_back)
                continue
            if work is None:
                self._save()
                return
            if isinstance(work, _Look):
                self._look()
            else:
                self._finish(work.record, send_back)

    def _patience(self) -> float | None:
        with self._lock:
            unsaved = any(one.probation.seen != one.saved for one in self._running.values())
            waits = [due - self._tick() for due in self._returns.due.values()]
        if not (unsaved or self._running or waits or self._awaited):
            return None
        return max(0.0, min([_SAVE_S, *waits]))

    def _look(self) -> None:
        """Begins, resumes or drops the probations of all active versions."""
        self._save()
        found = [self._look_at(name) for name in _judging(self._config())]
        records = {one.sha256: one for one in found if one is not None}
        oldest = self._tick() - _HISTORY_S  # a switch that was taken back is not looked at again
        self._awaited = {at: due for at, due in self._awaited.items() if due > oldest}
        with self._lock:
            going_on = {
                sha256: one
                for sha256, one in self._running.items()
                if sha256 in records and one.record.at == records[sha256].at
            }
            new = {
                sha256: _Running.of(record)
                for sha256, record in records.items()
                if sha256 not in going_on
            }
            self._running = {**going_on, **new}
        for one in new.values():
            log.info(
                "probation: %s: the new version is compared with %d verdicts of the one before, "
                "for %d parts",
                *(one.record.name, one.record.past_parts, one.record.parts),
            )

    def _look_at(self, name: str) -> ProbationRecord | None:
        """The record of a probation that runs; None: there is none."""
        store = open_store(self._config())
        try:
            active = store.record(name)
            if active.active is None or not active.on_probation:
                self._forget(name)
                return None
            record = store.probation(name)
            if record is None or (record.sha256, record.at) != (active.active, active.at):
                record = self._begin(store, active)
        except EdgeInspectError as error:
            log.error("probation: %s: it is not watched: %s", name, error)
            return None
        if record is None or record.state == "running":
            return record
        with self._lock:
            waits = name in self._returns.due
        if record.state == "returning" and not waits:
            self._work.put(_Return(record))
        return None

    def _forget(self, name: str) -> None:
        """A version that should go back is not active any more."""
        with self._lock:
            self._returns.due.pop(name, None)
            self._returns.why.pop(name, None)

    def _begin(self, store: ModelStore, active: NameRecord) -> ProbationRecord | None:
        """A new record; None without a probation. Raises EdgeInspectError."""
        settings = self._config().models.probation
        if not settings.parts or active.active is None or active.previous is None:
            return None
        past = PastRates.of(self._past, active.previous)
        if past.parts < PAST_PARTS and self._is_awaited(active.at):
            return None
        if not self._config().history.max_mb:
            log.warning(
                "probation: %s: history is off, so there is nothing to compare the new version "
                "with; set history.max_mb",
                active.name,
            )
        record = ProbationRecord(
            name=active.name,
            sha256=active.active,
            at=active.at,
            parts=settings.parts,
            false_returns=settings.false_returns,
            past_parts=past.parts,
            past_hits=past.hits,
            slow_ms=past.slow_ms,
        )
        store.save_probation(record)
        return record

    def _is_awaited(self, at: str) -> bool:
        """Whether history may still get verdicts of the version before a switch."""
        if self._tick() < self._awaited.setdefault(at, self._tick() + _HISTORY_S):
            return True
        del self._awaited[at]
        return False

    def _finish(self, record: ProbationRecord, send_back: SendBack) -> None:
        """Writes a decided probation down, and does what it says."""
        store = open_store(self._config())
        try:
            store.save_probation(record)
            if record.state == "passed":
                log.info("probation: %s: the new version stays", record.name)
                return
            log.warning(
                "probation: %s: goes back to the version before (%s)", record.name, record.reason
            )
            send_back(record)
            store.save_probation(record.replace(state="returned"))
            self._forget(record.name)
        except EdgeInspectError as error:
            why = f"{record.name}: its new version should go back ({record.reason}), but {error}"
            log.error("%s", one_line(why))
            with self._lock:
                self._returns.due[record.name] = self._tick() + _RETRY_S
                self._returns.why[record.name] = one_line(why)

    def _retry(self, send_back: SendBack) -> None:
        with self._lock:
            due = [name for name, at in self._returns.due.items() if at <= self._tick()]
            for name in due:
                del self._returns.due[name]
        store = open_store(self._config())
        for name in due:
            record = store.probation(name)
            if record is not None and record.state == "returning":
                self._finish(record, send_back)

    def _save(self) -> None:
        """Writes new counts down. Losing them costs a later decision, never a verdict."""
        store = open_store(self._config())
        with self._lock:
            unsaved = [one for one in self._running.values() if one.probation.seen != one.saved]
            records = [one.probation.noted_in(one.record) for one in unsaved]
            for one in unsaved:
                one.saved = one.probation.seen
        for record in records:
            try:
                store.save_probation(record)
            except EdgeInspectError as error:
                log.warning("probation: %s", error)


def _decided(record: ProbationRecord, found: Difference | None) -> ProbationRecord:
    if found is None:
        return record.replace(state="passed")
    return record.replace(state="returning", reason=str(found))


def _went_back(store: ModelStore, record: ProbationRecord) -> list[str]:
    """The sentence, as long as the version is installed and no other switch has taken place."""
    try:
        version = store.find(record.sha256)
        active = store.record(record.name)
    except EdgeInspectError:
        return []
    if active.previous != record.sha256:
        return []
    sentence = (
        f"{version.title} was sent back ({record.reason}); look at its verdicts, then install a "
        f"better one, or remove it: edge-inspect models remove {version.sha256[:12]}"
    )
    return [sentence]


def _judging(config: Config) -> list[str]:
    """The names of models that config.yaml or a recipe judges by."""
    paths = [config.model.path, *(one.model for one in config.recipes if one.model is not None)]
    return list(dict.fromkeys(str(path) for path in paths if names_model(path)))
