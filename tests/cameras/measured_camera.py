"""One camera of the table source × fault, read and judged as in the daemon."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.capture.reader import Reader
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.frame import Frame
from edge.inspection.inspector import Overrides, load_inspector
from edge.pipeline.judge import Judge, Provenance
from edge.pipeline.mailbox import Mailbox

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
_TIMEOUT_S = 2.0


class MeasuredCamera:
    """One camera, read and judged as in the daemon; `options` may change between openings."""

    deadline_s = 60.0  # limit of each wait

    def __init__(self, source: str, **options: Any) -> None:
        self.source, self.options = source, options
        self.camera: IsolatedCamera | None = None
        self.fork_server = ForkServerClient()
        self.judged: list[tuple[float, str, str | None]] = []  # when, verdict, reason
        self._mailbox, self._stop = Mailbox(), StopEvent()
        inspector = load_inspector(MODEL, Overrides(), "auto", 1)
        environment = Clock()
        self._judge = Judge(inspector, Provenance("t", "0" * 12, "b"), environment, 2000)

        def opener() -> IsolatedCamera:
            self.camera = IsolatedCamera(self._config(), environment, self.fork_server)
            return self.camera

        self.reader = Reader(self._config(), opener, self._mailbox, environment, self._stop)
        self._threads = [
            threading.Thread(target=self.reader.run, name="camera"),
            threading.Thread(target=self._inspect, name="inspection"),
        ]
        for thread in self._threads:
            thread.start()

    def _config(self) -> CameraConfig:
        return CameraConfig.read(
            {
                "id": "top",
                "source": self.source,
                "timeout_s": _TIMEOUT_S,
                "open_timeout_s": 20,
                "settle_steady": False,
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
        """Seconds from `since` to verdict number `count` of a kind; None: it did not come.

        `words`: text that the reason must hold.
        """
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
        """Sends a signal to the camera process, if there is one."""
        assert self.camera is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.camera.pid, number)

    def close(self) -> None:
        """Ends threads and processes."""
        self._stop.set()
        self._threads[0].join(20)
        self._mailbox.close()
        self._threads[1].join(20)
        self.fork_server.close()


def good(verdict: str) -> bool:
    """A judgement."""
    return verdict != "error"


def bad(verdict: str) -> bool:
    """No judgement."""
    return verdict == "error"
