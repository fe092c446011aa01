"""The installed box as a whole machine: Debian's kernel with a virtual camera, under QEMU.

    python3 -m tests.box.emulated      (make test-box-qemu; needs root, debootstrap and QEMU)

What a container cannot show is shown here: verdicts from /dev/video0 while only cameras are let
through, and the limits on memory and tasks, by control groups of the machine's own. The package is
installed into the disk before its first boot, as an image is made. Prints what the machine says on
its console; exit code 1 when it does not say that all holds.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.box import package, plant
from tests.box.machine import PACKAGES, Box, BoxError, new_root

KERNEL = ",linux-image-amd64,kmod,initramfs-tools"
LONGEST_S = 900.0
_UNIT = """[Unit]
After=edge-inspect.service mosquitto.service
[Service]
ExecStart=/bin/sh /root/witness.sh
[Install]
WantedBy=multi-user.target
"""


def main() -> int:
    """0 when the machine says that all holds."""
    if os.geteuid() != 0:
        sys.stderr.write("make test-box-qemu: needs root; run: sudo make test-box-qemu\n")
        return 2
    if shutil.which("qemu-system-x86_64") is None:
        subprocess.run(["apt-get", "update", "-q"], check=True)
        subprocess.run(
            [
                *("apt-get", "install", "-y", "-q", "--no-install-recommends"),
                *("qemu-system-x86", "seabios", "debootstrap", "e2fsprogs"),
            ],
            check=True,
        )
    root = Path(os.environ.get("BOX_ROOT", "/var/tmp/edge-inspect-emulated"))
    disk = root.with_suffix(".ext4")
    try:
        _furnish(root)
        disk.unlink(missing_ok=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-d", str(root), str(disk), "4G"], check=True)
        return _run(root, disk)
    except (BoxError, subprocess.CalledProcessError) as error:
        sys.stdout.write(f"FAIL  {error}\n")
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
        disk.unlink(missing_ok=True)


def _furnish(root: Path) -> None:
    new_root("bookworm", root, PACKAGES + KERNEL)
    plant.put_plant(root)
    (root / "etc/systemd/system/multi-user.target.wants/gateway.service").unlink()
    (root / "etc/modules-load.d/vivid.conf").write_text("vivid\n")
    (root / "etc/modprobe.d/vivid.conf").write_text("options vivid n_devs=1 node_types=0x1\n")
    shutil.copy(Path(__file__).with_name("witness.sh"), root / "root/witness.sh")
    (root / "etc/systemd/system/witness.service").write_text(_UNIT)
    package.make_one(root, "one")
    box = Box(root, root.with_suffix(".console.log"))
    said = box.in_root("dpkg -i /root/one.deb && systemctl enable witness")[1]
    sys.stdout.write(said.splitlines()[-1] + "\n")
    # Without the processor's help all is some twenty times slower than on a box.
    slowly = "timeout_s: 60", "open_timeout_s: 60", "width: 320", "height: 180"
    camera = "\n    ".join(('"v4l2:/dev/video0"', *slowly))
    plant.edit_config(root, '"v4l2:/dev/video0"', camera)
    plant.edit_config(root, "  deadline_ms: 2000 ", "  deadline_ms: 60000 ")
    plant.put_model(root)
    (root / "root/one.deb").unlink()


def _run(root: Path, disk: Path) -> int:
    """Boots the disk and reads the console until the machine is off."""
    flags = Path("/proc/cpuinfo").read_text()
    quick = os.access("/dev/kvm", os.W_OK) and re.search(r"\b(vmx|svm)\b", flags)
    start = time.monotonic()
    machine = subprocess.Popen(
        [
            *("qemu-system-x86_64", "-accel", "kvm" if quick else "tcg,thread=multi"),
            *("-cpu", "max", "-smp", "2", "-m", "1536", "-display", "none", "-no-reboot"),
            *("-nic", "none", "-serial", "stdio", "-monitor", "none"),
            *("-kernel", str(sorted(root.glob("boot/vmlinuz-*"))[-1])),
            *("-initrd", str(sorted(root.glob("boot/initrd.img-*"))[-1])),
            *("-append", "root=/dev/vda rw console=ttyS0 quiet"),
            *("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    holds = False
    assert machine.stdout is not None
    try:
        for line in machine.stdout:
            at = time.monotonic() - start
            sys.stdout.write(f"{at:4.0f} s  {line.rstrip()}\n")
            sys.stdout.flush()
            holds = holds or line.startswith("BOX HOLDS")
            if at > LONGEST_S:
                break
    finally:
        machine.kill()
        machine.wait()
    return 0 if holds else 1


if __name__ == "__main__":
    os.chdir(plant.REPOSITORY)
    sys.exit(main())
