"""One row of the table source × fault: causes the fault, measures, checks the verdicts."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from tests.cameras.measured_camera import MeasuredCamera, bad, good


class Startable(Protocol):
    """A camera that can be started."""

    def start(self) -> None:
        """Starts the camera."""


Act = Callable[[MeasuredCamera], None]
# Words that the reason must hold: causing these faults also loses the camera for a moment.
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
    """Prints rows, and counts the failed ones."""

    def __init__(self) -> None:
        self.failed = 0
        print("| source | fault | noticed after s | back after s | verdicts between | reason |")
        print("|---|---|---|---|---|---|")

    def row(
        self,
        source: str,
        fault: str,
        camera: MeasuredCamera,
        act: Act | None,
        repair: Act | None,
    ) -> None:
        """Waits for pictures, causes the fault, waits for an `error`, repairs, waits again."""
        if camera.wait(good, time.monotonic(), 3) is None:
            self._print_row(source, fault, None, None, Counter(), "no pictures before the fault")
            return
        began = time.monotonic()
        if act is not None:
            act(camera)
        words = WORDS.get(fault, "")
        noticed = camera.wait(bad, began, words=words)
        reasons = [why or "" for at, v, why in camera.judged if at >= began and bad(v)]
        reason = next((why for why in reasons if words in why), "")
        repaired = time.monotonic()
        if repair is not None:
            repair(camera)
        back = camera.wait(good, repaired, 3)
        first_error = began + (noticed or 0.0)
        end = repaired if repair is not None else repaired + (back or 0.0)
        between = Counter(v for at, v, _ in camera.judged if first_error <= at < end)
        if repair is None:  # it repairs itself: the pictures that come again are no error
            between = Counter({"error": between["error"]})
        self._print_row(source, fault, noticed, back, between, reason or "")

    def late(self, source: str, camera: MeasuredCamera, server: Startable) -> None:
        """The camera comes up only after the daemon."""
        began = time.monotonic()
        noticed = camera.wait(bad, began)
        server.start()
        repaired = time.monotonic()
        back = camera.wait(good, repaired, 3)
        between = Counter(v for at, v, _ in camera.judged if at < repaired)
        reason = camera.judged[0][2] or ""
        self._print_row(source, "late start", noticed, back, between, reason)

    def _print_row(self, source: str, fault: str, *times: Any) -> None:
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
