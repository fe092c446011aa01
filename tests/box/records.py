"""What the box remembers, as the installed service and a user of its group see it."""

import json

from tests.box import plant
from tests.box.machine import Box, wait_for

_TOOL = "/opt/edge-inspect/current/bin/edge-inspect"
_CONFIG = "/etc/edge-inspect/config.yaml"


def pictures_are_for_the_group(box: Box) -> str:
    """A user of the group labels kept pictures, exports them, and has one judged again."""
    plant.edit_config(box.root, "archive:\n  enabled: false", "archive:\n  enabled: true")
    plant.edit_config(box.root, "keep: [fail, review]", "keep: [pass, fail, review]")
    box("systemctl reload edge-inspect")
    box("id inspector || useradd -m -G edge-inspect inspector")
    plant.more_verdicts(box.root, 50)

    def said(command: str, user: str = "inspector", check: bool = True) -> str:
        line = f"runuser -u {user} -- sh -c 'cd ~{user} && {_TOOL} {command} -c {_CONFIG}'"
        return box(line, check=check)[1]

    def kept() -> list[str]:
        lines = said("history --limit 20 --json").splitlines()
        ids = [str(json.loads(line)["id"]) for line in lines if line.startswith("{")]
        return [one for one in ids[::-1] if "because of" in said(f"show {one}", check=False)]

    wait_for("kept pictures in the history", lambda: len(kept()) >= 3, 60)
    first, second, third = kept()[:3]
    labelled = said(f"label {first} {second} scratch --by kim")
    assert labelled.count("is labelled scratch") == 2, labelled
    said(f"label {third} ok --by kim")
    exported = said("export -o ~inspector/set --labelled")
    files = box("cd ~inspector/set && find . -type f | sort")[1].split()
    assert len([one for one in files if one.endswith((".jpg", ".png"))]) == 3, files
    assert "./manifest.csv" in files
    explained = said(f"explain {first}")
    assert "same score to the last bit" in explained, explained
    assert not plant.lost(box.root), plant.lost(box.root)
    return f"{exported.splitlines()[0]}\n{explained.splitlines()[-1].strip()}"


def outlive_the_daemon(box: Box) -> str:
    """After a kill the labels are there, and the stopped box answers root from its files."""
    box("systemctl kill -s KILL edge-inspect")
    plant.active(box)
    labelled = _rows(box(f"{_TOOL} history --truth scratch --json -c {_CONFIG}")[1])
    assert labelled == 2, labelled
    box("systemctl stop edge-inspect")
    rows = _rows(box(f"{_TOOL} history --limit 5 --json -c {_CONFIG}")[1])
    box("systemctl start edge-inspect")
    plant.active(box)
    owner = box("stat -c %U /var/lib/edge-inspect/history.db /var/lib/edge-inspect/labels.jsonl")[1]
    assert set(owner.split()) == {"edge-inspect"}, owner
    assert rows == 5, rows
    plant.more_verdicts(box.root, 20)
    return "2 labels after a kill; 5 verdicts from the files of the stopped service"


def _rows(said: str) -> int:
    """Lines of JSON."""
    return sum(line.startswith("{") for line in said.splitlines())
