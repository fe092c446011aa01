"""v4l2 × fault with a real kernel driver: the virtual camera `vivid`, whose controls inject faults.

Runs as root in the emulated machine of scripts/vivid.sh (`make test-capture-qemu`), whose kernel
has the driver; it loads and unloads the driver, so run it nowhere else.
"""

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.cameras.measured_camera import MeasuredCamera, bad
from tests.cameras.rows import Act, Table

_DEVICE = Path("/dev/video0")
_NAME = Path("/tmp/by-id-camera")  # a link, as in /dev/v4l/by-id
_OTHER = 5
_KIND = "v4l2 (vivid)"
# The machine is emulated: a camera's process needs some ten seconds to start there.
_OPTIONS: dict[str, Any] = {
    "width": 320,
    "height": 180,
    "timeout_s": 5,
    "open_timeout_s": 120,
    "trust": {"max_age_s": 3},
}
_DEADLINE_S = 240.0


class Vivid:
    """The driver; it starts and ends with its kernel module."""

    kind = _KIND

    def start(self) -> None:
        """Loads the driver. Raises TimeoutError when no device file appears."""
        _run("modprobe", "vivid", "n_devs=1", "node_types=0x1")
        end = time.monotonic() + 60
        _NAME.symlink_to(_DEVICE)
        while not _DEVICE.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"{_DEVICE} did not come after modprobe vivid")
            time.sleep(0.1)


def bound(action: str) -> Act:
    """Removes ("unbind") or adds ("bind") the device, also while it is in use."""

    def act(_: MeasuredCamera) -> None:
        Path("/sys/bus/platform/drivers/vivid", action).write_text("vivid.0")

    return act


def _fails(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode != 0


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)


def controls(**values: int) -> Act:
    """Sets controls of the driver, in order. Raises CalledProcessError for one it refuses."""

    def act(_: MeasuredCamera) -> None:
        for name, value in values.items():
            _run("v4l2-ctl", "-d", str(_DEVICE), "-c", f"{name}={value}")

    return act


def damaged(camera: MeasuredCamera) -> None:
    """The driver flags pictures as damaged until one is an error: not every picture is judged."""
    since = time.monotonic()
    while time.monotonic() < since + 10:
        controls(inject_v4l2_buf_flag_error=1)(camera)
        if any(at >= since and bad(verdict) for at, verdict, _ in list(camera.judged)):
            return


def at_opening(control: str) -> Act:
    """The camera is opened again, and the driver refuses once."""

    def act(camera: MeasuredCamera) -> None:
        controls(**{control: 1})(camera)
        camera.signal(signal.SIGKILL)

    return act


def renumbered(_: MeasuredCamera) -> None:
    """The device comes again with another number; the link points to it, as udev does."""
    end = time.monotonic() + 60
    while _fails("modprobe", "-r", "vivid"):  # until its last user has closed it
        if time.monotonic() > end:
            raise TimeoutError("vivid is still in use")
        time.sleep(0.2)
    _run("modprobe", "vivid", "n_devs=1", "node_types=0x1", f"vid_cap_nr={_OTHER}")
    while not Path(f"/dev/video{_OTHER}").exists():
        time.sleep(0.1)
    _NAME.unlink()
    _NAME.symlink_to(f"/dev/video{_OTHER}")


def become(**options: object) -> Act:
    """The camera is opened again, with these options."""

    def act(camera: MeasuredCamera) -> None:
        camera.options = {**_OPTIONS, **options}
        camera.signal(signal.SIGKILL)

    return act


def main() -> int:
    """Prints the table; exit code 1 when something failed."""
    logging.getLogger("edge").setLevel(logging.CRITICAL)
    table, driver = Table(), Vivid()
    MeasuredCamera.deadline_s = _DEADLINE_S
    camera = MeasuredCamera(f"v4l2:{_NAME}", **_OPTIONS)
    faults: list[tuple[str, Act, Act | None]] = [
        ("driver hangs", lambda x: x.signal(signal.SIGSTOP), None),
        ("driver crashes", lambda x: x.signal(signal.SIGSEGV), None),
        ("killed", lambda x: x.signal(signal.SIGKILL), None),
        (
            "no buffers",
            controls(percentage_of_dropped_buffers=100),
            controls(percentage_of_dropped_buffers=0),
        ),
        ("fatal queue error", controls(inject_fatal_streaming_error=1), None),
        ("frozen", controls(osd_text_mode=2), controls(osd_text_mode=0)),
        (
            "dark",
            controls(osd_text_mode=2, test_pattern=5),
            controls(test_pattern=0, osd_text_mode=0),
        ),
        ("wrong size", become(width=640, height=360), become()),
        ("damaged buffers", damaged, None),
        ("does not start", at_opening("inject_vidioc_streamon_error"), None),
        # The device returns after every program has closed it.
        ("disconnected", controls(disconnect=1), None),
        ("unplugged", bound("unbind"), bound("bind")),
        ("other number", bound("unbind"), renumbered),
    ]
    try:
        table.late(_KIND, camera, driver)
        for fault, act, repair in faults:
            try:
                table.row(_KIND, fault, camera, act, repair)
            except (OSError, subprocess.SubprocessError) as error:
                table.failed += 1
                print(f"| {_KIND} | {fault} | **FAILED** {error} |", flush=True)
    finally:
        camera.close()
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
