"""Installing, upgrading, going back, taking away, by `make`. No network but for the first time."""

import os

from tests.box import plant
from tests.box.machine import Box

# After the first installation the box has no network: wheels come from a folder.
OFFLINE = "PIP_NO_INDEX=1 PIP_FIND_LINKS=/root/wheels"
SECOND = (
    ("edge/__init__.py", '"0.1.0"', '"0.1.1"'),
    ("config.yaml", "# Paths count", "# The second version says this.\n# Paths count"),
)
# The command line of a version that fails at its start.
FAILS_AT_START = """

_main = main


def main(argv=None):
    import sys

    if (sys.argv[1:] if argv is None else argv)[:1] == ["run"]:
        raise RuntimeError("broken on purpose")
    return _main(argv)
"""
# The command line of a version that does not know a key of the configuration.
REFUSES_A_KEY = """

_main = main


def main(argv=None):
    import pathlib
    import sys

    if "keepalive_s: 31" in pathlib.Path("/etc/edge-inspect/config.yaml").read_text():
        sys.stderr.write("config.yaml: mqtt.keepalive_s: unknown key\\n")
        return 2
    return _main(argv)
"""


def _make(box: Box, tree: str, goal: str, check: bool = True) -> tuple[int, str]:
    return box(f"cd /root/{tree} && {OFFLINE} make {goal}", check, 600)


def install_without_systemd_running(box: Box) -> str:
    """As an image is made: in a root that is not booted, from the package index."""
    plant.source_tree(box.root, "first")
    _, said = box.in_root("cd /root/first && make install")
    assert "starts with the next boot" in said, said
    for compiler in ("cc", "gcc", "c++"):
        assert not (box.root / "usr/bin" / compiler).exists()
    config = box.root / "etc/edge-inspect/config.yaml"
    assert "demo/" not in config.read_text()
    return "\n".join(line for line in said.splitlines() if not line.startswith("WARNING"))


def installs_again_and_changes_nothing(box: Box) -> str:
    """`make install` twice is as once: the same process goes on."""
    pid = plant.shown(box, "MainPID")
    _, said = _make(box, "first", "install")
    assert "is already installed and running" in said, said
    assert plant.shown(box, "MainPID") == pid
    return said


def upgrades(box: Box) -> str:
    """Another version: config, outbox and model are kept, no verdict is lost."""
    plant.source_tree(box.root, "second", *SECOND)
    before = (box.root / "etc/edge-inspect/config.yaml").read_bytes()
    _, said = _make(box, "second", "upgrade")
    plant.active(box)
    plant.more_verdicts(box.root, 20)
    assert (box.root / "etc/edge-inspect/config.yaml").read_bytes() == before
    assert (
        "The second version says this"
        in (box.root / "etc/edge-inspect/config.yaml.new").read_text()
    )
    version = box("edge-inspect --version")[1]
    assert version == "0.1.1", version
    assert not plant.lost(box.root), plant.lost(box.root)
    return f"{said}\n{box('edge-inspect-setup versions')[1]}\nverdicts lost: 0"


def refuses_what_does_not_come_up(box: Box) -> str:
    """A version that ends at its start is taken back; the one before runs again."""
    plant.source_tree(
        box.root,
        "broken",
        ("edge/__init__.py", '"0.1.0"', '"0.1.2"'),
        appended=(("edge/__main__.py", FAILS_AT_START),),
    )
    code, said = _make(box, "broken", "upgrade", check=False)
    assert code != 0
    assert "the old one runs again" in said, said
    plant.active(box)
    plant.more_verdicts(box.root, 20)
    assert box("edge-inspect --version")[1] == "0.1.1"
    assert not plant.lost(box.root), plant.lost(box.root)
    return said


def refuses_what_refuses_the_config(box: Box) -> str:
    """A version that cannot run with config.yaml is refused before anything is stopped."""
    plant.source_tree(
        box.root,
        "choosy",
        ("edge/__init__.py", '"0.1.0"', '"0.1.3"'),
        appended=(("edge/__main__.py", REFUSES_A_KEY),),
    )
    plant.edit_config(box.root, "  keepalive_s: 30 ", "  keepalive_s: 31 ")
    pid = plant.shown(box, "MainPID")
    code, said = _make(box, "choosy", "upgrade", check=False)
    assert code != 0
    assert "keepalive_s: unknown key" in said, said
    assert plant.shown(box, "MainPID") == pid, "the old version was stopped"
    plant.more_verdicts(box.root, 20)
    return said


def rolls_back_and_forth(box: Box) -> str:
    """`make rollback` is the version before; once more the newer one. Nothing is lost."""
    seen = []
    for version in ("0.1.0", "0.1.1"):
        _, said = _make(box, "second", "rollback")
        plant.active(box)
        plant.more_verdicts(box.root, 20)
        assert box("edge-inspect --version")[1] == version
        assert "The service runs" in said, said
        seen.append(said)
    assert not plant.lost(box.root), plant.lost(box.root)
    return "\n".join([*seen, "verdicts lost: 0"])


def refuses_a_server_without_a_token(box: Box) -> str:
    """The released version let everyone in the network reach HTTP without a token. The upgrade
    refuses such a config.yaml before it switches, and the version so far runs on."""
    if not plant.released_tree(box.root, "released"):
        return f"not tried: this clone has no history of {plant.RELEASED}"
    _make(box, "released", "upgrade")
    config = box.root / "etc/edge-inspect/config.yaml"
    before = config.read_text(encoding="utf-8")
    plant.edit_config(box.root, "web:\n  enabled: false", "web:\n  enabled: true ")
    plant.edit_config(box.root, "  bind: 127.0.0.1 ", "  bind: 0.0.0.0 ")
    box("systemctl restart edge-inspect", seconds=120)
    plant.active(box)
    pid, versions = plant.shown(box, "MainPID"), box("edge-inspect-setup versions")[1]
    code, said = _make(box, "second", "upgrade", check=False)
    assert code != 0
    assert "web: bind 0.0.0.0 makes the box reachable for everyone in the network" in said, said
    assert plant.shown(box, "MainPID") == pid, "the released version was stopped"
    assert box("edge-inspect-setup versions")[1] == versions
    plant.more_verdicts(box.root, 20)
    config.write_text(before, encoding="utf-8")
    box("systemctl restart edge-inspect", seconds=120)
    plant.active(box)
    assert not plant.lost(box.root), plant.lost(box.root)
    return said


def rolls_back_to_the_released_version(box: Box) -> str:
    """From the released version to this one, then back with verdicts that wait: nothing is lost.

    BOX_SECONDS says how long this version runs in between, a minute if it is not set.
    """
    if not plant.released_tree(box.root, "released"):
        return f"not tried: this clone has no history of {plant.RELEASED}"
    _make(box, "released", "upgrade")
    plant.active(box)
    plant.more_verdicts(box.root, 20)
    released = box("readlink /opt/edge-inspect/current")[1]
    _make(box, "second", "upgrade")
    plant.active(box)
    seconds = int(os.environ.get("BOX_SECONDS", "60"))
    judged = len(plant.seqs(box.root))
    box(f"sleep {seconds}", seconds=seconds + 60)
    judged = len(plant.seqs(box.root)) - judged
    box("systemctl stop mosquitto; sleep 5")
    _make(box, "second", "rollback")
    plant.active(box)
    assert box("readlink /opt/edge-inspect/current")[1] == released
    box("systemctl start mosquitto")
    plant.more_verdicts(box.root, 50)
    assert not plant.lost(box.root), plant.lost(box.root)
    _make(box, "second", "rollback")
    plant.active(box)
    plant.more_verdicts(box.root, 20)
    assert not plant.lost(box.root), plant.lost(box.root)
    return (
        f"{judged} verdicts in {seconds} s, then back to {plant.RELEASED} without a broker, and "
        "forth again; verdicts lost: 0"
    )


def uninstalls(box: Box) -> str:
    """`make uninstall` leaves config and data; PURGE=1 leaves nothing."""
    _, said = _make(box, "second", "uninstall")
    for kept in ("etc/edge-inspect/config.yaml", "var/lib/edge-inspect/models/model.tflite"):
        assert (box.root / kept).exists(), kept
    assert (box.root / "var/lib/edge-inspect/outbox.db").exists()
    assert not (box.root / "opt/edge-inspect").exists()
    assert plant.shown(box, "LoadState") == "not-found"
    _, purged = _make(box, "second", "uninstall PURGE=1")
    assert leftovers(box) == "", leftovers(box)
    return f"{said}\n{purged}"


def leftovers(box: Box) -> str:
    """Every file and user of ours that is still in the box, but for what /root holds."""
    return box(
        "find / -xdev -path /root -prune -o -path /var/lib/dpkg -prune -o -path /proc -prune -o "
        "-path /var/cache -prune -o -path /var/log -prune -o -path /sys -prune -o "
        "-path /run/lock -prune -o -name '*edge-inspect*' -print; "
        "getent passwd edge-inspect; getent group edge-inspect",
        check=False,
    )[1]
