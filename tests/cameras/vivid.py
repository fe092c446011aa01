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

from tests.cameras.line import Line, bad
from tests.cameras.rows import Act, Table

_DEVICE = Path("/dev/video0")
_NAME = Path("/tmp/by-id-camera")  # as /dev/v4l/by-id has them
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
    """The driver, as a server of `Table.late`: it starts and ends with its module."""

    kind = _KIND

    def start(self) -> None:
        """Plugs the camera in. Raises TimeoutError when no device file comes."""
        _run("modprobe", "vivid", "n_devs=1", "node_types=0x1")
        end = time.monotonic() + 60
        _NAME.symlink_to(_DEVICE)
        while not _DEVICE.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"{_DEVICE} did not come after modprobe vivid")
            time.sleep(0.1)


def bound(action: str) -> Act:
    """Takes the device away ("unbind") or gives it back ("bind"), also while it is in use."""

    def act(_: Line) -> None:
        Path("/sys/bus/platform/drivers/vivid", action).write_text("vivid.0")

    return act


def _gone_wrong(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True, timeout=60).returncode != 0


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)


def controls(**values: int) -> Act:
    """Sets controls of the driver, in order. Raises CalledProcessError for one it refuses."""

    def act(_: Line) -> None:
        for name, value in values.items():
            _run("v4l2-ctl", "-d", str(_DEVICE), "-c", f"{name}={value}")

    return act


def damaged(line: Line) -> None:
    """The driver marks a picture as damaged, again and again: not every picture is judged."""
    since = time.monotonic()
    while time.monotonic() < since + 10:
        controls(inject_v4l2_buf_flag_error=1)(line)
        if any(at >= since and bad(verdict) for at, verdict, _ in list(line.judged)):
            return


def at_opening(control: str) -> Act:
    """The camera is opened again, and the driver refuses once."""

    def act(line: Line) -> None:
        controls(**{control: 1})(line)
        line.signal(signal.SIGKILL)

    return act


def renumbered(_: Line) -> None:
    """Plugged in again, it has another number; the lasting name points at that, as udev sees to."""
    end = time.monotonic() + 60
    while _gone_wrong("modprobe", "-r", "vivid"):  # until its last user has let go
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

    def act(line: Line) -> None:
        line.options = {**_OPTIONS, **options}
        line.signal(signal.SIGKILL)

    return act


def main() -> int:
    """Prints the table; exit code 1 when something failed."""
    logging.getLogger("edge").setLevel(logging.CRITICAL)
    table, driver = Table(), Vivid()
    Line.deadline_s = _DEADLINE_S
    line = Line(f"v4l2:{_NAME}", **_OPTIONS)
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
        # It comes back by itself once every program has closed it.
        ("disconnected", controls(disconnect=1), None),
        ("unplugged", bound("unbind"), bound("bind")),
        ("other number", bound("unbind"), renumbered),
    ]
    try:
        table.late(_KIND, line, driver)
        for fault, act, mend in faults:
            try:
                table.row(_KIND, fault, line, act, mend)
            except (OSError, subprocess.SubprocessError) as error:
                table.failed += 1
                print(f"| {_KIND} | {fault} | **FAILED** {error} |", flush=True)
    finally:
        line.close()
    return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
