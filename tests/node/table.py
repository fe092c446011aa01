"""What an independent client reads: `python -m tests.node.table` (see `make test-node`) starts real
brokers and the daemon, and lets npm's `mqtt` read every topic over MQTT 3.1.1 and 5, and TCP, TLS,
WebSockets and WebSockets with TLS; npm's `ajv` holds each body against docs/schema. The box itself
speaks over the transport of the row too. Prints a table; exit code 1 when a row fails."""

import json
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.certificates import make_authority, make_certificate
from tests.support.mosquitto import Mosquitto
from tests.support.plant import BASE, Daemon
from tests.support.websocket_bridge import WebSocketBridge

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_SCHEMES = {"TCP": "mqtt", "TLS": "mqtts", "WebSockets": "ws", "WebSockets, TLS": "wss"}
_LIMIT_S = 100.0


def row(folder: Path, version: str, transport: str) -> dict[str, Any]:
    """Broker, daemon and node for one row; what node printed."""
    folder.mkdir()
    make_authority(folder, "ca")
    make_certificate(folder, "good", "ca", "IP:127.0.0.1,DNS:localhost")
    tls, web = "TLS" in transport, "WebSockets" in transport
    lines = ["allow_anonymous true"]
    if tls and not web:
        lines += [f"cafile {folder}/ca.pem", f"certfile {folder}/good.pem",
                  f"keyfile {folder}/good.key"]  # fmt: skip
    broker = Mosquitto(folder / "broker", *lines)
    broker.start()
    port, bridge = broker.port, None
    mqtt: dict[str, Any] = {"version": version, "snapshots": {"send": ["fail", "pass"]}}
    if tls:
        mqtt["tls"] = {"ca": str(folder / "ca.pem")}
    if web:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if context is not None:
            context.load_cert_chain(folder / "good.pem", folder / "good.key")
        bridge = WebSocketBridge(broker.port, context)
        port = bridge.port
        mqtt["transport"] = "websockets"
    mqtt["port"] = port
    daemon = Daemon(folder, {
        "station": "line1",
        "model": {"path": str(ROOT / "tests" / "models" / "redness.tflite")},
        "cameras": [{"id": "top", "source": "test:", "fps": 10},
                    {"id": "parts", "source": "test:", "fps": 10, "trigger": {"kind": "request"}}],
        "mqtt": mqtt, "health": {"interval_s": 0.5},
        "decision": {"deadline_ms": 60_000},
    })  # fmt: skip
    try:
        daemon.start()
        daemon.wait_for_log("connected to the broker")
        url = f"{_SCHEMES[transport]}://127.0.0.1:{port}" + ("/mqtt" if web else "")
        level, authority = "5" if version == "5" else "4", [str(folder / "ca.pem")] if tls else []
        schemas = str(ROOT / "docs" / "schema")
        command = ["node", str(HERE / "read.js"), url, level, BASE, schemas, *authority]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_S, check=False)
        try:
            said: dict[str, Any] = json.loads(ran.stdout)
        except ValueError:
            said = {"seen": {}, "fields": {}, "faults": [ran.stderr.strip()[-500:]]}
        if daemon.stop() != 0:
            said["faults"].append("the daemon did not end well")
        return said
    finally:
        daemon.close()
        if bridge is not None:
            bridge.close()
        broker.close()


def main() -> int:
    """Prints the table."""
    good = True
    sys.stdout.write("| MQTT | transport | messages by topic | fields by schema | faults |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as name:
        for version in ("3.1.1", "5"):
            for transport, scheme in _SCHEMES.items():
                said = row(Path(name) / f"{version}-{scheme}", version, transport)
                good = good and not said["faults"]
                seen, fields = (
                    ", ".join(f"{topic} {n}" for topic, n in sorted(said[key].items()))
                    for key in ("seen", "fields")
                )
                faults = "; ".join(said["faults"]) or "none"
                sys.stdout.write(f"| {version} | {transport} | {seen} | {fields} | {faults} |\n")
                sys.stdout.flush()
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
