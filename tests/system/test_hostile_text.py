"""Hostile text from every side ends nothing, and no secret leaves the box."""

import json
import secrets
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto
from tests.support.plant import BASE, Daemon, Plant, draw
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon
from tests.system.test_reload import reload

pytestmark = pytest.mark.broker


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket on which systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(0.2)
        yield listening


@pytest.mark.parametrize("key", ['"\\ud800"', '"a\\nb"', '"\\ufffe"'])
def test_hostile_text_does_not_end_reloading(
    key: str, make_daemon: MakeDaemon, plant: Plant, tmp_path: Path, systemd: socket.socket
) -> None:
    """A lone surrogate, a new line and a non-character: on `status`, in requests, and as a key of
    config.yaml. The next good reload works, and every message is strict UTF-8 JSON."""
    draw(tmp_path / "parts" / "0.png", 10)
    (tmp_path / "parts" / b"\xff\x1b[31m\n1.png".decode(errors="surrogateescape")).write_bytes(
        (tmp_path / "parts" / "0.png").read_bytes()
    )
    daemon = make_daemon(f"folder:{tmp_path / 'parts'}")
    good = daemon.config.read_text(encoding="utf-8")
    daemon.start(NOTIFY_SOCKET=str(tmp_path / "notify"))
    parts = {body["part"] for body in plant.wait_for_results(2).values()}
    assert parts == {"0.png", "\\xff\\x1b[31m\\n1.png"}
    status = json.dumps({"state": "online", "session": "\ud800\n<0>forged"}).encode()
    plant.publish(f"{BASE}/status", status)
    for name in ("reload", "trigger", "snapshot"):
        for body in (b'{"transaction": "\\ud800"}', b'{"transaction": "1", "\\ud800": "\\u0000"}'):
            plant.publish(f"{BASE}/request/{name}", body)
    daemon.config.write_text(f"{good}{key}: 1\n", encoding="utf-8")
    refused = reload(plant, "bad")
    assert refused["status"] == "error"
    assert "config.yaml:" in refused["error"]
    daemon.config.write_text(good + "log: {level: warning}\n", encoding="utf-8")
    assert reload(plant, "good")["status"] == "ok"
    assert daemon.stop() == 0
    assert "Traceback" not in daemon.log
    assert "\n<0>forged" not in daemon.log
    assert "\x1b" not in daemon.log


class _Camera(BaseHTTPRequestHandler):
    """A camera that refuses the login and quotes the request in its answer."""

    def do_GET(self) -> None:
        self.send_response(401, f"no \x1b[31m{self.path}")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


@pytest.fixture
def camera() -> Iterator[int]:
    """The port of such a camera."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Camera)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def test_no_secret_leaves_the_box(
    broker: Mosquitto, plant: Plant, camera: int, tmp_path: Path
) -> None:
    """A secret in every place of every kind of source is in no message, log line, answer or
    output; neither are those of the files."""
    used: list[str] = []

    def secret() -> str:
        used.append("q7" + secrets.token_hex(8))
        return used[-1]

    here = f"127.0.0.1:{camera}"
    sources = [
        f"http://user:{secret()}@{here}/video",
        f"http://{secret()}:x@{here}/video",
        f"http://{here}/video.cgi?user=admin&pwd={secret()}",
        f"http://{here}/{secret()}/video#{secret()}",
        f"http://{here}/user=admin_password={secret()}_channel=1.sdp",
        f"rtsp://user:{secret()}@127.0.0.1:9/stream?token={secret()}",
        f"rtsp://127.0.0.1:9/user=a&password={secret()}",
        f"gstreamer:rtspsrc location=rtsp://u:{secret()}@h/1 user-pw={secret()} ! fakesink",
        f'gstreamer:nothing user-pw="{secret()} ! x" ! videoconvert',
        f"v4l2:/dev/video99?key={secret()}",
        f"https://user:{secret()}@{here}/video",
    ]
    for name in ("token", "credentials"):
        (tmp_path / name).write_bytes(f"\ufeffline:{secret()}\r\n".encode())
    (tmp_path / "mqtt").write_text(secret())
    cameras: list[dict[str, Any]] = [
        {"id": f"c{number}", "source": source} for number, source in enumerate(sources)
    ]
    file = {"credentials_file": str(tmp_path / "credentials")}
    cameras.append({"id": "file", "source": f"http://{here}/video", **file})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    values = {
        "station": "line1",
        "model": {"path": str(MODELS / "redness.tflite")},
        "cameras": cameras,
        "mqtt": {"port": broker.port, "username": "u", "password_file": str(tmp_path / "mqtt")},
        "web": {"enabled": True, "port": port, "token_file": str(tmp_path / "token")},
        "health": {"interval_s": 0.5},
        "log": {"level": "debug"},
    }
    daemon = Daemon(tmp_path, values)
    shown = [
        subprocess.run(
            [sys.executable, "-m", "edge", *command, "-c", str(daemon.config)],
            check=False, capture_output=True, timeout=300,
        )
        for command in (["config", "show"], ["check"])
    ]  # fmt: skip
    daemon.start()
    try:
        wait_until(
            lambda: len({body["camera"] for body in plant.bodies("result")}) == len(cameras),
            "an error verdict of each camera",
            120,
        )
        token = (tmp_path / "token").read_text(encoding="utf-8-sig").strip()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            shown_by_http = answer.read().decode()
        bad = [*cameras, {"id": "z", "source": f"user:{secret()}@{here}", "password": secret()}]
        for wrong in ({"cameras": bad}, {"mqtt": {"host": f"mqtt://u:{secret()}@h:1"}}):
            daemon.config.write_text(yaml.safe_dump({**values, **wrong}), encoding="utf-8")
            done = daemon.log.count("nothing was changed")
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGHUP)
            daemon.wait_for_log("nothing was changed", done + 1)
        wait_until(lambda: plant.bodies("info")[-1]["config_problems"], "the problems in info")
        assert daemon.stop() == 0
    finally:
        daemon.close()
    seen = {
        "messages": json.dumps(plant.messages, ensure_ascii=False),
        "log": daemon.log,
        "metrics": shown_by_http,
        **{f"output {n}": (one.stdout + one.stderr).decode() for n, one in enumerate(shown)},
    }
    for where, text in seen.items():
        assert [one for one in used if one in text] == [], where
        assert "\x1b" not in text, where
