"""source × fault: what happened, how soon it was noticed, how soon pictures were back.

    python -m tests.cameras.table          (make test-capture installs what it needs)

Real servers, real drivers, real processes. Exit code 1 when a fault was not noticed, when pictures
did not come back, or when a verdict other than `error` was given while the camera was at fault.
"""

import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from edge.capture.mailbox import Mailbox
from edge.capture.process import ProcessCamera
from edge.capture.reader import Reader
from edge.config import CameraConfig
from edge.environment import Environment, Stop
from edge.frame import Frame
from edge.inspection.inspector import Overrides, load_inspector
from edge.operation.judge import Judge, Provenance
from tests.cameras.servers import HTTPServer, RTSPServer, Server

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
_TIMEOUT_S = 2.0


class Line:
    """One camera, read and judged as the daemon does; `options` may change between openings."""

    deadline_s = 60.0  # how long each thing that must happen is waited for

    def __init__(self, source: str, **options: Any) -> None:
        self.source, self.options = source, options
        self.camera: ProcessCamera | None = None
        self.judged: list[tuple[float, str, str | None]] = []  # when, verdict, reason
        self._mailbox, self._stop = Mailbox(), Stop()
        inspector = load_inspector(MODEL, Overrides(), "auto", 1)
        environment = Environment()
        self._judge = Judge(inspector, Provenance("t", "0" * 12, "b"), environment, 2000)

        def opener() -> ProcessCamera:
            self.camera = ProcessCamera(self._config(), environment)
            return self.camera

        self.reader = Reader(self._config(), opener, self._mailbox, environment, self._stop)
        self._threads = [
            threading.Thread(target=self.reader.run, name="camera"),
            threading.Thread(target=self._inspect, name="inspection"),
        ]
        for thread in self._threads:
            thread.start()

    def _config(self) -> CameraConfig:
        return CameraConfig.model_validate(
            {
                "id": "top",
                "source": self.source,
                "timeout_s": _TIMEOUT_S,
                "open_timeout_s": 20,
                **self.options,
            }
        )

    def _inspect(self) -> None:
        while not self._mailbox.drained:
            frame = self._mailbox.take(0.2)
            if isinstance(frame, Frame):
                verdict = self._judge(frame)
                self.judged.append((time.monotonic(), verdict.verdict, verdict.reason))

    def wait(
        self, wanted: Callable[[str], bool], since: float, count: int = 1, words: str = ""
    ) -> float | None:
        """Seconds from `since` to the `count`th verdict of a kind after it, whose reason holds
        `words`; None: it did not come."""
        while time.monotonic() < since + self.deadline_s:
            times = [
                at
                for at, verdict, why in list(self.judged)
                if at >= since and wanted(verdict) and words in (why or "")
            ]
            if len(times) >= count:
                return times[count - 1] - since
            time.sleep(0.02)
        return None

    def signal(self, number: signal.Signals) -> None:
        """To the camera's process, if there is one just now."""
        assert self.camera is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.camera.pid, number)

    def close(self) -> None:
        """Ends everything."""
        self._stop.set()
        self._threads[0].join(20)
        self._mailbox.close()
        self._threads[1].join(20)


def good(verdict: str) -> bool:
    """A judgement."""
    return verdict != "error"


def bad(verdict: str) -> bool:
    """No judgement."""
    return verdict == "error"


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


def network(table: Table, server: Server) -> None:
    """All faults of a network camera."""
    line = Line(server.source)
    try:
        table.late(server.kind, line, server)
        faults: list[tuple[str, Act, Act | None]] = [
            ("driver hangs", lambda x: x.signal(signal.SIGSTOP), None),
            ("driver crashes", lambda x: x.signal(signal.SIGSEGV), None),
            (
                "camera hangs",
                lambda _: server.signal(signal.SIGSTOP),
                lambda _: server.signal(signal.SIGCONT),
            ),
            ("unplugged", lambda _: server.kill(), lambda _: server.start()),
            ("frozen", lambda _: server.restart(moving=False), lambda _: server.restart()),
            ("wrong size", lambda _: server.restart(640, 480), lambda _: server.restart()),
        ]
        for fault, act, mend in faults:
            table.row(server.kind, fault, line, act, mend)
    finally:
        line.close()
        server.kill()


def local(table: Table, kind: str, source: str, **variants: tuple[str, dict[str, Any]]) -> None:
    """Faults of a camera at this box; `variants`: source and options that give another picture."""
    line = Line(source)
    usual = line.source, line.options

    def become(variant: tuple[str, dict[str, Any]]) -> Act:
        def act(one: Line) -> None:
            one.source, one.options = variant
            one.signal(signal.SIGKILL)

        return act

    try:
        table.row(kind, "driver hangs", line, lambda x: x.signal(signal.SIGSTOP), None)
        table.row(kind, "driver crashes", line, lambda x: x.signal(signal.SIGSEGV), None)
        for fault, variant in variants.items():
            table.row(kind, fault.replace("_", " "), line, become(variant), become(usual))
    finally:
        line.close()


def with_gi() -> bool:
    """Lets cameras' processes see Debian's GStreamer binding, when it is for this Python."""
    binding = Path("/usr/lib/python3/dist-packages/gi")
    name = f"_gi.cpython-{sys.version_info.major}{sys.version_info.minor}-*"
    if not list(binding.glob(name)):
        return False
    folder = Path(tempfile.mkdtemp())
    (folder / "gi").symlink_to(binding)
    os.environ["PYTHONPATH"] = f"{os.environ.get('PYTHONPATH', '')}:{folder}"
    return True


def main() -> int:
    """Prints the table; exit code 1 when something failed."""
    import logging

    logging.getLogger("edge").setLevel(logging.CRITICAL)
    os.environ["PYLON_CAMEMU"] = "2"
    table = Table()
    for server in (RTSPServer(), HTTPServer()):
        network(table, server)
    test = "gstreamer:videotestsrc is-live=true pattern={} ! video/x-raw,width={},height=240"
    if with_gi():
        local(
            table,
            "gstreamer",
            test.format("ball", 320),
            frozen=(test.format("smpte75", 320), {}),
            wrong_size=(test.format("ball", 640), {}),
            dark=(test.format("black", 320), {}),
            v4l2src_device_gone=("gstreamer:v4l2src device=/dev/video99", {}),
        )
    else:
        print("gstreamer: no binding for this Python; left out", file=sys.stderr)
    try:
        import pypylon  # noqa: F401  only whether it is there
    except ImportError:
        print("pylon: not installed; left out", file=sys.stderr)
        return 1 if table.failed else 0
    local(
        table,
        "pylon",
        "pylon:0815-0000",
        frozen=("pylon:0815-0000", {"controls": {"TestImageSelector": "Testimage1"}}),
        wrong_size=("pylon:0815-0000", {"width": 640, "height": 480}),
        device_gone=("pylon:77", {}),
    )
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
