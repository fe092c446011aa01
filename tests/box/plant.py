"""What stands around the service in the box: source trees to install from, a configuration, a
subscriber, and questions to systemd."""

import json
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

from tests.box.machine import Box, BoxError, wait_for

REPOSITORY = Path(__file__).parents[2]
RELEASED = "e223966"  # the version that boxes in the field run: an upgrade can go back to it
RESULTS = "root/results.jsonl"
# A broker of Debian's as it comes, but for one line: it keeps what it has acknowledged.
_BROKER = "autosave_interval 1\nautosave_on_changes true\n"
# The plant's gateway: a session that the broker keeps (-c), so that it gets what came meanwhile.
_GATEWAY = """[Service]
ExecStart=/usr/bin/mosquitto_sub -h 127.0.0.1 -i gateway -c -q 1 -t inspection/line1/result
StandardOutput=append:/root/results.jsonl
Restart=always
RestartSec=1
[Unit]
StartLimitIntervalSec=0
[Install]
WantedBy=multi-user.target
"""


def source_tree(
    root: Path, name: str, *edits: tuple[str, str, str], appended: tuple[tuple[str, str], ...] = ()
) -> None:
    """Copies this repository to the box's /root/`name`.

    `edits` are (file, old text, new text), for texts that a user sees. `appended` are (file, text
    at its end), for changes of behaviour that depend on no source line. Raises BoxError when an
    edit does not fit any more.
    """
    folder = root / "root" / name
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    ).stdout.decode()
    for file in filter(None, listed.split("\0")):
        if (REPOSITORY / file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / file, folder / file)
    for file, old, new in edits:
        text = (folder / file).read_text(encoding="utf-8")
        if old not in text:
            raise BoxError(f"{file} holds no {old!r} any more; adapt tests/box")
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    for file, text in appended:
        with (folder / file).open("a", encoding="utf-8") as end:
            end.write(text)


def released_tree(root: Path, name: str) -> bool:
    """Copies the released version to the box's /root/`name`; False in a clone without history."""
    folder = root / "root" / name
    packed = subprocess.run(
        ["git", "archive", RELEASED], cwd=REPOSITORY, capture_output=True, check=False
    )
    if packed.returncode:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=packed.stdout, check=True)
    return True


def put_plant(root: Path) -> None:
    """Broker and gateway into a root that is not booted."""
    (root / "etc/mosquitto/conf.d/keep.conf").write_text(_BROKER)
    (root / "etc/systemd/system/gateway.service").write_text(_GATEWAY)
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "gateway.service").symlink_to("/etc/systemd/system/gateway.service")


def put_model(root: Path) -> None:
    """What an operator copies: a model file made by the converter (the tests' own)."""
    models = root / "var/lib/edge-inspect/models"
    shutil.copy(REPOSITORY / "tests/models/redness.tflite", models / "coming")
    (models / "coming").rename(models / "model.tflite")


def edit_config(root: Path, old: str, new: str) -> None:
    """What an operator's editor does: the file anew, with its owner and mode."""
    config = root / "etc/edge-inspect/config.yaml"
    text = config.read_text(encoding="utf-8")
    if old not in text:
        raise BoxError(f"/etc/edge-inspect/config.yaml holds no {old!r}")
    config.write_text(text.replace(old, new, 1), encoding="utf-8")


def seqs(root: Path) -> list[int]:
    """The sequence numbers of all verdicts that the gateway got, in the order of their coming."""
    try:
        lines = (root / RESULTS).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [json.loads(line)["seq"] for line in lines if line.endswith("}")]


def verdicts(root: Path) -> Counter[str]:
    """How many of each verdict the gateway got."""
    lines = (root / RESULTS).read_text(encoding="utf-8").splitlines()
    return Counter(json.loads(line)["verdict"] for line in lines if line.endswith("}"))


def lost(root: Path, seconds: float = 60.0) -> list[int]:
    """Numbers below the highest that did not come within `seconds`: each is a lost verdict.

    Live verdicts are sent before the backlog, so gaps close only after a while."""
    until = time.monotonic() + seconds
    while (gaps := _gaps(root)) and time.monotonic() < until:
        time.sleep(0.5)
    return gaps


def _gaps(root: Path) -> list[int]:
    came = set(seqs(root))
    return sorted(set(range(1, max(came, default=0) + 1)) - came)


def more_verdicts(root: Path, number: int, seconds: float = 60.0) -> float:
    """Seconds until so many further verdicts have come."""
    before = max(seqs(root), default=0)
    return wait_for(
        f"{number} more verdicts (after {before})",
        lambda: max(seqs(root), default=0) >= before + number,
        seconds,
    )


def shown(box: Box, name: str, unit: str = "edge-inspect") -> str:
    """One property of a unit, as systemd says it."""
    return box(f"systemctl show -P {name} {unit}")[1]


def active(box: Box, seconds: float = 120.0) -> float:
    """Seconds until the service is active."""

    def look() -> bool:
        return shown(box, "ActiveState") == "active"

    try:
        return wait_for("the service is active", look, seconds)
    except BoxError as error:
        log = box("journalctl -u edge-inspect -n 30 --no-pager -o cat", check=False)[1]
        raise BoxError(f"{error}; its log: {log}") from None


def restarted(box: Box, before: str, seconds: float) -> float:
    """Seconds until another process than `before` is the active service."""
    return wait_for(
        "the service is back",
        lambda: (
            shown(box, "ActiveState") == "active" and shown(box, "MainPID") not in ("0", before)
        ),
        seconds,
    )


def log_lines(box: Box, text: str) -> int:
    """How many lines of the service's journal since the boot hold a text."""
    said = box("journalctl -b -u edge-inspect --no-pager -o cat", check=False)[1]
    return sum(text in line for line in said.splitlines())
