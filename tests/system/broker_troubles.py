"""The sentences of the daemon and of `edge-inspect check` when the broker cannot be used.

`python -m tests.system.broker_troubles` starts a real mosquitto for each fault, makes the
certificates, runs both against it, and prints a table.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.config import Config
from edge.core.errors import EdgeInspectError
from edge.mqtt import check_broker
from tests.support.certificates import make_authority, make_certificate
from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto, free_port
from tests.support.plant import Daemon, faults
from tests.support.waiting import wait_until

_EXPIRED = ("20200101000000Z", "20210101000000Z")
_FUTURE = ("20390101000000Z", "20400101000000Z")


@dataclass(frozen=True)
class Trouble:
    """A fault. `broker`: lines of mosquitto's configuration; `mqtt`: section of config.yaml."""

    name: str
    expected: str  # words that the sentence must hold
    broker: tuple[str, ...] = ("allow_anonymous true",)
    mqtt: dict[str, Any] = field(default_factory=dict)
    runs: bool = True


def make_all(folder: Path) -> None:
    """Makes the certificates and password files."""
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
    """The rows of the table."""

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
        Trouble("client certificate of another authority", "client certificate", asks,
                identity("stranger", "stranger")),
        Trouble("key of another certificate", "does not belong", asks, identity("box", "good")),
        Trouble("WebSockets spoken to a plain port", "no WebSocket",
                mqtt={"transport": "websockets"}),
    ]  # fmt: skip


def later_troubles(folder: Path) -> list[Trouble]:
    """Faults after the connection is open. `check` only connects, so it finds none."""
    plugin = next(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
    anonymous = "allow_anonymous true"
    no_subscribe = (
        anonymous,
        f"plugin {plugin}",
        f"plugin_opt_config_file {folder}/may-write.json",
    )
    return [
        Trouble("ACL: may not publish", "does not let us publish",
                (anonymous, f"acl_file {folder}/may-read.acl")),
        Trouble("ACL: may not subscribe", "does not let us subscribe", no_subscribe),
    ]  # fmt: skip


@contextlib.contextmanager
def running_broker(folder: Path, trouble: Trouble) -> Iterator[Config]:
    """Runs the broker of a row; yields the configuration of the box."""
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


def checked(config: Config) -> str:
    """The sentence of `check`; `OK …` when the broker works."""
    try:
        return f"OK ({check_broker(config)})"
    except EdgeInspectError as error:
        return str(error)


@dataclass(frozen=True)
class Sentences:
    """The line of `check` and its exit code, the line of the log, the fault in `health`."""

    check: str
    code: int
    log: str
    health: str


def sentences_of(folder: Path, config: Config, trouble: Trouble) -> Sentences:
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

    def reported() -> bool:
        found[:] = [text for text in faults(web) if text.startswith("broker: ")]
        return any(trouble.expected in text for text in found)

    try:
        daemon.start()
        wait_until(reported, f"a fault of the broker: {trouble.expected}")
        log = next(line for line in daemon.log.splitlines() if trouble.expected in line)
        fault = next(text for text in found if trouble.expected in text)
        return Sentences(check, ran.returncode, log[9:], fault)
    finally:
        daemon.close()


def main() -> int:
    """Prints the table; raises when a sentence is missing."""
    head = "| trouble | line of `check` | exit code | line of the log | fault in `health` |\n"
    sys.stdout.write(head + "|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as name:
        made = Path(name) / "made"
        make_all(made)
        for number, trouble in enumerate([*troubles(made), *later_troubles(made)]):
            folder = Path(name) / str(number)
            folder.mkdir()
            with running_broker(folder / "broker", trouble) as config:
                sentences = sentences_of(folder, config, trouble)
                row = _shortened(trouble, sentences).replace(str(made), "/etc/edge-inspect")
                port = str(config.mqtt.effective_port)
                sys.stdout.write(row.replace(port, "1883"))
                sys.stdout.flush()
    return 0


def _shortened(trouble: Trouble, sentences: Sentences) -> str:
    """A row; `…` stands for the sentence that `check` has sentences."""
    sentence = sentences.check.removeprefix("broker: ")
    log, health = (text.replace(sentence, "…") for text in (sentences.log, sentences.health))
    return f"| {trouble.name} | {sentences.check} | {sentences.code} | {log} | {health} |\n"


if __name__ == "__main__":
    sys.exit(main())
