"""A service that cannot start reports the error once, then waits quietly for a fix."""

import logging
from pathlib import Path

import pytest

from edge.cli.start_retry import WAIT_S, StartupGuard
from edge.core.clock import Clock
from edge.core.errors import ConfigError, EdgeInspectError, ModelError
from edge.core.systemd import SystemdNotifier
from tests.support.clock import FakeClock, Patience


class RecordingNotifier(SystemdNotifier):
    """Keeps the messages."""

    def __init__(self) -> None:
        super().__init__({})
        self.messages: list[str] = []

    def _send(self, message: str) -> None:
        self.messages.append(message)


class FailingService:
    """A service that fails at each start; each start has a new guard."""

    def __init__(self, folder: Path, clock: Clock, patience: Patience) -> None:
        self.watched = folder / "etc"
        self.watched.mkdir()
        (self.watched / "config.yaml").write_text("station: 1\n")
        self.state = folder / "state"
        self.state.mkdir()
        self.notifier = RecordingNotifier()
        self.patience = patience
        self._clock = clock

    def refuse(self, error: EdgeInspectError) -> int:
        """Starts once; the number of waits."""
        before = len(self.patience.waits)
        guard = StartupGuard(self.state, self.notifier, self._clock)
        guard.refuse(error, [self.watched, self.watched / "none"], self.patience)
        return len(self.patience.waits) - before


@pytest.fixture
def service(tmp_path: Path, environment: Clock, patience: Patience) -> FailingService:
    """A service with its files in a new folder."""
    return FailingService(tmp_path, environment, patience)


WRONG = ConfigError(["config.yaml:3:1: a: is wrong", "config.yaml:9:1: b: is wrong"])


def test_a_new_error_is_logged_and_ends_at_once(
    service: FailingService, caplog: pytest.LogCaptureFixture
) -> None:
    """The first time, each mistake is an error in the log and all are in the status; no waiting."""
    assert service.refuse(WRONG) == 0
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.ERROR, "config.yaml:3:1: a: is wrong"),
        (logging.ERROR, "config.yaml:9:1: b: is wrong"),
    ]
    assert service.notifier.messages == [
        "STATUS=does not start: config.yaml:3:1: a: is wrong | config.yaml:9:1: b: is wrong"
    ]


def test_the_same_again_waits_quietly(
    service: FailingService, caplog: pytest.LogCaptureFixture
) -> None:
    """The second time it logs no error: it waits five minutes and extends the start timeout."""
    service.refuse(WRONG)
    caplog.clear()
    assert service.refuse(WRONG) == WAIT_S
    assert not [r for r in caplog.records if r.levelno > logging.INFO]
    assert service.notifier.messages.count("EXTEND_TIMEOUT_USEC=30000000") == WAIT_S


@pytest.mark.parametrize("change", ["written", "new file", "gone"])
def test_a_fix_ends_the_wait(service: FailingService, change: str) -> None:
    """A file that is written, comes or goes ends the wait within a second."""
    config = service.watched / "config.yaml"

    def fix(number: int) -> None:
        if number == 7:
            match change:
                case "written":
                    config.write_text("station: line1\n")
                case "new file":
                    (service.watched / "model.tflite").write_bytes(b"")
                case _:
                    config.unlink()

    service.refuse(WRONG)
    service.patience.on_wait = fix
    assert service.refuse(WRONG) == 7


def test_another_error_is_new(service: FailingService, caplog: pytest.LogCaptureFixture) -> None:
    """After a fix the next mistake is logged at once."""
    service.refuse(WRONG)
    caplog.clear()
    assert service.refuse(ModelError("model.tflite: no such file")) == 0
    assert [r.getMessage() for r in caplog.records] == ["model.tflite: no such file"]


def test_an_old_error_is_new_again(service: FailingService, clock: FakeClock) -> None:
    """A mistake that returns another day is logged again."""
    service.refuse(WRONG)
    clock.at += 24 * 3600
    assert service.refuse(WRONG) == 0


def test_stopping_ends_the_wait(service: FailingService) -> None:
    """A service that must stop does not wait."""
    service.refuse(WRONG)
    service.patience.on_wait = lambda number: service.patience.set() if number == 3 else None
    assert service.refuse(WRONG) == 3


def test_without_a_folder_each_start_logs_the_error(
    service: FailingService, caplog: pytest.LogCaptureFixture
) -> None:
    """An error that cannot be stored counts as new."""
    service.state.rmdir()
    assert service.refuse(WRONG) == service.refuse(WRONG) == 0
    assert len(caplog.records) == 4


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": "/run/x"}, {"RUNTIME_DIRECTORY": "/run/edge-inspect"}]
)
def test_in_a_terminal_there_is_no_guard(environ: dict[str, str]) -> None:
    """Only systemd sets both, the socket and the folder."""
    assert StartupGuard.under_systemd(environ) is None
