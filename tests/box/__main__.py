"""The life of a box, told from a fresh Debian to an empty one:

    python3 -m tests.box [bookworm|trixie]      (make test-box; needs root and debootstrap)

Real systemd, real mosquitto, the real installation. Prints a line for each step and what was seen;
exit code 1 at the first that fails. BOX_ROOT names where the root goes; BOX_KEEP=1 leaves it.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.box import models, package, records, service, versions
from tests.box.machine import Box, BoxError, new_root
from tests.box.plant import REPOSITORY, put_plant

Step = Callable[[Box], str]
STEPS: tuple[Step, ...] = (
    versions.install_without_systemd_running,
    service.boots_and_waits_for_a_model,
    service.starts_when_the_model_comes,
    service.remembers_for_the_group,
    service.is_shut_in,
    service.comes_back_after_kill,
    service.comes_back_after_a_hang,
    service.answers_a_wrong_config,
    service.survives_a_missing_and_a_given_password,
    records.pictures_are_for_the_group,
    records.outlive_the_daemon,
    models.installs_and_activates,
    models.takes_only_signed_versions,
    models.judges_along,
    models.survives_power_cuts,
    models.rolls_back,
    versions.installs_again_and_changes_nothing,
    versions.upgrades,
    versions.refuses_what_does_not_come_up,
    versions.refuses_what_refuses_the_config,
    versions.rolls_back_and_forth,
    versions.refuses_a_server_without_a_token,
    versions.rolls_back_to_the_released_version,
    service.boots_without_a_broker,
    versions.uninstalls,
    package.installs,
    package.upgrades,
    package.removes_and_purges,
)


def main(suite: str) -> int:
    """Runs every step; 0 when all hold."""
    if os.geteuid() != 0:
        sys.stderr.write("make test-box: needs root; run: sudo make test-box\n")
        return 2
    _tools()
    root = Path(os.environ.get("BOX_ROOT", f"/var/tmp/edge-inspect-box-{suite}"))
    log = root.with_suffix(".console.log")
    log.unlink(missing_ok=True)
    start = time.monotonic()
    _say(f"== a fresh Debian {suite}: systemd, python3-venv, make, mosquitto; no compiler")
    new_root(suite, root)
    put_plant(root)
    package.make(root)
    box = Box(root, log)
    try:
        for step in STEPS:
            begun = time.monotonic()
            name = f"{step.__module__.rpartition('.')[2]}: {step.__name__.replace('_', ' ')}"
            seen = step(box)
            _say(f"ok    {name}  ({time.monotonic() - begun:.0f} s)")
            for line in seen.splitlines():
                _say(f"      {line}")
    except (BoxError, AssertionError, subprocess.CalledProcessError) as error:
        _say(f"FAIL  {name}: {error}")
        _say(f"      console: {log}")
        return 1
    finally:
        box.off()
        if not os.environ.get("BOX_KEEP"):
            shutil.rmtree(root, ignore_errors=True)
    _say(f"== {len(STEPS)} steps hold, {time.monotonic() - start:.0f} s")
    _say(f"{len(STEPS)} passed, 0 failed")
    return 0


def _tools() -> None:
    missing = [
        name
        for name, program in (
            ("debootstrap", "debootstrap"),
            ("systemd-container", "systemd-nspawn"),
        )
        if shutil.which(program) is None
    ]
    if missing:
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing], check=True
        )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "bookworm"))
