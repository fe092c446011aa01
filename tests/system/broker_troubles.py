"""What the operator sees when the broker cannot be used: `python -m tests.system.broker_troubles`
starts a real mosquitto for each trouble, makes the certificates, and prints a table of what
`edge-inspect check` says. The daemon's log and `health` hold the same sentence."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.commands.check import check_broker
from edge.config import Config
from edge.errors import EdgeInspectError
from tests.system.mosquitto import Mosquitto, free_port

_DAYS = {"good": ("20200101000000Z", "20400101000000Z")}
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


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)


def make_authority(folder: Path, name: str) -> None:
    """NAME.pem and NAME.key."""
    subject = f"/CN={name}"
    _openssl(
        folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", subject,
        "-keyout", f"{name}.key", "-out", f"{name}.pem",
    )  # fmt: skip


def make_certificate(
    folder: Path, name: str, ca: str, host: str, validity: tuple[str, str] = _DAYS["good"]
) -> None:
    """NAME.pem and NAME.key for `host`, signed by `ca`, valid from and to the times given."""
    config = folder / "ca.conf"
    (folder / "index").touch()
    if not (folder / "serial").exists():
        (folder / "serial").write_text("01\n")
    config.write_text(
        "[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\nserial=serial\n"
        "default_md=sha256\npolicy=p\nunique_subject=no\nx509_extensions=x\n"
        f"[p]\ncommonName=supplied\n[x]\nsubjectAltName={host}\n"
    )
    _openssl(
        folder, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
        "-keyout", f"{name}.key", "-out", f"{name}.csr",
    )  # fmt: skip
    _openssl(
        folder, "ca", "-batch", "-config", "ca.conf", "-cert", f"{ca}.pem", "-keyfile",
        f"{ca}.key", "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext",
        "-startdate", validity[0], "-enddate", validity[1],
    )  # fmt: skip


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


@contextlib.contextmanager
def standing(folder: Path, trouble: Trouble) -> Iterator[Config]:
    """The broker of a row, and the configuration of the box."""
    broker = Mosquitto(folder, *trouble.broker)
    port = free_port()
    if trouble.runs:
        broker.start()
        port = broker.port
    try:
        yield Config.model_validate(
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


def main() -> int:
    """Prints the table; exit code 1 when a sentence misses its words."""
    good = True
    sys.stdout.write("| trouble | what `check`, the log and `health` say |\n|---|---|\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "made"
        make_all(folder)
        for number, trouble in enumerate(troubles(folder)):
            with standing(Path(name) / str(number), trouble) as config:
                said = seen(config)
                good = good and trouble.expected in said
                said = said.replace(str(folder), "/etc/edge-inspect")
                port = str(config.mqtt.effective_port)
                sys.stdout.write(f"| {trouble.name} | {said.replace(port, '1883')} |\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
