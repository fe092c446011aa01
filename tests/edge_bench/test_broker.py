"""The broker of the bench, and the facts of the machine."""

import importlib.util
import socket
from pathlib import Path

import pytest

from edge.core.errors import MissingPartError
from edge_bench import broker
from edge_bench.host_facts import machine_facts
from edge_bench.listener import Listener
from tests.conftest import Require


@pytest.fixture
def no_mosquitto(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without mosquitto."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(broker, "SYSTEM_FOLDERS", ())


@pytest.mark.usefixtures("no_mosquitto")
def test_without_a_broker_the_error_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without mosquitto and amqtt, the error names the command that installs a broker."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with (
        pytest.raises(MissingPartError, match="sudo apt-get install mosquitto"),
        broker.running_broker(tmp_path),
    ):
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("no_mosquitto")
def test_the_embedded_broker_is_the_fallback(tmp_path: Path, require: Require) -> None:
    """The embedded broker runs in a separate process, accepts subscriptions, and ends."""
    require("amqtt", "pip install '.[broker]'")
    with broker.running_broker(tmp_path) as running:
        assert running.name.startswith("embedded")
        Listener(running.port, "t").close()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", running.port)) != 0


def test_the_machine_is_named(tmp_path: Path) -> None:
    """Processor or board, and memory, from the kernel; an unknown value is None."""
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "cpuinfo").write_text("processor : 0\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n")
    (proc / "meminfo").write_text("MemTotal:        3884456 kB\nMemFree: 1 kB\n")
    facts = machine_facts(tmp_path)
    assert facts["processor"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert facts["memory_mb"] == 3793
    assert machine_facts(tmp_path / "no")["processor"] is None
