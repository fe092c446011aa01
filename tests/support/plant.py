"""The daemon as a process, and a plant system that subscribes to it."""

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import paho.mqtt.client as paho
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.schemas import validator
from tests.support.waiting import wait_until

DEADLINE_S = 60.0
BASE = "inspection/line1"


def faults(web: int) -> list[str]:
    """The faults of a daemon from /healthz at this port; empty while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{web}/healthz", timeout=5) as answer:
            body = json.load(answer)
    except urllib.error.HTTPError as error:  # 503: not healthy
        body = json.load(error)
    except OSError:
        return []
    found: list[str] = body["faults"]
    return found


def draw(path: Path, red: int) -> Path:
    """Writes a picture whose score rises with `red`, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".png", np.full((24, 32, 3), (90, 60, red % 256), np.uint8))
    assert done
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(data.tobytes())
    part.rename(path)
    return path


def draw_many(folder: Path, count: int) -> list[str]:
    """Writes `count` pictures from good to bad. Returns their names in the order of replay:."""
    return [draw(folder / f"{n:04}.png", n * 255 // max(1, count - 1)).name for n in range(count)]


class Daemon:
    """`edge-inspect run` as a process, which may be killed and started again."""

    def __init__(self, folder: Path, values: dict[str, Any]) -> None:
        """Writes `values` as config.yaml. The outbox is in `folder`."""
        self.folder = folder
        self.outbox = folder / "state" / "outbox.db"
        self.config = folder / "config.yaml"
        values = {"outbox": {"path": str(self.outbox)}, **values}
        self.config.write_text(yaml.safe_dump(values), encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str, **environ: str) -> None:
        """Starts the daemon without waiting. `options` are for the interpreter."""
        self._start([*options, "-m", "edge", "run", "-c", str(self.config)], environ)

    def start_script(self, script: Path) -> None:
        """Starts a script that runs the daemon; its argument is config.yaml."""
        self._start([str(script), str(self.config)], {})

    def _start(self, arguments: list[str], environ: dict[str, str]) -> None:
        with (self.folder / "daemon.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], stderr=log, env={**os.environ, **environ}
            )

    @property
    def log(self) -> str:
        """Its stderr of all starts."""
        path = self.folder / "daemon.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def wait_for_log(self, text: str, times: int = 1) -> None:
        """Waits until its log has a text `times` times."""
        with self._with_log():
            wait_until(lambda: self.log.count(text) >= times or self._has_ended(), f"log: {text}")
            assert self.log.count(text) >= times

    def terminate(self) -> None:
        """Sends SIGTERM without waiting."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL and waits for the end."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(DEADLINE_S)

    def exit_code(self) -> int:
        """Waits for its end. Returns the exit code."""
        assert self.process is not None
        with self._with_log():
            return self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        """Sends SIGTERM. Returns the exit code."""
        self.terminate()
        return self.exit_code()

    def close(self) -> None:
        """Kills it if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def last_seq(self) -> int:
        """The highest number of its outbox; 0 before the first verdict."""
        return self._query("SELECT last FROM state")

    def waiting(self) -> int:
        """The number of verdicts in its outbox."""
        return self._query("SELECT count(*) FROM outbox")

    def waiting_numbers(self) -> set[int]:
        """The numbers of the verdicts in its outbox."""
        with contextlib.closing(sqlite3.connect(self.outbox, timeout=30)) as db:
            return {int(seq) for (seq,) in db.execute("SELECT seq FROM outbox")}

    def acknowledged(self) -> int:
        """The number of acknowledged verdicts in the log line of the last stop."""
        found = re.findall(r"stopped: (\d+) verdicts stored, (\d+) acknowledged", self.log)
        return int(found[-1][1])

    def wait_for_stored(self, count: int) -> None:
        """Waits until `count` verdicts have been stored."""
        wait_until(lambda: self.last_seq() >= count, f"{count} verdicts stored")

    def wait_for_waiting(self, count: int) -> None:
        """Waits until the outbox has exactly `count` verdicts."""
        wait_until(lambda: self.waiting() == count, f"{count} verdicts in the outbox")

    def _query(self, query: str) -> int:
        if not self.outbox.exists():
            return 0
        with contextlib.closing(sqlite3.connect(self.outbox, timeout=30)) as db:
            try:
                return int(db.execute(query).fetchone()[0] or 0)
            except sqlite3.OperationalError:
                return 0  # the tables do not exist yet

    def _has_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    @contextlib.contextmanager
    def _with_log(self) -> Any:
        try:
            yield
        except (AssertionError, subprocess.TimeoutExpired) as error:
            raise AssertionError(f"{error}\nlog of the daemon:\n{self.log}") from error


class Plant:
    """An independent subscriber with a persistent session and QoS 1, which reconnects."""

    def __init__(self, port: int, *credentials: str, version: str = "3.1.1") -> None:
        """Subscribes to all topics of the box, and stores the messages in order."""
        self.messages: list[tuple[str, dict[str, Any], bool]] = []
        self._bodies: dict[str, list[dict[str, Any]]] = defaultdict(list)  # by topic
        self.pictures: dict[str, bytes] = {}  # by id
        self._lock = threading.Lock()
        self._subscribed = threading.Event()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="plant", clean_session=False
        )
        if credentials:
            self._client.username_pw_set(*credentials)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(f"{BASE}/#", qos=1)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(DEADLINE_S)

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        with self._lock:
            if message.topic.startswith(f"{BASE}/request/"):
                return  # sent by the plant
            if message.topic.startswith(f"{BASE}/snapshot/"):
                self.pictures[message.topic.rpartition("/")[2]] = bytes(message.payload)
                return
            body = json.loads(message.payload)
            self.messages.append((message.topic, body, message.retain))
            self._bodies[message.topic].append(body)

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        """Publishes with QoS 1."""
        self._client.publish(topic, body, qos=1, retain=retain)

    def bodies(self, name: str) -> list[dict[str, Any]]:
        """The bodies on `…/name`, in order of arrival."""
        with self._lock:
            return list(self._bodies[f"{BASE}/{name}"])

    def results(self) -> dict[int, dict[str, Any]]:
        """The verdicts by seq. Checks that duplicates are equal and ids are unique."""
        found: dict[int, dict[str, Any]] = {}
        ids: dict[str, int] = {}
        valid = validator("result")
        for body in self.bodies("result"):
            valid.validate(body)
            plain = {k: v for k, v in body.items() if k != "replayed"}
            first = found.setdefault(body["seq"], plain)
            assert first == plain, "two verdicts with one number"
            assert ids.setdefault(body["id"], body["seq"]) == body["seq"], "one id, two numbers"
        return found

    def wait_for_results(self, count: int) -> dict[int, dict[str, Any]]:
        """Waits for `count` different verdicts."""
        wait_until(
            lambda: len({b["seq"] for b in self.bodies("result")}) >= count, f"{count} results"
        )
        return self.results()

    def wait_for_state(self, *states: str) -> None:
        """Waits until the last states of the box are these."""

        def reached() -> bool:
            return [b["state"] for b in self.bodies("status")][-len(states) :] == list(states)

        wait_until(reached, f"status {states}")

    def close(self) -> None:
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()
