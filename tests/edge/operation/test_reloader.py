"""A reload takes all of a file or nothing, and says which."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edge.config import Config
from edge.config.diff import Changes
from edge.errors import ConfigError, EdgeInspectError, ModelError, TriggerError
from edge.operation.reloader import Reloader
from edge.operation.systemd import Notifier
from tests.edge.operation.test_changes import config


class Box:
    """A reloader whose file and daemon the test holds."""

    def __init__(self) -> None:
        self.file: Config | Exception = config()
        self.fault: Exception | None = None
        self.applied: list[Changes] = []
        self.reloader = Reloader(
            config(), self._load, self._apply, lambda _config: False, Notifier({})
        )

    def _load(self) -> Config:
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def _apply(self, old: Config, changes: Changes) -> None:
        assert old == self.reloader.config
        if self.fault is not None:
            raise self.fault
        self.applied.append(changes)


@pytest.fixture
def box() -> Iterator[Box]:
    """With a running thread."""
    made = Box()
    thread = threading.Thread(target=made.reloader.run)
    thread.start()
    yield made
    made.reloader.close()
    thread.join(30)
    assert not thread.is_alive()


def ask(box: Box, transaction: str = "1") -> Any:
    """The answer to a reload."""
    heard = threading.Event()
    said: list[Any] = []

    def tell(outcome: Any) -> None:
        said.append(outcome)
        heard.set()

    box.reloader.ask(transaction, {}).then(tell)
    assert heard.wait(30)
    return said[0]


def test_what_changed_is_said(box: Box) -> None:
    """The answer names parts and hash; asked again, nothing changes and nothing is applied."""
    box.file = config(log={"level": "debug"}, station="line2")
    assert ask(box) == {
        "config": config(log={"level": "debug"}).hash,
        "changed": ["log"],
        "restart_required": ["station"],
    }
    assert list(box.reloader.restart_required) == ["station"]
    assert ask(box)["changed"] == []
    assert len(box.applied) == 1
    box.file = config()
    assert ask(box)["changed"] == ["log"]
    assert not box.reloader.restart_required
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
    box: Box, error: Exception, problems: int, stage: str
) -> None:
    """Whether the file is wrong or cannot be taken over: the old one runs, every problem is kept
    for health, and the next good file clears them."""
    before = box.reloader.config
    if stage == "load":
        box.file = error
    else:
        box.file, box.fault = config(log={"level": "debug"}), error
    assert isinstance(ask(box), EdgeInspectError)
    assert box.reloader.config is before
    assert len(box.reloader.problems) == problems
    assert box.reloader.refused == 1
    box.file, box.fault = config(log={"level": "error"}), None
    assert ask(box)["changed"] == ["log"]
    assert box.reloader.problems == ()


def test_a_flood_of_reloads_is_refused() -> None:
    """Before the thread runs eight wait; the ninth is told so; at the end all are answered."""
    box = Box()
    said: list[Any] = []
    for _ in range(8):
        box.reloader.ask("1", {}).then(said.append)
    box.reloader.hang_up()
    with pytest.raises(TriggerError, match="too many"):
        box.reloader.ask("1", {})
    box.reloader.close()
    assert [str(one) for one in said] == ["the daemon stops"] * 8


def test_a_reload_has_no_keys() -> None:
    """A wish for half a reload is refused by name."""
    with pytest.raises(TriggerError, match="cameras: unknown"):
        Box().reloader.ask("1", {"cameras": ["top"]})
