"""A Debian with edge-inspect installed as a package, as the disk of an emulated machine: systemd,
the unit, the kernel's virtual camera and a second one, three packages to upgrade between."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.box import package, plant
from tests.box.machine import PACKAGES, Box, new_root

KERNEL = ",linux-image-amd64,kmod,initramfs-tools,e2fsprogs,udev"
_UNIT = """[Service]
WorkingDirectory=/usr/local/lib/watch
ExecStart=/usr/bin/python3 -B -m tests.machine.watch
[Install]
WantedBy=multi-user.target
"""
_NETWORK = """[Match]
Name=eth0
[Network]
Address=10.0.2.15/24
ConfigureWithoutCarrier=yes
"""
_VERSIONS = ("one", "two", "three")


def furnish(root: Path) -> None:
    """Makes the root. The first two versions are installed, the third lies in /root as they do.

    Raises BoxError.
    """
    new_root("bookworm", root, PACKAGES + KERNEL)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    (wants / "mosquitto.service").unlink(missing_ok=True)  # the broker is another machine
    (root / "etc/systemd/network").mkdir(exist_ok=True)
    (root / "etc/systemd/network/eth0.network").write_text(_NETWORK)
    (root / "etc/fstab").write_text("/dev/vda / ext4 defaults 0 1\n")
    (root / "etc/modules-load.d/box.conf").write_text("virtio_net\nvivid\n")
    (root / "etc/modprobe.d/vivid.conf").write_text("options vivid n_devs=1 node_types=0x1\n")
    (root / "etc/systemd/system/watch.service").write_text(_UNIT)
    box = Box(root, root.with_suffix(".console.log"))
    for n, name in enumerate(_VERSIONS):
        changed = ("edge/__init__.py", '"0.1.0"', f'"0.1.{n + 1}"')
        package.make_one(root, name, changed)
        box.in_root(
            f"dpkg-deb --fsys-tarfile /root/{name}.deb | "
            f"tar -xO ./usr/lib/edge-inspect/id >/root/{name}.id"
        )
    for name in _VERSIONS[:2]:
        box.in_root(f"dpkg -i /root/{name}.deb")
    box.in_root("systemctl enable watch systemd-networkd")
    plant.put_model(root)


def configure(root: Path, port: int) -> set[str]:
    """watch.py of this working tree, and config.yaml: the broker's port, two cameras, more time
    than on a board, since emulated all is twenty times slower. Returns the SHA-256 of both
    config.yaml between which watch.py edits."""
    config, first = root / "etc/edge-inspect/config.yaml", root / "root/config.yaml"
    if not first.exists():
        shutil.copy2(config, first)
    config.write_bytes(first.read_bytes())
    watch = root / "usr/local/lib/watch/tests/machine"
    watch.mkdir(parents=True, exist_ok=True)
    for name in ("__init__.py", "machine/__init__.py", "machine/watch.py", "machine/digest.py"):
        shutil.copy(plant.REPOSITORY / "tests" / name, watch.parent / name)
    slowly = "timeout_s: 60", "open_timeout_s: 60", "width: 320", "height: 180", "fps: 5"
    camera = "\n    ".join(('"v4l2:/dev/video0"', *slowly))
    second = '\n  - id: cam2\n    source: "test:"\n    width: 160\n    height: 120\n    fps: 5'
    for old, new in (
        ('"v4l2:/dev/video0"    # better its name in /dev/v4l/by-id', camera + second),
        ("  deadline_ms: 2000 ", "  deadline_ms: 60000 "),
        ("  host: 127.0.0.1 ", "  host: 10.0.2.2 "),
        ("  port: 1883 ", f"  port: {port} "),
    ):
        plant.edit_config(root, old, new)
    text = config.read_text(encoding="utf-8")
    edited = text.replace("  keepalive_s: 30 ", "  keepalive_s: 31 ")
    return {hashlib.sha256(each.encode()).hexdigest() for each in (text, edited)}


def make_disk(root: Path, disk: Path) -> None:
    """A new ext4 disk that holds the root."""
    disk.unlink(missing_ok=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-d", str(root), str(disk), "6G"], check=True)
