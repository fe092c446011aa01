"""Camera servers as processes, which a test may stop, kill and restart with other pictures."""

import os
import signal
import subprocess
import time
from pathlib import Path

from tests.support.mosquitto import free_port

_RTSP = Path(__file__).with_name("rtsp_server.py")
_FRAME_RATE = 20


class Server:
    """A network camera on a loopback port; `moving` and `still` pictures of any size."""

    kind = ""

    def __init__(self) -> None:
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, width: int, height: int, *, moving: bool) -> list[str]:
        """The command line of the server."""
        raise NotImplementedError

    @property
    def source(self) -> str:
        """`source` for config.yaml."""
        raise NotImplementedError

    def start(self, width: int = 320, height: int = 240, *, moving: bool = True) -> None:
        """Starts the server in its own process group."""
        self._process = subprocess.Popen(
            self.command(width, height, moving=moving),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the whole group."""
        if self._process is not None:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """Kills the server, as a power cut does. May be called twice."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait(20)
            self._process = None
            time.sleep(0.2)  # the kernel frees the port

    def restart(self, width: int = 320, height: int = 240, *, moving: bool = True) -> None:
        """Restarts the server with other pictures."""
        self.kill()
        self.start(width, height, moving=moving)


class RTSPServer(Server):
    """GStreamer's RTSP server, H.264."""

    kind = "rtsp"

    def command(self, width: int, height: int, *, moving: bool) -> list[str]:
        """The system's Python has GStreamer's binding."""
        pattern = "ball" if moving else "smpte75"
        return ["/usr/bin/python3", str(_RTSP), str(self.port), str(width), str(height), pattern]

    @property
    def source(self) -> str:
        """Its address."""
        return f"rtsp://127.0.0.1:{self.port}/stream"


class HTTPServer(Server):
    """FFmpeg as an MJPEG camera; it serves one client and ends, so it runs in a loop."""

    kind = "http"

    def command(self, width: int, height: int, *, moving: bool) -> list[str]:
        """A loop of FFmpeg."""
        picture = "testsrc2" if moving else "smptebars"
        one = (
            f"ffmpeg -v quiet -re -f lavfi -i {picture}=size={width}x{height}:rate={_FRAME_RATE} "
            "-c:v mjpeg -q:v 4 -f mpjpeg -content_type 'multipart/x-mixed-replace;boundary=ffmpeg' "
            f"-listen 1 http://127.0.0.1:{self.port}/"
        )
        return ["sh", "-c", f"while :; do {one}; done"]

    @property
    def source(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/"
