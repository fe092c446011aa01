"""Follows the parts of one camera from their triggers to their verdicts.

A frame serves one part only, and it must be younger than the part's trigger. So a picture of the
part before never becomes a verdict.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.config import TriggerConfig
from edge.core.clock import Clock
from edge.core.errors import TriggerError
from edge.core.frame import Frame
from edge.core.part import Part, PartFrame
from edge.core.terms import TriggerKind
from edge.pipeline.camera_recipes import PartRecipes, WithoutRecipes
from edge.pipeline.presence_detector import PresenceDetector

_WITHOUT_ANSWER: frozenset[TriggerKind] = frozenset({"gpio", "presence"})


@dataclass(slots=True)
class _OpenPart:
    """A part without a verdict. `missing`: the number of frames that it still needs."""

    part: Part
    missing: int


class PartTracker:
    """Safe between threads. Any thread may call `trigger`, the camera's thread calls `match`, the
    inspection worker calls the rest. Public attributes are counters for `health`."""

    def __init__(
        self,
        camera: str,
        config: TriggerConfig,
        clock: Clock,
        *,
        on_accepted: Callable[[Part], None] = lambda _part: None,
        on_change: Callable[[], None] = lambda: None,
        next_number: Callable[[], int] | None = None,
        recipes: PartRecipes | None = None,
    ) -> None:
        """Callbacks run on the thread that changes the parts.

        on_accepted: called before a trigger is answered, with the tracker locked; it must not call
            the tracker.
        on_change: called after a part was accepted, refused or closed.
        next_number: returns the number of a new trigger, which rises over restarts; None: counts
            this tracker's.
        recipes: of this camera; None: there are none.
        """
        self.camera, self.config = camera, config
        self.triggered = 0
        self.refused = self.unused = 0
        self.fault: str | None = None  # why the camera's last frame is not judged
        self._on_accepted, self._on_change = on_accepted, on_change
        self._next_number = next_number or (lambda: self.triggered)
        self._clock = clock
        self._recipes = recipes or WithoutRecipes(config)
        self._presence = PresenceDetector(config) if config.kind == "presence" else None
        self._open: deque[_OpenPart] = deque()
        # bounded, in case inspection hangs; `refused` counts them all
        self._refusals: deque[PartFrame] = deque(maxlen=config.queue + 100)
        self._lock = threading.Lock()
        self._shut = False

    def trigger(
        self,
        kind: TriggerKind,
        name: str | None = None,
        transaction: str | None = None,
        recipe: int | None = None,
    ) -> Part:
        """Announces a part now. `recipe`: makes this one current first.

        Raises TriggerError when it is refused. A refused trigger without an answer (gpio,
        presence), and one whose recipe cannot judge, also gets an `error` verdict.
        """
        try:
            with self._lock:
                if recipe is not None and not self._shut:
                    self._recipes.choose(recipe, f"trigger: {transaction or kind}")
                now, tick = self._clock.now(), self._clock.tick()
                return self._announce(kind, name, transaction, now, tick)
        finally:
            self._on_change()

    def match(self, frame: Frame) -> list[PartFrame]:
        """Assigns a frame to a part. Also returns the parts that end now, each with its fault."""
        if self._presence is not None and frame.pixels is not None:
            self._watch(self._presence, frame)
        with self._lock:
            part_frames = list(self._refusals)
            self._refusals.clear()
            self.fault = frame.fault
            if frame.fault is not None:
                part_frames += [PartFrame(o.part, None, frame.fault) for o in self._waiting()]
                for each in self._open:
                    each.missing = 0
                return part_frames
            return part_frames + self._assign(frame)

    def is_open(self, part: Part) -> bool:
        """Whether the part still has no verdict."""
        with self._lock:
            return any(o.part is part for o in self._open)

    def close(self, part: Part) -> None:
        """The part has its verdict."""
        with self._lock:
            self._open = deque(o for o in self._open if o.part is not part)
        self._on_change()

    def overdue(self, tick: float) -> list[PartFrame]:
        """The parts that end now, each with its fault: their deadline is past at `tick` (monotonic
        seconds), or they were refused without an answer."""
        with self._lock:
            ends = list(self._refusals)
            self._refusals.clear()
            for each in self._open:
                if tick >= each.part.until:
                    ends.append(PartFrame(each.part, None, self._why_late(each)))
            return ends

    def next_deadline(self) -> float | None:
        """The first deadline, monotonic seconds; None: no part is open."""
        with self._lock:
            return min((o.part.until for o in self._open), default=None)

    def stop_accepting(self) -> list[Part]:
        """Refuses all further triggers. Returns the parts that are open."""
        with self._lock:
            self._shut = True
            return [o.part for o in self._open]

    def accept_again(self) -> None:
        """Takes `stop_accepting` back."""
        with self._lock:
            self._shut = False

    @property
    def open(self) -> int:
        """How many parts have no verdict yet."""
        with self._lock:
            return len(self._open)

    def _announce(
        self, kind: TriggerKind, name: str | None, transaction: str | None, at: float, tick: float
    ) -> Part:
        recipe = self._recipes.current()
        config = self._recipes.trigger(recipe)
        due = tick + config.delay_ms / 1000
        until = tick + config.deadline_ms / 1000
        latest = until if config.window_ms is None else min(until, due + config.window_ms / 1000)
        self.triggered += 1
        part = Part(
            camera=self.camera,
            number=self._next_number(),
            kind=kind,
            name=name,
            transaction=transaction,
            at=at,
            tick=tick,
            due=due,
            latest=latest,
            until=until,
            frames=config.frames,
            recipe=recipe,
        )
        unusable = self._recipes.why_unusable(recipe)
        why = self._refusal(name) or (unusable and f"camera {self.camera}: {unusable}")
        if why is not None:
            self.refused += 1
            if (kind in _WITHOUT_ANSWER or unusable is not None) and not self._shut:
                self._refusals.append(PartFrame(part, None, why, refused=True))
            raise TriggerError(why, "stopping" if self._shut else "busy")
        self._open.append(_OpenPart(part, config.frames))
        self._on_accepted(part)
        return part

    def _refusal(self, name: str | None) -> str | None:
        if self._shut:
            return f"camera {self.camera}: the daemon stops; trigger the part again later"
        if name is not None and any(o.part.name == name for o in self._open):
            return f"camera {self.camera}: part {name!r} waits for its verdict already"
        if len(self._open) > self.config.queue:
            return (
                f"camera {self.camera}: busy with {len(self._open)} parts, and trigger.queue is "
                f"{self.config.queue}; trigger more slowly, or raise it"
            )
        return None

    def _waiting(self) -> list[_OpenPart]:
        return [o for o in self._open if o.missing > 0]

    def _assign(self, frame: Frame) -> list[PartFrame]:
        part_frames = []
        for each in self._waiting():
            part = each.part
            if frame.captured_tick > part.latest:
                part_frames.append(PartFrame(part, None, self._why_late(each, missed=True)))
                each.missing = 0
            elif frame.captured_tick >= part.due:
                if self._recipes.same_camera(part.recipe, frame.recipe):
                    each.missing -= 1
                    return [*part_frames, PartFrame(part, _owned(frame))]
                part_frames.append(PartFrame(part, None, _other_camera(part, frame)))
                each.missing = 0
            # else: the next part may be of another recipe, and due earlier
        self.unused += 1
        return part_frames

    def _why_late(self, each: _OpenPart, *, missed: bool = False) -> str:
        part = each.part
        came = part.frames - each.missing
        limit = "window_ms" if missed and part.latest < part.until else "deadline_ms"
        seconds = (part.latest if missed else part.until) - part.tick
        because = f" (camera: {self.fault})" if self.fault else ""
        if each.missing == 0 and not missed:
            return f"not judged within {seconds:.3g} s of the trigger (trigger.{limit})"
        return (
            f"{came} of {part.frames} frames came within {seconds:.3g} s of the trigger "
            f"(trigger.{limit}){because}"
        )

    def _watch(self, presence: PresenceDetector, frame: Frame) -> None:
        assert frame.pixels is not None
        if not presence.entered(frame.pixels, frame.captured_tick):
            return
        try:
            # The frame that shows the part is the trigger: without a delay it is judged.
            with self._lock:
                self._announce("presence", None, None, frame.captured_at, frame.captured_tick)
        except TriggerError:
            return  # counted, and reported as an `error` verdict
        self._on_change()


def _other_camera(part: Part, frame: Frame) -> str:
    return (
        f"recipe {frame.recipe} was chosen before the picture of this part of recipe {part.recipe} "
        "came, and it sets controls or trust limits otherwise; choose it after the verdict"
    )


def _owned(frame: Frame) -> Frame:
    """A frame that may wait: the camera overwrites pixels in its frame ring."""
    if frame.pixels is None or frame.pixels.flags.owndata:
        return frame
    return replace(frame, pixels=frame.pixels.copy())
