"""A real Prometheus (Debian's) scrapes the daemon, and its alerts fire: `make test-monitoring`."""

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.mosquitto import free_port
from tests.support.prometheus import FOLDER, expressions
from tests.system.conftest import MakeDaemon

_DEADLINE_S = 180.0


class Prometheus:
    """A Prometheus with its own folder that scrapes one box."""

    def __init__(self, folder: Path, box: int) -> None:
        self.port = free_port()
        folder.mkdir()
        scrape = {
            "job_name": "edge-inspect",
            "scrape_interval": "1s",
            "static_configs": [{"targets": [f"127.0.0.1:{box}"]}],
        }
        config = {
            "global": {"evaluation_interval": "1s"},
            "rule_files": [str(FOLDER / "alerts.yml")],
            "scrape_configs": [scrape],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def ask(self, path: str, **query: str) -> Any:
        """The answer of the API. Raises OSError while it does not answer."""
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Waits until the condition is true; returns its value."""
        end = time.monotonic() + _DEADLINE_S
        while time.monotonic() < end:
            try:
                if found := condition():
                    return found
            except OSError:
                pass  # not up yet
            time.sleep(0.5)
        raise AssertionError("Prometheus did not get there")

    def close(self) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(30)
        self._log.close()


@pytest.fixture
def box(make_daemon: MakeDaemon) -> Iterator[int]:
    """The port of a daemon with one working and one missing camera."""
    port = free_port()
    daemon = make_daemon(
        "test:",
        sections={
            "web": {"enabled": True, "port": port},
            "cameras": [
                {"id": "top", "source": "test:"},
                {"id": "side", "source": "v4l2:/dev/video99"},
            ],
        },
    )
    daemon.start()
    yield port
    daemon.stop()


def test_rules_are_rules() -> None:
    """promtool accepts the alerts."""
    done = subprocess.run(
        ["promtool", "check", "rules", str(FOLDER / "alerts.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.broker
def test_scraped_and_alerted(box: int, tmp_path: Path) -> None:
    """Prometheus accepts each expression of the dashboard, most have samples, and the alert of a
    lost camera fires with its name."""
    prometheus = Prometheus(tmp_path / "prometheus", box)
    try:
        prometheus.wait(
            lambda: prometheus.ask("query", query='up{job="edge-inspect"} == 1')["result"]
        )
        prometheus.wait(
            lambda: prometheus.ask("query", query="rate(edge_inspect_verdicts_total[1m]) > 0")[
                "result"
            ]
        )
        empty = set()
        for asked in expressions():
            if asked.startswith("label_values") or asked == "prometheus":
                continue
            text = asked.replace("$instance", ".+")
            if not prometheus.ask("query", query=re.sub(r"\[5m\]", "[1m]", text))["result"]:
                empty.add(asked)
        assert not [e for e in empty if "instance" in e and "under_voltage" not in e], empty

        def fired() -> Any:
            alerts = prometheus.ask("alerts")["alerts"]
            return [
                alert["labels"]
                for alert in alerts
                if alert["state"] == "firing" and alert["labels"]["alertname"] == "EdgeInspectFault"
            ]

        labels = prometheus.wait(fired)
        assert {(one["kind"], one["part"]) for one in labels} == {("camera_lost", "camera side")}
    finally:
        prometheus.close()
