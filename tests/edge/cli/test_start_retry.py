"""A service that cannot start says why once, then waits quietly for the mend."""

import logging
from pathlib import Path

import pytest

from edge.cli.start_retry import WAIT_S, StartupGuard
from edge.core.clock import Clock
from edge.core.errors import ConfigError, EdgeInspectError, ModelError
from edge.core.systemd import SystemdNotifier
from tests.support.clock import FakeClock, Patience


class Recorder(SystemdNotifier):
    """A notifier that remembers."""

    def __init__(self) -> None:
        super().__init__({})
        self.said: list[str] = []

    def _send(self, message: str) -> None:
        self.said.append(message)


class Threshold:
    """A doorstep, and each refusal as a new process of the service would make it."""

    def __init__(self, folder: Path, environment: Clock, patience: Patience) -> None:
        self.watched = folder / "etc"
        self.watched.mkdir()
        (self.watched / "config.yaml").write_text("station: 1\n")
        self.memory = folder / "memory"
        self.memory.mkdir()
        self.notifier = Recorder()
        self.patience = patience
        self._environment = environment

    def refuse(self, error: EdgeInspectError) -> int:
        """How often it waited."""
        before = len(self.patience.waits)
        doorstep = StartupGuard(self.memory, self.notifier, self._environment)
        doorstep.refuse(error, [self.watched, self.watched / "none"], self.patience)
        return len(self.patience.waits) - before


@pytest.fixture
def threshold(tmp_path: Path, environment: Clock, patience: Patience) -> Threshold:
    """One in a new folder."""
    return Threshold(tmp_path, environment, patience)


WRONG = ConfigError(["config.yaml:3:1: a: is wrong", "config.yaml:9:1: b: is wrong"])


def test_news_is_said_and_ends_at_once(
    threshold: Threshold, caplog: pytest.LogCaptureFixture
) -> None:
    """The first time, each mistake is an error in the log and all are in the status; no waiting."""
    assert threshold.refuse(WRONG) == 0
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.ERROR, "config.yaml:3:1: a: is wrong"),
        (logging.ERROR, "config.yaml:9:1: b: is wrong"),
    ]
    assert threshold.notifier.said == [
        "STATUS=does not start: config.yaml:3:1: a: is wrong | config.yaml:9:1: b: is wrong"
    ]


def test_the_same_again_waits_quietly(
    threshold: Threshold, caplog: pytest.LogCaptureFixture
) -> None:
    """The second time it is no error again: it waits five minutes and asks systemd for time."""
    threshold.refuse(WRONG)
    caplog.clear()
    assert threshold.refuse(WRONG) == WAIT_S
    assert not [r for r in caplog.records if r.levelno > logging.INFO]
    assert threshold.notifier.said.count("EXTEND_TIMEOUT_USEC=30000000") == WAIT_S


@pytest.mark.parametrize("change", ["written", "new file", "gone"])
def test_a_mend_ends_the_wait(threshold: Threshold, change: str) -> None:
    """A file that is written, comes or goes ends the wait within a second."""
    config = threshold.watched / "config.yaml"

    def mend(number: int) -> None:
        if number == 7:
            match change:
                case "written":
                    config.write_text("station: line1\n")
                case "new file":
                    (threshold.watched / "model.tflite").write_bytes(b"")
                case _:
                    config.unlink()

    threshold.refuse(WRONG)
    threshold.patience.on_wait = mend
    assert threshold.refuse(WRONG) == 7


def test_another_reason_is_news(threshold: Threshold, caplog: pytest.LogCaptureFixture) -> None:
    """When one mistake is mended and the next comes up, that one is said at once."""
    threshold.refuse(WRONG)
    caplog.clear()
    assert threshold.refuse(ModelError("model.tflite: no such file")) == 0
    assert [r.getMessage() for r in caplog.records] == ["model.tflite: no such file"]


def test_what_was_long_ago_is_news_again(threshold: Threshold, clock: FakeClock) -> None:
    """A mistake that comes back another day is said again."""
    threshold.refuse(WRONG)
    clock.at += 24 * 3600
    assert threshold.refuse(WRONG) == 0


def test_stopping_ends_the_wait(threshold: Threshold) -> None:
    """Nobody waits for a service that is to stop."""
    threshold.refuse(WRONG)
    threshold.patience.on_wait = lambda number: threshold.patience.set() if number == 3 else None
    assert threshold.refuse(WRONG) == 3


def test_without_a_memory_it_says_it_each_time(
    threshold: Threshold, caplog: pytest.LogCaptureFixture
) -> None:
    """When it cannot remember, it says it too often rather than never."""
    threshold.memory.rmdir()
    assert threshold.refuse(WRONG) == threshold.refuse(WRONG) == 0
    assert len(caplog.records) == 4


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": "/run/x"}, {"RUNTIME_DIRECTORY": "/run/edge-inspect"}]
)
def test_in_a_terminal_there_is_no_doorstep(environ: dict[str, str]) -> None:
    """Only systemd gives both, the socket and the folder."""
    assert StartupGuard.under_systemd(environ) is None
