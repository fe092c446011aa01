"""The table source × fault: how soon a fault is noticed, and how soon pictures come again.

    python -m tests.cameras.table          (make test-capture installs what it needs)

Real servers, real drivers, real processes. Exit code 1 when a fault was not noticed, when pictures
did not come again, or when a faulty camera got a verdict other than `error`.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from edge.capture.isolation.forkserver_client import ForkServerClient
from tests.cameras.measured_camera import MeasuredCamera
from tests.cameras.rows import Act, Table
from tests.cameras.servers import HTTPServer, RTSPServer, Server


def network(table: Table, server: Server) -> None:
    """All faults of a network camera."""
    camera = MeasuredCamera(server.source)
    try:
        table.late(server.kind, camera, server)
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
        for fault, act, repair in faults:
            table.row(server.kind, fault, camera, act, repair)
    finally:
        camera.close()
        server.kill()


class Emulator:
    """Pylon's emulated cameras; only a fork server that starts after `start` finds them."""

    def __init__(self, fork_server: ForkServerClient) -> None:
        self._fork_server = fork_server

    def start(self) -> None:
        """Adds the cameras."""
        os.environ["PYLON_CAMEMU"] = "2"
        self._fork_server.replace()


def through_gstreamer(table: Table) -> None:
    """A GStreamer pipeline that reads a network camera, which comes up only after the daemon."""
    server = HTTPServer()
    place = f"souphttpsrc location={server.source} is-live=true do-timestamp=true"
    camera = MeasuredCamera(f"gstreamer:{place} ! multipartdemux ! jpegdec")
    try:
        table.late("gstreamer", camera, server)
    finally:
        camera.close()
        server.kill()


def local(table: Table, kind: str, source: str, **variants: tuple[str, dict[str, Any]]) -> None:
    """Faults of a local camera; `variants`: source and options of a faulty picture."""
    camera = MeasuredCamera(source)
    usual = camera.source, camera.options

    def become(variant: tuple[str, dict[str, Any]]) -> Act:
        def act(camera: MeasuredCamera) -> None:
            camera.source, camera.options = variant
            camera.signal(signal.SIGKILL)

        return act

    try:
        table.row(kind, "driver hangs", camera, lambda x: x.signal(signal.SIGSTOP), None)
        table.row(kind, "driver crashes", camera, lambda x: x.signal(signal.SIGSEGV), None)
        for fault, variant in variants.items():
            table.row(kind, fault.replace("_", " "), camera, become(variant), become(usual))
    finally:
        camera.close()


def with_gi() -> bool:
    """Makes Debian's GStreamer binding importable, when it is for this Python."""
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
        import pypylon  # noqa: F401  only to know whether it is installed
    except ImportError:
        print("pylon: not installed; left out", file=sys.stderr)
        return 1 if table.failed else 0
    os.environ.pop("PYLON_CAMEMU", None)
    late = MeasuredCamera("pylon:0815-0000")
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
