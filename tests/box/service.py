"""The service: without a model, after a kill, a hang, a mistake, and without a broker."""

import json
import re
from pathlib import Path

from tests.box import plant
from tests.box.machine import Box, wait_for

CONFIG = "/etc/edge-inspect/config.yaml"
MOST_EXPOSED = 1.5


def boots_and_waits_for_a_model(box: Box) -> str:
    """A box without a model boots; `systemctl status` says what is missing, the log once."""
    took = box.boot()
    assert plant.shown(box, "UnitFileState") == "enabled"
    wait_for(
        "the second try, which waits quietly",
        lambda: plant.log_lines(box, "still does not start") == 1,
        60,
    )
    status = box("systemctl status edge-inspect --no-pager -n 0", check=False)[1]
    assert "does not start: /var/lib/edge-inspect/models/model.tflite: " in status, status
    assert plant.log_lines(box, "model.tflite: the model file cannot be read") == 1
    assert "degraded" not in box("systemctl is-system-running", check=False)[1]
    said = next(line.strip() for line in status.splitlines() if "Status:" in line)
    return f"booted in {took:.0f} s\n{said}"


def starts_when_the_model_comes(box: Box) -> str:
    """Camera and model are set; nobody starts anything, and verdicts come."""
    plant.edit_config(box.root, '"v4l2:/dev/video0"', '"test:"')
    plant.put_model(box.root)
    took = plant.active(box, 60)
    plant.more_verdicts(box.root, 50)
    status = wait_for("a status line", lambda: "verdicts" in plant.shown(box, "StatusText"), 30)
    assert status >= 0
    assert not plant.lost(box.root), plant.lost(box.root)
    return (
        f"active after {took:.0f} s\nStatus: {plant.shown(box, 'StatusText')}\n"
        f"verdicts at the plant: {dict(plant.verdicts(box.root))}"
    )


def remembers_for_the_group(box: Box) -> str:
    """A user of the group asks for verdicts and labels one, through the socket while the service
    runs and on the files while it is stopped. A user outside is told of the group."""
    box("id kim || useradd -m -G edge-inspect kim")
    box("id visitor || useradd -m visitor")
    asked = f"edge-inspect %s -c {CONFIG}"

    def ask(words: str) -> str:
        return box(f"runuser -u kim -- {asked % words}")[1]

    socket = box("stat -c '%a %U:%G' /run/edge-inspect/api.sock")[1]
    assert socket == "660 edge-inspect:edge-inspect", socket
    wait_for(
        "the history has verdicts", lambda: ask("history --limit 1 --json").startswith("{"), 30
    )
    name = json.loads(ask("history --limit 1 --json").splitlines()[-1])["id"]
    said = ask(f"label {name} dent --by kim")
    assert "labelled dent by kim" in ask(f"show {name}")
    code, refused = box(f"runuser -u visitor -- {asked % 'history'}", check=False)
    assert code != 0, refused
    box("systemctl stop edge-inspect", seconds=120)
    assert box("ls /run/edge-inspect/api.sock", check=False)[0] != 0
    assert name in ask("history --truth dent --json")
    undone = ask(f"label --undo {name}")
    box("systemctl start edge-inspect", seconds=120)
    wait_for("it answers again", lambda: name not in ask("history --truth dent --json"), 30)
    mode = box("stat -c '%a %U:%G' /var/lib/edge-inspect/labels.jsonl")[1]
    assert mode == "660 edge-inspect:edge-inspect", mode
    plant.more_verdicts(box.root, 20)
    return f"{said}\n{undone}\nsocket and labels: mode {mode}\na visitor: {refused}"


def is_shut_in(box: Box) -> str:
    """The kernel's own word on the running process, and systemd's figure, while verdicts come."""
    pid = plant.shown(box, "MainPID")
    status = box(f"cat /proc/{pid}/status")[1]
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    uid = box("id -u edge-inspect")[1]
    assert set(fields["Uid"].split()) == {uid}, fields["Uid"]
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[name], 16) == 0, f"{name} {fields[name]}"
    assert fields["NoNewPrivs"].strip() == "1"
    assert fields["Seccomp"].strip() == "2"
    said = box("systemd-analyze security edge-inspect --no-pager | tail -1")[1]
    found = re.search(r"exposure level for edge-inspect.service: ([\d.]+)", said)
    assert found is not None, said
    assert float(found[1]) <= MOST_EXPOSED, said
    inside = f"nsenter -t {pid} -m -r sh -c"
    refused = []
    for path in ("/etc", "/usr", "/opt/edge-inspect", "/var/lib/edge-inspect/models", "/var/log"):
        code, answer = box(f"{inside} 'touch {path}/x'", check=False)
        assert code != 0, path
        assert "Read-only file system" in answer, answer
        refused.append(path)
    assert box(f"{inside} 'ls /home /root'", check=False)[1].count("denied") in (0, 2)
    plant.more_verdicts(box.root, 20)
    assert plant.log_lines(box, "Traceback") == 0, "something was forbidden that it needs"
    return f"{said}\nuid {uid}, no capability, seccomp on; read-only to it: {', '.join(refused)}"


def comes_back_after_kill(box: Box) -> str:
    """kill -9, five times: back by itself, no verdict is lost."""
    seen = []
    for _ in range(5):
        pid = plant.shown(box, "MainPID")
        box(f"kill -9 {pid}")
        seen.append(plant.restarted(box, pid, 60))
        plant.more_verdicts(box.root, 20)
    assert not plant.lost(box.root), plant.lost(box.root)
    return f"active again after {', '.join(f'{s:.0f}' for s in seen)} s; verdicts lost: 0"


def comes_back_after_a_hang(box: Box) -> str:
    """SIGSTOP: the watchdog ends the process, systemd starts it anew."""
    pid = plant.shown(box, "MainPID")
    box(f"kill -STOP {pid}")
    took = plant.restarted(box, pid, 180)
    assert plant.log_lines(box, "Watchdog timeout") == 1
    plant.more_verdicts(box.root, 20)
    assert not plant.lost(box.root), plant.lost(box.root)
    return f"a new process was active {took:.0f} s after SIGSTOP; verdicts lost: 0"


def answers_a_wrong_config(box: Box) -> str:
    """A mistake: the sentence with its line in status and log, once; mended, it runs by itself."""
    quiet = plant.log_lines(box, "still does not start")
    plant.edit_config(box.root, "  keepalive_s: 30 ", "  keepalive_s: soon ")
    code, _ = box("systemctl restart edge-inspect", check=False, seconds=30)
    assert code == 1, f"systemctl restart must tell at once that it failed (got {code})"
    wait_for(
        "the quiet second try",
        lambda: plant.log_lines(box, "still does not start") == quiet + 1,
        30,
    )
    status = plant.shown(box, "StatusText")
    assert re.search(r"config\.yaml:\d+:\d+: mqtt\.keepalive_s: ", status), f"status: {status}"
    said = plant.log_lines(box, "mqtt.keepalive_s: ")
    assert said == 1, f"said {said} times"
    priority = box("journalctl -u edge-inspect -p err --no-pager -o cat")[1]
    assert "mqtt.keepalive_s" in priority, priority
    plant.edit_config(box.root, "  keepalive_s: soon ", "  keepalive_s: 30 ")
    took = plant.active(box, 60)
    plant.more_verdicts(box.root, 20)
    return f"Status: {status}\nactive {took:.0f} s after the mend"


def survives_a_missing_and_a_given_password(box: Box) -> str:
    """The broker's password reaches the process by systemd; without the file it starts too."""
    folder = "/run/credentials/edge-inspect.service"
    assert box(f"cat {folder}/mqtt-password")[1] == ""
    secret = box.root / "etc/edge-inspect/mqtt-password"
    secret.write_text("given\n")
    secret.chmod(0o600)
    box("systemctl restart edge-inspect", seconds=120)
    assert box(f"cat {folder}/mqtt-password")[1] == "given"
    pid = plant.shown(box, "MainPID")
    said = Path(f"{box.root}/etc/edge-inspect/mqtt-password").stat().st_mode & 0o777
    code, _ = box("runuser -u edge-inspect -- cat /etc/edge-inspect/mqtt-password", check=False)
    assert code != 0, "the service's user must not need to read root's file"
    secret.unlink()
    box("systemctl restart edge-inspect", seconds=120)
    plant.more_verdicts(box.root, 20)
    return f"without the file: starts; with it (mode {said:o}, root's): process {pid} was given it"


def boots_without_a_broker(box: Box) -> str:
    """No broker at boot: active all the same; when it comes, so do the verdicts, every one."""
    box("systemctl disable mosquitto gateway 2>&1; systemctl stop edge-inspect")
    box.off()
    took = box.boot()
    assert plant.shown(box, "ActiveState", "mosquitto") == "inactive"
    assert plant.shown(box, "ActiveState") == "active"
    before = max(plant.seqs(box.root))
    wait_for("the status tells", lambda: "wait" in plant.shown(box, "StatusText"), 60)
    status = plant.shown(box, "StatusText")
    box("systemctl enable --now mosquitto gateway 2>&1")
    plant.more_verdicts(box.root, 50)
    assert not plant.lost(box.root), plant.lost(box.root)
    return (
        f"booted in {took:.0f} s, active without broker\nStatus: {status}\n"
        f"with the broker: {max(plant.seqs(box.root)) - before} verdicts more, lost: 0"
    )
