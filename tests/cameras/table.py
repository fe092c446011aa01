"""source × fault: what happened, how soon it was noticed, how soon pictures were back.

    python -m tests.cameras.table          (make test-capture installs what it needs)

Real servers, real drivers, real processes. Exit code 1 when a fault was not noticed, when pictures
did not come back, or when a verdict other than `error` was given while the camera was at fault.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge.capture.isolation.forkserver_client import ForkServerClient
from tests.cameras.line import Line
from tests.cameras.rows import Act, Table
from tests.cameras.servers import HTTPServer, RTSPServer, Server


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


class Emulator:
    """Pylon's emulated cameras: only a fork server that starts after `start` sees them."""

    def __init__(self, fork_server: ForkServerClient) -> None:
        self._fork_server = fork_server

    def start(self) -> None:
        """Plugs them in."""
        os.environ["PYLON_CAMEMU"] = "2"
        self._fork_server.replace()


def through_gstreamer(table: Table) -> None:
    """A GStreamer pipeline that reads a network camera, which comes up only after the daemon."""
    server = HTTPServer()
    place = f"souphttpsrc location={server.source} is-live=true do-timestamp=true"
    line = Line(f"gstreamer:{place} ! multipartdemux ! jpegdec")
    try:
        table.late("gstreamer", line, server)
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
    table = Table()
    for server in (RTSPServer(), HTTPServer()):
        network(table, server)
    test = "gstreamer:videotestsrc is-live=true pattern={} ! video/x-raw,width={},height=240"
    if with_gi():
        through_gstreamer(table)
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
    os.environ.pop("PYLON_CAMEMU", None)
    late = Line("pylon:0815-0000")
    try:
        table.late("pylon", late, Emulator(late.fork_server))
    finally:
        late.close()
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
