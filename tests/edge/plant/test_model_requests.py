"""The MQTT request `models`, the topic, and a switch that waits for its window."""

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.core.errors import EdgeInspectError, RefusedError
from edge.models import open_store
from edge.plant import ModelRequests, ModelsService, RequestError, SwitchRequest, SwitchWindow
from tests.edge.plant.test_models import BoxWithModels
from tests.support.schemas import validator
from tests.support.waiting import wait_until


class LineWithModels(BoxWithModels):
    """A box with redness@1 active and redness@2 installed, whose window needs a permit."""

    def __init__(self, folder: Path, *, permit: bool) -> None:
        super().__init__(folder)
        text = self.config_path.read_text()
        more = "path: versions, window: {permit: true}}" if permit else "path: versions}"
        self.config_path.write_text(text.replace("path: versions}", more))
        self.topic: list[dict[str, Any]] = []
        self.start()
        self.install("1")
        self.service.activate(SwitchRequest(version="redness@1", by="kim", now=True))
        self.install("2", reject_at=0.7)

    def start(self) -> None:
        """As the daemon at its start."""
        window = SwitchWindow(
            lambda: self.config().models.window, lambda: 0.0, lambda: 0.0, lambda: 100.0
        )
        self.service = ModelsService(
            self.config,
            take_over=self.take_over,
            running=lambda: self.running,
            note=lambda *change: self.journal.append(change),
            window=window,
        )
        self.requests = ModelRequests(
            self.service, window, lambda body: self.topic.append(json.loads(body)), lambda: 1.8e9
        )

    def ask(self, transaction: str | None = "t-1", **fields: object) -> Mapping[str, Any]:
        """The answer to a request."""
        return self.requests.handle(transaction, fields).result(10)


@pytest.fixture(params=[True, False], ids=["permit", "always"])
def any_line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LineWithModels]:
    """With and without a window."""
    with running(LineWithModels(tmp_path, permit=request.param)) as found:
        yield found


@pytest.fixture
def line(tmp_path: Path) -> Iterator[LineWithModels]:
    """Without a window."""
    with running(LineWithModels(tmp_path, permit=False)) as found:
        yield found


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[LineWithModels]:
    """The window needs a permit."""
    with running(LineWithModels(tmp_path, permit=True)) as found:
        yield found


class running:  # noqa: N801  reads as a statement
    """The thread that answers, until the end of the block."""

    def __init__(self, line: LineWithModels) -> None:
        self._line = line
        self._thread = threading.Thread(target=line.requests.run)

    def __enter__(self) -> LineWithModels:
        self._thread.start()
        return self._line

    def __exit__(self, *_fault: object) -> None:
        self._line.requests.close()
        self._thread.join(10)
        assert not self._thread.is_alive()


def test_the_topic_follows_each_change(any_line: LineWithModels) -> None:
    """It keeps to its schema, and says what `list` answers."""
    listed = any_line.ask(action="list")
    assert any_line.ask("t-2", action="activate", version="redness@2", now=True)["waits"] is None
    any_line.ask(action="list")
    wait_until(lambda: any_line.topic[-1]["names"][0]["active"]["version"] == "2")
    for body in any_line.topic:
        validator("models").validate(body)
    first = any_line.topic[0]
    assert {key: first[key] for key in listed if key != "duplicate"} == {
        key: value for key, value in listed.items() if key != "duplicate"
    }
    assert first["names"][0]["active"]["version"] == "1"


def test_a_request_that_comes_twice_is_done_once(line: LineWithModels) -> None:
    """QoS 1 may repeat it; the journal has one entry more."""
    before = len(line.journal)
    first = line.ask("t-7", action="activate", version="redness@2", by="gateway")
    again = line.ask("t-7", action="activate", version="redness@2", by="gateway")
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert {**first, "duplicate": True} == again
    assert [entry[0] for entry in line.journal[before:]] == ["mqtt: gateway"]


def test_a_switch_waits_for_the_permit(closed: LineWithModels) -> None:
    """`…/models` says so; with the permit it takes place, and nothing waits any more."""
    answer = closed.ask(action="activate", version="redness@2", by="gateway")
    assert answer["waits"] == "a permit of the plant"
    assert closed.active() == "1"
    closed.ask("t-2", action="list")
    wait_until(lambda: closed.topic[-1]["waiting"] is not None)
    waiting = closed.topic[-1]["waiting"]
    assert (waiting["version"], waiting["by"]) == ("2", "mqtt: gateway")
    assert waiting["for"] == "a permit of the plant"
    assert closed.ask("t-3", action="permit", for_s=60)["permitted_s"] == 60
    wait_until(lambda: closed.active() == "2")
    wait_until(lambda: closed.journal[-1][0] == "mqtt: gateway")
    wait_until(lambda: closed.topic[-1]["waiting"] is None)


def test_a_restart_goes_on_waiting(tmp_path: Path) -> None:
    """The store has what was asked."""
    line = LineWithModels(tmp_path, permit=True)
    with running(line):
        line.ask(action="activate", version="redness@2")
    line.start()
    with running(line):
        line.ask("t-2", action="permit", for_s=60)
        wait_until(lambda: line.active() == "2")


def test_what_is_refused_when_its_time_comes_is_given_up(closed: LineWithModels) -> None:
    """The journal has the reason, and the old version judges on."""
    closed.ask(action="activate", version="redness@2")
    closed.refusal = RefusedError("the view does not fit")
    closed.ask("t-2", action="permit", for_s=60)
    wait_until(lambda: "the view does not fit" in closed.journal[-1][2])
    assert closed.active() == "1"
    assert open_store(closed.config()).waiting() is None


def test_going_back_never_waits_and_ends_what_waits(closed: LineWithModels) -> None:
    """A bad model must not judge until the night."""
    closed.ask(action="activate", version="redness@2", now=True)
    closed.install("3", reject_at=0.8)
    closed.ask("t-2", action="activate", version="redness@3")
    assert closed.ask("t-3", action="rollback", name="redness")["after"]["version"] == "1"
    assert open_store(closed.config()).waiting() is None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "action: is missing"),
        ({"action": "install"}, "action: must be 'list'"),
        ({"action": "activate"}, "version: is missing; action activate needs it"),
        ({"action": "permit"}, "for_s: is missing"),
        ({"action": "permit", "for_s": -1}, "for_s: "),
        ({"action": "list", "version": "redness@2"}, "version: does not go with action list"),
        ({"action": "rollback", "now": True}, "now: does not go with action rollback"),
        ({"action": "list", "file": "/etc/passwd"}, "file: "),
    ],
)
def test_a_wrong_request_names_the_key(
    line: LineWithModels, fields: dict[str, Any], sentence: str
) -> None:
    """And changes nothing."""
    with pytest.raises(RequestError, match=sentence):
        line.ask(**fields)


def test_a_version_that_is_not_installed(line: LineWithModels) -> None:
    """The sentence of the command."""
    with pytest.raises(EdgeInspectError, match="no such version is installed"):
        line.ask(action="activate", version="redness@9")
    assert line.active() == "1"
