"""One row of the table source × fault: waits, does the fault, measures, judges what came."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from tests.cameras.line import Line, bad, good


class Starts(Protocol):
    """What `Table.late` needs of a camera: that it can come up."""

    def start(self) -> None:
        """The camera is there from now on."""


Act = Callable[[Line], None]
# What must be said of these: the camera is lost for a moment too, when it is made to do it.
WORDS = {
    "frozen": "the same picture",
    "wrong size": "wrong size",
    "dark": "dark:",
    "damaged buffers": "marks a picture as damaged",
    "does not start": "delivers no picture",
    "v4l2src device gone": "Cannot identify device",
    "device gone": "there is no such camera",
}


class Table:
    """Prints rows as they come, and remembers what failed."""

    def __init__(self) -> None:
        self.failed = 0
        print("| source | fault | noticed after s | back after s | verdicts between | said |")
        print("|---|---|---|---|---|---|")

    def row(self, source: str, fault: str, line: Line, act: Act | None, mend: Act | None) -> None:
        """Waits for pictures, does the fault, waits for the first `error`, mends, waits again."""
        if line.wait(good, time.monotonic(), 3) is None:
            self._say(source, fault, None, None, Counter(), "no pictures before the fault")
            return
        began = time.monotonic()
        if act is not None:
            act(line)
        words = WORDS.get(fault, "")
        noticed = line.wait(bad, began, words=words)
        reasons = [why or "" for at, v, why in line.judged if at >= began and bad(v)]
        reason = next((why for why in reasons if words in why), "")
        mended = time.monotonic()
        if mend is not None:
            mend(line)
        back = line.wait(good, mended, 3)
        first_error = began + (noticed or 0.0)
        end = mended if mend is not None else mended + (back or 0.0)
        between = Counter(v for at, v, _ in line.judged if first_error <= at < end)
        if mend is None:  # it mends itself: the pictures that are back are no mistake
            between = Counter({"error": between["error"]})
        self._say(source, fault, noticed, back, between, reason or "")

    def late(self, source: str, line: Line, server: Starts) -> None:
        """The camera comes up only after the daemon."""
        began = time.monotonic()
        noticed = line.wait(bad, began)
        server.start()
        mended = time.monotonic()
        back = line.wait(good, mended, 3)
        between = Counter(v for at, v, _ in line.judged if at < mended)
        reason = line.judged[0][2] or ""
        self._say(source, "late start", noticed, back, between, reason)

    def _say(self, source: str, fault: str, *times: Any) -> None:
        noticed, back, between, reason = times
        ok = noticed is not None and back is not None and set(between) <= {"error"}
        self.failed += not ok
        cells = [
            *(source, fault),
            *("never" if t is None else f"{t:.1f}" for t in (noticed, back)),
            ", ".join(f"{n} {kind}" for kind, n in between.items()) or "-",
            reason.replace("|", "/")[:90] + ("" if ok else " **FAILED**"),
        ]
        print("| " + " | ".join(cells) + " |", flush=True)
