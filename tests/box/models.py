"""Model versions on the installed, hardened service: with and without a key, power cuts, and back.

A cut ends every process of the box at once, systemd's too. The disk forgets nothing here, as it
does in tests/machine.
"""

import json
import random
import time
from typing import Any

from tests.box import plant
from tests.box.machine import Box, wait_for

_BIN = "/opt/edge-inspect/current/bin"
_CONFIG = "/etc/edge-inspect/config.yaml"
_FILES = "/srv/versions"
_STORE = "/var/lib/edge-inspect/models/versions"
_FILE = "path: /var/lib/edge-inspect/models/model.tflite"
_KEYS = "\nmodels:\n  keys: [/etc/edge-inspect/plant.pub]\n"
_CUTS, _LONGEST = 20, 2.0  # the last cut comes after so many times a usual activation


def installs_and_activates(box: Box) -> str:
    """A member of the group installs a version and judges by it; nobody restarts anything."""
    box(
        f"cd /root/first && PYTHONPATH=/root/first PYTHONDONTWRITEBYTECODE=1 {_BIN}/python -m "
        f"tests.box.make_versions {_FILES} && chmod -R a+rX {_FILES}"
    )
    box("id kim || useradd -m -G edge-inspect kim")
    plant.edit_config(box.root, _FILE, "path: redness")
    pid = plant.shown(box, "MainPID")
    _models(box, f"install {_FILES}/1.tflite")
    said = _models(box, "activate redness@1")
    assert "judges from now on" in said, said
    _judges_by(box, "1")
    assert plant.shown(box, "MainPID") == pid
    slots = f"{_STORE}/slots/*"
    modes = box(f"stat -c '%a %U:%G' {slots} {slots}/model.tflite {_STORE}/names/redness.json")[1]
    assert set(modes.split("\n")) == {
        "770 kim:edge-inspect",
        "640 kim:edge-inspect",
        "640 edge-inspect:edge-inspect",
    }, modes
    return f"{said}\n{modes}"


def takes_only_signed_versions(box: Box) -> str:
    """With a key: unsigned and signed by another one are refused, and the old version judges on. A
    version that the service's own user has changed is refused too."""
    box(f"install -m 644 {_FILES}/plant.pub /etc/edge-inspect/plant.pub")
    with (box.root / "etc/edge-inspect/config.yaml").open("a", encoding="utf-8") as config:
        config.write(_KEYS)
    box("systemctl reload edge-inspect")
    _judges_by(box, "1")
    refused = [_models(box, f"install {_FILES}/{name}.tflite", code=1) for name in ("3", "other")]
    assert "is not signed" in refused[0], refused
    assert "is signed by the key" in refused[1], refused
    said = _models(box, f"install {_FILES}/2.tflite")
    sha256 = _redness(box)["versions"][-1]["sha256"]
    changed = f"{_STORE}/slots/{sha256}/model.tflite"
    box(
        "runuser -u edge-inspect -- sh -c "
        f"'cp {changed} {_STORE}/x && printf x >> {_STORE}/x && mv -f {_STORE}/x {changed}'"
    )
    refused.append(_models(box, "activate redness@2", code=1))
    assert "has changed since it was installed" in refused[2], refused
    _judges_by(box, "1")
    _models(box, f"install {_FILES}/2.tflite")
    _models(box, "activate redness@2")
    _judges_by(box, "2")
    assert not plant.lost(box.root), plant.lost(box.root)
    return "\n".join((*refused, said))


def judges_along(box: Box) -> str:
    """The hardened service may lower the priority of the candidate's thread."""
    _models(box, "shadow redness@1")

    def judged() -> int:
        return int(json.loads(_models(box, "list --json"))["shadow"]["judged"])

    wait_for("parts that the candidate judged", lambda: judged() >= 20, 120)
    pid = plant.shown(box, "MainPID")
    threads = box(f"ps -T -p {pid} -o nice=,comm=")[1].splitlines()
    assert ["19", "shadow"] in [line.split() for line in threads], threads
    said = _models(box, "shadow --stop")
    assert plant.log_lines(box, "Traceback") == 0
    return said


def survives_power_cuts(box: Box) -> str:
    """The power goes in mid-activation, twenty times. After each start exactly one version is
    active and judges: the one that was asked, or the one before."""
    dice = random.Random(1)
    begun = time.monotonic()
    _models(box, "activate redness@1")
    usual_s = time.monotonic() - begun
    before, ended = "1", {"asked": 0, "before": 0}
    for _ in range(_CUTS):
        asked = "2" if before == "1" else "1"
        box(f"setsid {_BIN}/edge-inspect models activate redness@{asked} -c {_CONFIG} &")
        time.sleep(dice.uniform(0, _LONGEST * usual_s))
        box.cut()
        box.boot()
        plant.active(box)
        found = _redness(box)
        titles = {one["sha256"]: one["version"] for one in found["versions"]}
        active = titles[found["record"]["active"]]
        assert len(titles) == 2, titles
        assert active in (before, asked), f"{active} is active, not {before} or {asked}"
        _judges_by(box, active)
        ended["asked" if active == asked else "before"] += 1
        before = active
    left = box(f"ls -A {_STORE}/staging")[1]
    assert not left, left
    assert not plant.lost(box.root), plant.lost(box.root)
    return (
        f"{_CUTS} cuts within {_LONGEST * usual_s:.1f} s of the command: {ended['asked']} times "
        f"the version that was asked, {ended['before']} times the one before; verdicts lost: 0"
    )


def rolls_back(box: Box) -> str:
    """One command, and a restart judges by the same. Then config.yaml names the file again."""
    now = _active(box)
    said = _models(box, "rollback")
    other = "2" if now == "1" else "1"
    _judges_by(box, other)
    box("systemctl restart edge-inspect", seconds=120)
    plant.active(box)
    _judges_by(box, other)
    plant.edit_config(box.root, "path: redness", _FILE)
    plant.edit_config(box.root, _KEYS, "")
    box("systemctl reload edge-inspect")
    plant.more_verdicts(box.root, 20)
    assert not plant.lost(box.root), plant.lost(box.root)
    return said


def _models(box: Box, words: str, code: int = 0) -> str:
    """`edge-inspect models …` as kim, a member of the group."""
    line = f"runuser -u kim -- {_BIN}/edge-inspect models {words} -c {_CONFIG}"
    found, said = box(line, check=False)
    assert found == code, f"{words}: {found}: {said}"
    return said


def _redness(box: Box) -> dict[str, Any]:
    """The record and the versions of the name; there is no other."""
    found = json.loads(_models(box, "list --json"))
    (named,) = found["names"]
    assert found["running"] == named["record"]["active"], found
    return dict(named)


def _active(box: Box) -> str:
    found = _redness(box)
    titles = {one["sha256"]: str(one["version"]) for one in found["versions"]}
    return titles[found["record"]["active"]]


def _judges_by(box: Box, version: str) -> None:
    """The next verdicts are of this version."""
    before = max(plant.seqs(box.root), default=0)
    plant.more_verdicts(box.root, 20)
    wait_for(f"verdicts of redness@{version}", lambda: version in _judged(box, before), 60)


def _judged(box: Box, after: int) -> set[str]:
    """The versions of the last verdicts after a number."""
    lines = (box.root / plant.RESULTS).read_text(encoding="utf-8").splitlines()[-5:]
    bodies = [json.loads(line) for line in lines if line.endswith("}")]
    found = {str(one["model"]["version"]) for one in bodies if one["seq"] > after}
    return found if len(found) == 1 else set()
