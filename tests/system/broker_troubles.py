"""What the operator sees when the broker cannot be used: `python -m tests.system.broker_troubles`
starts a real mosquitto for each trouble, makes the certificates, runs the daemon and `edge-inspect
check` against it, and prints a table of what they say."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.cli.check import check_broker
from edge.config import Config
from edge.core.errors import EdgeInspectError
from tests.support.certificates import make_authority, make_certificate
from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.plant import Daemon, faults
from tests.support.waiting import wait_until

_EXPIRED = ("20200101000000Z", "20210101000000Z")
_FUTURE = ("20390101000000Z", "20400101000000Z")


@dataclass(frozen=True)
class Trouble:
    """What is wrong: `broker`: lines of mosquitto's configuration; `mqtt`: of ours."""

    name: str
    expected: str  # words that the sentence must hold
    broker: tuple[str, ...] = ("allow_anonymous true",)
    mqtt: dict[str, Any] = field(default_factory=dict)
    runs: bool = True


def make_all(folder: Path) -> None:
    """Every certificate and the password files of the table."""
    folder.mkdir(parents=True, exist_ok=True)
    for authority in ("ca", "other-ca"):
        make_authority(folder, authority)
    make_certificate(folder, "good", "ca", "IP:127.0.0.1,DNS:localhost")
    make_certificate(folder, "expired", "ca", "IP:127.0.0.1", _EXPIRED)
    make_certificate(folder, "future", "ca", "IP:127.0.0.1", _FUTURE)
    make_certificate(folder, "named", "ca", "DNS:broker.plant.example")
    make_certificate(folder, "box", "ca", "DNS:box")
    make_certificate(folder, "stranger", "other-ca", "DNS:box")
    subprocess.run(["mosquitto_passwd", "-b", "-c", "users", "box", "right"], check=True,
                   capture_output=True, cwd=folder)  # fmt: skip
    (folder / "may-read.acl").write_text("topic read #\n")
    silent = {"publishClientSend": True, "publishClientReceive": True, "subscribe": False}
    (folder / "may-write.json").write_text(json.dumps({"defaultACLAccess": silent}))
    (folder / "right").write_text("right\n")
    (folder / "wrong").write_text("wrong\n")


def troubles(folder: Path) -> list[Trouble]:
    """The table's rows."""

    def listens(name: str, *more: str) -> tuple[str, ...]:
        return (
            "allow_anonymous true", f"cafile {folder}/ca.pem", f"certfile {folder}/{name}.pem",
            f"keyfile {folder}/{name}.key", *more,
        )  # fmt: skip

    def tls(ca: str = "ca", **more: Any) -> dict[str, Any]:
        return {"tls": {"ca": str(folder / f"{ca}.pem"), **more}}

    def identity(cert: str, key: str) -> dict[str, Any]:
        return tls(cert=str(folder / f"{cert}.pem"), key=str(folder / f"{key}.key"))

    asks = listens("good", "require_certificate true")
    users = ("allow_anonymous false", f"password_file {folder}/users")
    wrong = {"username": "box", "password_file": str(folder / "wrong")}
    return [
        Trouble("the name is not known", "is not known", mqtt={"host": "no.such.invalid"}),
        Trouble("no broker runs", "connection refused", runs=False),
        Trouble("wrong password", "the user 'box'", users, wrong),
        Trouble("no user name", "without user name", users),
        Trouble("wrong CA", "mqtt.tls.ca", listens("good"), tls("other-ca")),
        Trouble("system's CAs only", "set mqtt.tls.ca", listens("good"), {"tls": {}}),
        Trouble("expired certificate", "has expired", listens("expired"), tls()),
        Trouble("certificate of the future", "check the clock", listens("future"), tls()),
        Trouble("wrong host name", "another name", listens("named"), tls()),
        Trouble("TLS spoken to a plain port", "may be a plain port", mqtt=tls()),
        Trouble("plain spoken to a TLS port", "a TLS port needs mqtt.tls", listens("good")),
        Trouble("no client certificate", "client certificate", asks, tls()),
        Trouble("client certificate of a stranger", "client certificate", asks,
                identity("stranger", "stranger")),
        Trouble("key of another certificate", "does not belong", asks, identity("box", "good")),
        Trouble("WebSockets spoken to a plain port", "no WebSocket",
                mqtt={"transport": "websockets"}),
    ]  # fmt: skip


def later_troubles(folder: Path) -> list[Trouble]:
    """Those that come when the connection stands: `check`, which only connects, finds none."""
    plugin = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
    anybody = "allow_anonymous true"
    deaf = (anybody, f"plugin {plugin}", f"plugin_opt_config_file {folder}/may-write.json")
    return [
        Trouble("ACL: may not publish", "does not let us publish",
                (anybody, f"acl_file {folder}/may-read.acl")),
        Trouble("ACL: may not subscribe", "does not let us subscribe", deaf),
    ]  # fmt: skip


@contextlib.contextmanager
def standing(folder: Path, trouble: Trouble) -> Iterator[Config]:
    """The broker of a row, and the configuration of the box."""
    broker = Mosquitto(folder, *trouble.broker)
    port = free_port()
    if trouble.runs:
        broker.start()
        port = broker.port
    try:
        yield Config.read(
            {
                "station": "line1",
                "model": {"path": "m.tflite"},
                "cameras": [{"id": "top", "source": "test:"}],
                "mqtt": {"port": port, **trouble.mqtt},
            }
        )
    finally:
        broker.close()


def seen(config: Config) -> str:
    """What `check` says of the broker; `OK …` when it works."""
    try:
        return f"OK ({check_broker(config)})"
    except EdgeInspectError as error:
        return str(error)


@dataclass(frozen=True)
class Said:
    """The line of `check` and its exit code; the sentence of the daemon's log and of `health`."""

    check: str
    code: int
    log: str
    health: str


def listened_to(folder: Path, config: Config, trouble: Trouble) -> Said:
    """Runs `edge-inspect check` and the daemon against the broker of a row."""
    web = free_port()
    values = {
        "station": "line1",
        "model": {"path": str(MODELS / "redness.tflite")},
        "cameras": [{"id": "top", "source": "test:"}],
        "web": {"enabled": True, "port": web},
        "mqtt": {**trouble.mqtt, "port": config.mqtt.effective_port},
    }
    daemon = Daemon(folder, values)
    command = [sys.executable, "-m", "edge", "check", "-c", str(daemon.config)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (ran.stdout + ran.stderr).splitlines()
    (check,) = [line for line in lines if line.startswith("broker: ")]
    found: list[str] = []

    def told() -> bool:
        found[:] = [text for text in faults(web) if text.startswith("broker: ")]
        return any(trouble.expected in text for text in found)

    try:
        daemon.start()
        wait_until(told, f"a fault of the broker: {trouble.expected}")
        log = next(line for line in daemon.log.splitlines() if trouble.expected in line)
        fault = next(text for text in found if trouble.expected in text)
        return Said(check, ran.returncode, log[9:], fault)
    finally:
        daemon.close()


def main() -> int:
    """Prints the table; ends with an error when a sentence does not come."""
    head = "| trouble | line of `check` | exit code | line of the log | fault in `health` |\n"
    sys.stdout.write(head + "|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "made"
        make_all(made)
        for number, trouble in enumerate([*troubles(made), *later_troubles(made)]):
            folder = Path(name) / str(number)
            folder.mkdir()
            with standing(folder / "broker", trouble) as config:
                said = listened_to(folder, config, trouble)
                row = _shortened(trouble, said).replace(str(made), "/etc/edge-inspect")
                port = str(config.mqtt.effective_port)
                sys.stdout.write(row.replace(port, "1883"))
                sys.stdout.flush()
    return 0


def _shortened(trouble: Trouble, said: Said) -> str:
    """A row; `…` stands for the sentence that `check` has said."""
    sentence = said.check.removeprefix("broker: ")
    log, health = (text.replace(sentence, "…") for text in (said.log, said.health))
    return f"| {trouble.name} | {said.check} | {said.code} | {log} | {health} |\n"


if __name__ == "__main__":
    sys.exit(main())
