"""The installed box as a whole machine: Debian's kernel with a virtual camera, under QEMU.

    python3 -m tests.box.emulated [amd64|arm64]     (make test-box-qemu; needs root)

What a container cannot show is shown here: verdicts from /dev/video0 while only cameras are let
through, the limits on memory and tasks by control groups of the machine's own, and another
processor than this one. The package is installed into the disk before its first boot, as an image
is made; the machine then goes through witness.sh, with one more boot on the way. Prints what the
machine says on its console; exit code 1 when it does not say that all holds.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.box import package, plant
from tests.box.machine import PACKAGES, Box, BoxError, new_root
from tests.box.processor import PROCESSORS, Processor, native
from tests.box.versions import SECOND

LONGEST_S = 3600.0
_UNIT = """[Unit]
After=edge-inspect.service
[Service]
ExecStart=/bin/sh /root/witness.sh
[Install]
WantedBy=multi-user.target
"""


def main(arch: str) -> int:
    """0 when the machine says that all holds."""
    if os.geteuid() != 0:
        sys.stderr.write("make test-box-qemu: needs root; run: sudo make test-box-qemu\n")
        return 2
    if arch not in PROCESSORS:
        sys.stderr.write(f"make test-box-qemu: ARCH is amd64 or arm64 (got {arch})\n")
        return 2
    processor = PROCESSORS[arch]
    root = Path(os.environ.get("BOX_ROOT", f"/var/tmp/edge-inspect-emulated-{arch}"))
    disk = root.with_suffix(".ext4")
    try:
        processor.tools()
        _furnish(root, processor)
        disk.unlink(missing_ok=True)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-d", str(root), str(disk), "6G"], check=True)
        return _run(root, disk, processor)
    except (BoxError, OSError, subprocess.CalledProcessError) as error:
        sys.stdout.write(f"FAIL  {error}\n")
        return 1
    finally:
        if not os.environ.get("BOX_KEEP"):
            shutil.rmtree(root, ignore_errors=True)
            disk.unlink(missing_ok=True)


def _furnish(root: Path, processor: Processor) -> None:
    kernel = f",linux-image-{processor.arch},kmod,initramfs-tools"
    new_root("bookworm", root, PACKAGES + kernel, processor)
    plant.put_plant(root)
    (root / "etc/modules-load.d/vivid.conf").write_text("vivid\n")
    (root / "etc/modprobe.d/vivid.conf").write_text("options vivid n_devs=1 node_types=0x1\n")
    shutil.copy(Path(__file__).with_name("witness.sh"), root / "root/witness.sh")
    (root / "etc/systemd/system/witness.service").write_text(_UNIT)
    package.make_one(root, "one", arch=processor.arch)
    package.make_one(root, "two", *SECOND, arch=processor.arch)
    box = Box(root, root.with_suffix(".console.log"))
    start = time.monotonic()
    model = f"export QEMU_CPU={processor.model}; " if processor.foreign else ""
    with processor.understood():
        said = box.in_root(
            f"{model}dpkg -i /root/one.deb && systemctl enable witness", seconds=3600
        )[1]
    for line in said.splitlines():
        if line.startswith(("Installed ", "systemd is not")):
            sys.stdout.write(f"{line}  ({time.monotonic() - start:.0f} s)\n")
            sys.stdout.flush()
    # Emulated, all is some twenty times slower than on a box; without help more so.
    slowly = "timeout_s: 120", "open_timeout_s: 300", "width: 320", "height: 180", "fps: 5"
    camera = "\n    ".join(('"v4l2:/dev/video0"', *slowly))
    plant.edit_config(root, '"v4l2:/dev/video0"', camera)
    plant.edit_config(root, "  deadline_ms: 2000 ", "  deadline_ms: 60000 ")
    plant.put_model(root)
    (root / "root/one.deb").unlink()


def _run(root: Path, disk: Path, processor: Processor) -> int:
    """Boots the disk and reads the console until the machine is off."""
    start = time.monotonic()
    machine = subprocess.Popen(
        [
            *(processor.emulator, *processor.machine),
            *("-accel", "kvm" if processor.quick else "tcg,thread=multi"),
            *("-smp", "2", "-m", "1536", "-display", "none"),
            *("-nic", "none", "-serial", "stdio", "-monitor", "none"),
            *("-kernel", str(sorted(root.glob("boot/vmlinuz-*"))[-1])),
            *("-initrd", str(sorted(root.glob("boot/initrd.img-*"))[-1])),
            *("-append", f"root=/dev/vda rw console={processor.console} quiet panic=-1"),
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
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else native()))
