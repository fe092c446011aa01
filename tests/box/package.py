"""The Debian package: installed, upgraded, removed and purged without network."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.box import plant
from tests.box.machine import Box, BoxError
from tests.box.versions import SECOND, leftovers


def make(root: Path) -> None:
    """Two packages of two versions into the box's /root, and their wheels into /root/wheels.

    Raises BoxError when one cannot be made.
    """
    make_one(root, "one")
    make_one(root, "two", *SECOND)
    unpacked = root / "root/unpacked"
    subprocess.run(["dpkg-deb", "-x", str(root / "root/one.deb"), str(unpacked)], check=True)
    shutil.move(unpacked / "usr/lib/edge-inspect/wheels", root / "root/wheels")
    shutil.rmtree(unpacked)
    for ours in (root / "root/wheels").glob("edge_inspect-*"):
        ours.unlink()  # `make install` builds its own, with this:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "-q", "download", "--no-deps", "setuptools>=77"),
            *("-d", str(root / "root/wheels")),
        ],
        check=True,
        capture_output=True,
    )
    for python in ("3.11", "3.13"):  # the released version needs a library that this one does not
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "-q", "download", "--no-deps", "msgspec>=0.20"),
                *("--only-binary", ":all:", "--python-version", python),
                *("-d", str(root / "root/wheels")),
            ],
            check=True,
            capture_output=True,
        )


def make_one(root: Path, name: str, *edits: tuple[str, str, str], arch: str = "") -> None:
    """A package of this source, with `edits`, as /root/`name`.deb. Raises BoxError.

    `arch`: Debian's name of the processor it is for; "" for this machine's.
    """
    tree = root / "root" / f"deb-{name}"
    plant.source_tree(root, tree.name, *edits)
    made = subprocess.run(
        ["sh", "scripts/deb.sh", *filter(None, [arch])],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise BoxError("make deb: " + made.stdout[-500:] + made.stderr[-1500:])
    (package,) = (tree / "build").glob("*.deb")
    shutil.move(package, root / "root" / f"{name}.deb")
    shutil.rmtree(tree)


def installs(box: Box) -> str:
    """`dpkg -i` in a box that has never seen it: the service waits for a model, then runs."""
    (box.root / plant.RESULTS).unlink(missing_ok=True)
    box("systemctl restart gateway")
    _, said = box("dpkg -i /root/one.deb", seconds=600)
    plant.edit_config(box.root, '"v4l2:/dev/video0"', '"test:"')
    plant.put_model(box.root)
    plant.active(box, 60)
    plant.more_verdicts(box.root, 20)
    return _ours(said)


def upgrades(box: Box) -> str:
    """`dpkg -i` of the next version: config kept, outbox kept, no verdict lost; and back."""
    before = (box.root / "etc/edge-inspect/config.yaml").read_bytes()
    _, said = box("dpkg -i /root/two.deb", seconds=600)
    plant.active(box)
    plant.more_verdicts(box.root, 20)
    assert box("edge-inspect --version")[1] == "0.1.1"
    assert (box.root / "etc/edge-inspect/config.yaml").read_bytes() == before
    assert (box.root / "etc/edge-inspect/config.yaml.new").exists()
    _, back = box("edge-inspect-setup rollback")
    plant.active(box)
    plant.more_verdicts(box.root, 20)
    assert box("edge-inspect --version")[1] == "0.1.0"
    assert not plant.lost(box.root), plant.lost(box.root)
    return f"{_ours(said)}\n{back}\nverdicts lost: 0"


def removes_and_purges(box: Box) -> str:
    """`dpkg -r` leaves config and data, `dpkg -P` nothing."""
    _, removed = box("dpkg -r edge-inspect")
    assert (box.root / "etc/edge-inspect/config.yaml").exists()
    assert (box.root / "var/lib/edge-inspect/outbox.db").exists()
    assert not (box.root / "opt/edge-inspect").exists()
    box("dpkg -P edge-inspect")
    assert leftovers(box) == "", leftovers(box)
    return f"{_ours(removed)}\nnothing left after dpkg -P"


def _ours(said: str) -> str:
    skip = ("(Reading", "Selecting", "Preparing", "Unpacking", "WARNING")
    return "\n".join(line for line in said.splitlines() if not line.startswith(skip))
