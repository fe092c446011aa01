"""An exception in any step of the outbox's public methods uses no number, settles no other verdict
and stops neither the thread nor the next verdict."""

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.clock import Clock
from edge.core.verdict import Verdict
from edge.storage.outbox.commit_queue import CommitQueue, GroupCommitPolicy, WriterLimits
from edge.storage.outbox.database import OutboxDatabase
from edge.storage.outbox.send_queue import SendQueue
from edge.storage.outbox.sequence import SequenceAllocator
from edge.storage.outbox.store import OutboxStore
from edge.storage.outbox.write_buffer import PendingAcks, WriteBuffer
from edge.storage.outbox.writer import OutboxWriter
from tests.support.outbox_store import opened
from tests.support.verdicts import a_part, a_verdict

_CLASSES = (
    CommitQueue,
    GroupCommitPolicy,
    OutboxDatabase,
    OutboxStore,
    PendingAcks,
    SendQueue,
    SequenceAllocator,
    WriteBuffer,
)
# Found, not listed: a new method is broken too.
STEPS = [
    (cls, name)
    for cls in _CLASSES
    for name, value in vars(cls).items()
    if callable(value) and not name.startswith("_")
]
CALLBACKS = ("on_sendable", "on_commit", "tick")


class BrokenError(Exception):
    """What the broken step raises."""


class Rig:
    """A writer without its thread; the test runs its commits."""

    def __init__(self, path: Path, durability: Any) -> None:
        self.broken = ""
        self.store = opened(path)
        limits = WriterLimits(retry_s=0.0)
        self.writer = OutboxWriter(
            self.store,
            Clock(tick=self._tick),
            durability=durability,
            window_s=1e-9,
            on_sendable=lambda: self._step("on_sendable"),
            on_commit=lambda _verdicts, _numbers: self._step("on_commit"),
            limits=limits,
        )

    def _step(self, name: str) -> None:
        if self.broken == name:
            raise BrokenError

    def _tick(self) -> float:
        self._step("tick")
        return Clock().tick()

    def bodies(self) -> list[tuple[int, str]]:
        """Number and part of every stored verdict."""
        view = self.store.new_reader()
        found = [(row.seq, json.loads(row.body)["part"]) for row in view.batch(0, 1000)]
        view.close()
        return found

    def close(self) -> None:
        self.writer.send_queue.close()
        self.store.close()


@contextmanager
def raising(cls: type, name: str, *, late: bool) -> Iterator[None]:
    """The method raises: at once, or when it has done its work."""
    real: Callable[..., Any] = getattr(cls, name)

    def broken(*args: Any, **options: Any) -> Any:
        if late:
            real(*args, **options)
        raise BrokenError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(cls, name, broken)
        yield


def _act(rig: Rig, number: int) -> None:
    """All public methods, with a verdict of this part."""
    writer = rig.writer
    for act in (
        lambda: writer.submit(a_verdict(part=f"p{number}")),
        lambda: writer.forget([("top", "none")]),
        writer.stats,
        writer.run_once,
        lambda: writer.flush(0.0),
        writer.run_once,
    ):
        with suppress(BrokenError):
            act()


@pytest.mark.parametrize("durability", ["strict", "balanced"])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "step",
    [*STEPS, *CALLBACKS],
    ids=lambda s: s if isinstance(s, str) else f"{s[0].__name__}.{s[1]}",
)
def test_whatever_step_raises_the_next_verdict_is_stored(
    tmp_path: Path, step: tuple[type, str] | str, late: bool, durability: str
) -> None:
    """Before, during and after the fault a verdict comes: those around it are stored, numbers have
    no gap, and an acknowledgement of one settles that one."""
    rig = Rig(tmp_path / "outbox.db", durability)
    _act(rig, 1)
    if isinstance(step, str):
        rig.broken = step
        _act(rig, 2)
        rig.broken = ""
    else:
        with raising(*step, late=late):
            _act(rig, 2)
    for number in (3, 4):
        _act(rig, number)
    rig.writer.close()
    while not rig.writer.run_once():
        pass
    found = rig.bodies()
    numbers = [number for number, _ in found]
    assert numbers == list(range(1, len(found) + 1))
    assert {"p1", "p3", "p4"} <= {part for _, part in found}
    assert len({part for _, part in found}) == len(found)
    rows = rig.writer.send_queue.batch(0, 100)
    assert [row.seq for row in rows] == numbers
    for number, part in found:
        if part == "p3":
            rig.writer.accept(number)
    rig.writer.run_once()
    assert [part for _, part in rig.bodies()] == [p for _, p in found if p != "p3"]
    rig.close()


_ODD = st.sampled_from([math.nan, math.inf, -math.inf, -1e300, 1e300, -1e12, 1e12, 1e18])
_FIELDS = st.sampled_from(
    ["captured_at", "capture_to_verdict_ms", "inference_ms", "score", "trigger_to_verdict_ms"]
)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    odd=st.lists(st.dictionaries(_FIELDS, _ODD, max_size=2), min_size=1, max_size=6),
    durability=st.sampled_from(["strict", "balanced"]),
)
def test_a_value_that_no_message_can_hold_is_an_error_verdict(
    odd: list[dict[str, float]], durability: str
) -> None:
    """The part keeps its one verdict, and the next ones their numbers."""
    with TemporaryDirectory() as folder:
        rig = Rig(Path(folder) / "outbox.db", durability)
        for number, changes in enumerate(odd, 1):
            rig.writer.submit(a_verdict(part=f"p{number}", trigger=a_part(), **changes))
        rig.writer.accept(len(odd))
        rig.writer.close()
        while not rig.writer.run_once():
            pass
        assert rig.bodies() == [(n, f"p{n}") for n in range(1, len(odd))]
        view = rig.store.new_reader()
        for row in view.batch(0, 100):
            body = json.loads(row.body)
            if body["verdict"] == "error":
                assert "cannot be written" in body["reason"]
                assert body["score"] is None
        view.close()
        rig.close()


def test_a_verdict_that_cannot_be_written_at_all_uses_no_number(tmp_path: Path) -> None:
    """Its trigger has an impossible time too: the caller gets the exception, the next verdict the
    number."""
    rig = Rig(tmp_path / "outbox.db", "strict")
    hopeless: Verdict = replace(a_verdict(), trigger=a_part(at=1e300))
    for _ in range(3):
        with pytest.raises((ValueError, OverflowError)):
            rig.writer.submit(hopeless)
    rig.writer.submit(a_verdict(part="next"))
    rig.writer.run_once()
    assert rig.bodies() == [(1, "next")]
    rig.close()
