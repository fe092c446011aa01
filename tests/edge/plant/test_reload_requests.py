"""A reload applies all of a file or nothing, and answers which."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from edge.config import Config
from edge.config.diff import ConfigDiff, ReloadState
from edge.core.errors import ConfigError, EdgeInspectError, ModelError, TriggerError
from edge.core.systemd import SystemdNotifier
from edge.mqtt.request_router import Data, result_or_error
from edge.plant.reload_requests import Reloader, ReloadQueue
from edge.storage import Journal
from tests.support.configs import config


class ReloadBox:
    """A reloader with a file and a daemon that the test controls."""

    def __init__(self, journal: Path) -> None:
        self.file: Config | Exception = config()
        self.fault: Exception | None = None
        self.applied: list[ConfigDiff] = []
        self.announced = 0
        self.state, self.queue = ReloadState(config()), ReloadQueue()
        self.reloader = Reloader(
            self.queue, self.state, self, SystemdNotifier({}), Journal(journal, lambda: 0.0)
        )

    def load(self) -> Config:
        """As `Reconfigurable`."""
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def model_file_differs(self, config: Config) -> bool:
        """As `Reconfigurable`."""
        del config
        return False

    def apply(self, old: Config, changes: ConfigDiff) -> None:
        """As `Reconfigurable`."""
        assert old == self.state.config
        if self.fault is not None:
            raise self.fault
        self.applied.append(changes)

    def announce(self) -> None:
        """As `Reconfigurable`."""
        self.announced += 1


@pytest.fixture
def box(tmp_path: Path) -> Iterator[ReloadBox]:
    """With a running thread."""
    made = ReloadBox(tmp_path / "journal.jsonl")
    thread = threading.Thread(target=made.reloader.run)
    thread.start()
    yield made
    made.queue.close()
    thread.join(30)
    assert not thread.is_alive()


def reload(box: ReloadBox, transaction: str = "1") -> Any:
    """The answer to a reload."""
    answered = threading.Event()
    answers: list[Any] = []

    def record(done: Future[Data]) -> None:
        answers.append(result_or_error(done))
        answered.set()

    box.queue.handle(transaction, {}).add_done_callback(record)
    assert answered.wait(30)
    return answers[0]


def test_the_answer_names_the_changes(box: ReloadBox) -> None:
    """The answer names changed sections and the hash. A second reload applies nothing."""
    box.file = config(log={"level": "debug"}, station="line2")
    assert reload(box) == {
        "config": config(log={"level": "debug"}).hash,
        "changed": ["log"],
        "restart_required": ["station"],
    }
    assert list(box.state.restart_required) == ["station"]
    assert reload(box)["changed"] == []
    assert len(box.applied) == 1
    box.file = config()
    assert reload(box)["changed"] == ["log"]
    assert not box.state.restart_required
    assert box.reloader.done == 3


@pytest.mark.parametrize(
    ("error", "problems"),
    [
        (ConfigError(["config.yaml:3:1: a", "config.yaml:9:1: b"]), 2),
        (ModelError("m.tflite: is no model"), 1),
        (RuntimeError("a fault of ours"), 1),
    ],
)
@pytest.mark.parametrize("stage", ["load", "apply"])
def test_what_is_refused_changes_nothing(
    box: ReloadBox, error: Exception, problems: int, stage: str
) -> None:
    """Whether the file is wrong or cannot be taken over: the old one runs, every problem is kept
    for health, and the next good file clears them."""
    before = box.state.config
    if stage == "load":
        box.file = error
    else:
        box.file, box.fault = config(log={"level": "debug"}), error
    assert isinstance(reload(box), EdgeInspectError)
    assert box.state.config is before
    assert len(box.state.problems) == problems
    assert box.reloader.refused == 1
    box.file, box.fault = config(log={"level": "error"}), None
    assert reload(box)["changed"] == ["log"]
    assert box.state.problems == ()


def test_a_flood_of_reloads_is_refused(tmp_path: Path) -> None:
    """Before the thread runs, eight requests wait. The ninth is refused; the end answers all."""
    box = ReloadBox(tmp_path / "journal.jsonl")
    answers: list[Any] = []
    for _ in range(8):
        box.queue.handle("1", {}).add_done_callback(
            lambda done: answers.append(result_or_error(done))
        )
    box.queue.handle_sighup()
    with pytest.raises(TriggerError, match="too many"):
        box.queue.handle("1", {})
    box.queue.close()
    assert [str(one) for one in answers] == ["the daemon stops"] * 8


def test_a_reload_has_no_keys(tmp_path: Path) -> None:
    """A request with fields is refused: there is no partial reload."""
    with pytest.raises(TriggerError, match="cameras: unknown"):
        ReloadBox(tmp_path / "journal.jsonl").queue.handle("1", {"cameras": ["top"]})
