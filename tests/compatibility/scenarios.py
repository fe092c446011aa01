"""What the daemon publishes in fixed scenarios, without what differs from run to run.

`python -m tests.compatibility.scenarios FILE` records the messages of the installed version. A
later version is compared with the record: values, and the order of keys. The daemon runs as a
process against a real mosquitto. This module uses nothing of the daemon's own code.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paho.mqtt.client as paho
import yaml
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

DEADLINE_S = 60.0
PREFIX = "inspection/line1"
MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"

# A key whose value differs from run to run keeps its place; its value becomes the name of its type.
_VOLATILE = frozenset(
    [
        "id",
        "boot_id",
        "session",
        "time",
        "captured_at",
        "at",
        "started_at",
        "since",
        "capture_to_verdict",
        "inference",
        "latency_ms",
        "memory",
        "cpu",
        "temperature",
        "disk_free",
        "clock_synced",
        "uptime_s",
        "fps",
        "last_frame_age_s",
        "oldest_age_s",
        "bytes",
        "oldest_at",
        "board",
        "disk",
        "rss_mb",
        "config",
        "versions",
        "python",
        "runtime",
        "version",
        "host",
        "kernel",
        "os",
        "machine",
        "p50",
        "p95",
        "p99",
        "broker",
        "frames",
        "skipped",
        "to_verdict_ms",
        "beat_age_s",
        "load",
        "pressure",
    ]
)
_ADDRESS = re.compile(r"127\.0\.0\.1:\d+|localhost:\d+")


def normalize(value: Any, key: str = "", folder: str = "") -> Any:
    """The value with what differs from run to run replaced by the name of its type."""
    if key in {"replayed", "percent", "rtc"}:  # they depend on load and on the machine
        return "<any>"
    if key in _VOLATILE and not isinstance(value, dict):
        return f"<{type(value).__name__}>"
    if isinstance(value, dict):
        if key in {"memory", "disk", "versions", "latency_ms", "board", "machine"}:
            return dict.fromkeys(value, "<any>")
        return {k: normalize(v, k, folder) for k, v in value.items()}
    if isinstance(value, list):
        return [normalize(v, key, folder) for v in value]
    if isinstance(value, str):
        text = value.replace(folder, "<folder>") if folder else value
        return _ADDRESS.sub("127.0.0.1:<port>", text)
    return value


class Listener:
    """Keeps every message below the station's topic, in order, as it came."""

    def __init__(self, port: int, version: MQTTProtocolVersion) -> None:
        self._messages: list[tuple[str, bool, bytes]] = []
        self._lock = threading.Lock()
        subscribed = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="listener", protocol=version
        )
        self._client.on_connect = lambda client, *_: client.subscribe(f"{PREFIX}/#", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        if not subscribed.wait(DEADLINE_S):
            raise TimeoutError("the broker did not answer the subscription")

    def _take(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        with self._lock:
            self._messages.append((message.topic, message.retain, bytes(message.payload)))

    def request(self, name: str, body: object) -> None:
        """Publishes a request, QoS 1."""
        self._client.publish(f"{PREFIX}/request/{name}", json.dumps(body), qos=1)

    def bodies(self, name: str) -> list[Any]:
        """The JSON bodies on `…/name`, in the order of arrival; keys in the order of the body."""
        with self._lock:
            found = [body for topic, _, body in self._messages if topic == f"{PREFIX}/{name}"]
        return [json.loads(body) for body in found]

    def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Returns when the condition holds. Raises TimeoutError that names `what`."""
        until = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > until:
                raise TimeoutError(f"after {DEADLINE_S:g} s still not: {what}")
            time.sleep(0.01)

    def wait_for_count(self, name: str, count: int) -> None:
        """Returns when `count` bodies have come on `…/name`."""
        self.wait_for(lambda: len(self.bodies(name)) >= count, f"{count} messages on {name}")

    def wait_for_state(self, state: str) -> None:
        """Returns when the last `status` says `state`."""
        self.wait_for(
            lambda: [b["state"] for b in self.bodies("status")][-1:] == [state], f"status {state}"
        )

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()


@contextmanager
def broker(folder: Path) -> Iterator[int]:
    """A mosquitto on a free port of the loopback; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    program = shutil.which("mosquitto", path=path)
    if program is None:
        raise FileNotFoundError("mosquitto is not installed; run: sudo apt-get install mosquitto")
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    with subprocess.Popen([program, "-c", str(settings)], stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + DEADLINE_S
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.02)
            yield port
        finally:
            process.kill()


class DaemonProcess:
    """`edge-inspect run` as a process."""

    def __init__(self, folder: Path, port: int, values: dict[str, Any]) -> None:
        self._path = folder / "config.yaml"
        self._base = {
            "station": "line1",
            "model": {"path": str(MODEL)},
            "mqtt": {"port": port},
            "outbox": {"path": str(folder / "outbox.db")},
            "health": {"interval_s": 0.5},
            "decision": {"deadline_ms": 60_000},
        }
        self.write(values)
        self._log = (folder / "daemon.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge", "run", "-c", str(self._path)], stderr=self._log
        )

    def write(self, values: dict[str, Any]) -> None:
        """Writes config.yaml: the base with these values over it."""
        self._path.write_text(yaml.safe_dump({**self._base, **values}), encoding="utf-8")

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end. Returns the exit code."""
        self.send_signal(number)
        code = self._process.wait(DEADLINE_S)
        self._log.close()
        return code


def draw(path: Path, red: int) -> None:
    """A plain picture; the test model's score rises with `red` (0 to 255)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((48, 64, 3), (90, 60, red), np.uint8)
    done, data = cv2.imencode(path.suffix, picture)
    assert done
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data.tobytes())
    part.rename(path)


def replayed_pictures(folder: Path, port: int, listener: Listener) -> dict[str, Any]:
    """Twelve pictures from good to bad, an alarm in the end, and a stop."""
    for number in range(12):
        draw(folder / "pictures" / f"{number:02}.png", number * 23)
    (folder / "pictures" / "12.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    daemon = DaemonProcess(
        folder,
        port,
        {
            "cameras": [{"id": "top", "source": f"replay:{folder / 'pictures'}", "rate": "max"}],
            "decision": {"deadline_ms": 60_000, "alarm": {"fails": 3}},
        },
    )
    listener.wait_for_count("result", 13)
    listener.wait_for(lambda: listener.bodies("alarm"), "an alarm")
    listener.wait_for(
        lambda: any(body["outbox"]["acked"] >= 13 for body in listener.bodies("health")),
        "13 acknowledged verdicts in health",
    )
    health = listener.bodies("health")[-1]
    code = daemon.end()
    listener.wait_for_state("stopped")
    return {
        "result": listener.bodies("result"),
        "status": listener.bodies("status"),
        "info": listener.bodies("info")[0],
        "alarm": listener.bodies("alarm")[-1],  # an earlier one may be replaced before it is sent
        "health": health,
        "exit_code": code,
    }


def without_scores(body: dict[str, Any]) -> dict[str, Any]:
    """A verdict without what depends on which picture of the moving pattern was judged."""
    moving = {"verdict", "label", "score", "probabilities", "reason", "frame", "frames"}
    kept = {key: "<any>" if key in moving and body["score"] else v for key, v in body.items()}
    kept["rule"] = {**body["rule"], "scores": "<any>"}
    return kept


def triggered_parts(folder: Path, port: int, listener: Listener) -> dict[str, Any]:
    """Triggered parts, requests with errors, a reload, and parts that are open at the stop."""
    camera: dict[str, Any] = {
        "id": "top",
        "source": "test:",
        "fps": 50,
        "width": 64,
        "height": 48,
        "trigger": {"kind": "request", "deadline_ms": 30_000, "queue": 50},
    }
    values: dict[str, Any] = {"cameras": [camera]}
    daemon = DaemonProcess(folder, port, values)
    listener.wait_for_state("online")
    listener.wait_for(
        lambda: any(b["cameras"]["top"]["frames"] > 5 for b in listener.bodies("health")), "frames"
    )
    for number in range(3):
        body = {"transaction": f"t-{number}", "camera": "top", "part": f"P-{number}"}
        listener.request("trigger", body)
        listener.wait_for_count("result", number + 1)
    listener.request("trigger", {"transaction": "t-2", "camera": "top", "part": "P-2"})
    listener.wait_for_count("response/trigger", 4)
    wrong: list[object] = [
        {},
        {"transaction": ""},
        {"transaction": 7},
        {"transaction": "1", "camera": "side"},
        {"transaction": "1", "part": ["P"]},
        {"transaction": "1", "surplus": 1},
        [],
    ]
    for count, refused in enumerate(wrong, start=5):
        listener.request("trigger", refused)
        listener.wait_for_count("response/trigger", count)
    listener.request("snapshot", {"transaction": "s-1", "camera": "side"})
    listener.wait_for_count("response/snapshot", 1)
    daemon.write({"cameras": [{**camera, "fps": 40}], "decision": {"reject_at": 2}})
    listener.request("reload", {"transaction": "r-1"})
    listener.wait_for_count("response/reload", 1)
    late: dict[str, Any] = {**camera["trigger"], "deadline_ms": 600_000, "delay_ms": 500_000}
    daemon.write({"cameras": [{**camera, "trigger": late}]})
    listener.request("reload", {"transaction": "r-2"})
    listener.wait_for_count("response/reload", 2)
    listener.request("trigger", {"transaction": "t-9", "part": "P-9"})
    listener.wait_for_count("response/trigger", 12)
    code = daemon.end()
    listener.wait_for_state("stopped")
    listener.wait_for_count("result", 4)
    return {
        "result": [without_scores(body) for body in listener.bodies("result")],
        "trigger": listener.bodies("response/trigger"),
        "snapshot": listener.bodies("response/snapshot"),
        "reload": listener.bodies("response/reload"),
        "info": listener.bodies("info")[-1],
        "exit_code": code,
    }


def lost_camera_and_kill(folder: Path, port: int, listener: Listener) -> dict[str, Any]:
    """A camera that is not there, a folder with a broken file, and `kill -9`: the will."""
    draw(folder / "drop" / "good.png", 10)
    daemon = DaemonProcess(
        folder,
        port,
        {
            "cameras": [
                {"id": "gone", "source": "http://127.0.0.1:9/video"},
                {"id": "files", "source": f"folder:{folder / 'drop'}"},
            ]
        },
    )
    listener.wait_for(
        lambda: {b["camera"] for b in listener.bodies("result")} == {"gone", "files"},
        "a verdict of each camera",
    )
    listener.wait_for(
        lambda: any(b["outbox"]["acked"] >= 2 for b in listener.bodies("health")),
        "2 acknowledged verdicts in health",
    )
    by_camera = {body["camera"]: body for body in reversed(listener.bodies("result"))}
    health = listener.bodies("health")[-1]
    daemon.end(signal.SIGKILL)
    listener.wait_for_state("offline")
    return {
        "gone": by_camera["gone"],
        "files": by_camera["files"],
        "cameras": {
            n: {**c, "faults": 0, "distrusted": 0, "reconnects": 0}
            for n, c in health["cameras"].items()
        },
        "status": listener.bodies("status"),
    }


SCENARIOS: dict[str, Callable[[Path, int, Listener], dict[str, Any]]] = {
    "replayed_pictures": replayed_pictures,
    "triggered_parts": triggered_parts,
    "lost_camera_and_kill": lost_camera_and_kill,
}


def play(name: str, version: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311) -> Any:
    """Plays one scenario. Returns its messages, normalized."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made).resolve()
        with broker(folder) as port:
            listener = Listener(port, version)
            try:
                found = SCENARIOS[name](folder, port, listener)
            except TimeoutError as error:
                log = folder / "daemon.log"
                text = log.read_text(errors="replace") if log.exists() else "nothing"
                raise TimeoutError(f"{error}; the daemon's log:\n{text}") from error
            finally:
                listener.close()
        return normalize(found, folder=str(folder))


def main() -> None:
    """Records all scenarios into the file that the command line names."""
    recorded = {name: play(name) for name in SCENARIOS}
    text = json.dumps(recorded, indent=1, ensure_ascii=False)
    Path(sys.argv[1]).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
