"""The commands over model versions: the service on files, and the same through the local socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.cli.models import ModelsClient
from edge.config import Config, load_config
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError, RefusedError
from edge.models import model_path, open_store, read_model
from edge.plant import Models, ModelsService, RequestError, RollbackRequest, SwitchRequest
from edge.web import LocalSocket
from tests.support.model_versions import write_version
from tests.support.models import MODELS
from tests.support.records import RecordsOfABox

CONFIG = """station: line1
cameras: [{id: top, source: "test:", width: 64, height: 48}]
model: {path: redness}
models: {path: versions}
"""


class BoxWithModels:
    """config.yaml, a store, and what a running daemon would do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config_path = folder, folder / "config.yaml"
        self.config_path.write_text(CONFIG)
        self.running: str | None = None
        self.refusal: EdgeInspectError | None = None
        self.journal: list[tuple[str, str, str, str]] = []
        self.service = ModelsService(
            self.config,
            take_over=self.take_over,
            running=lambda: self.running,
            note=lambda *change: self.journal.append(change),
        )

    def config(self) -> Config:
        """The configuration as the file has it."""
        return load_config(self.config_path)

    def take_over(self) -> None:
        """As a reload: all of it, or an error and nothing."""
        if self.refusal is not None:
            raise self.refusal
        self.running = read_model(self.config()).sha256

    def install(self, version: str, **changes: object) -> str:
        """Returns the SHA-256."""
        file = write_version(self.folder / f"{version}.tflite", version, **changes)
        return self.service.install(file, "kim").sha256

    def active(self) -> str:
        """The version that a start would judge by."""
        return open_store(self.config()).active("redness").version


@pytest.fixture
def box(tmp_path: Path) -> BoxWithModels:
    """A box with redness@1 active and redness@2 installed."""
    found = BoxWithModels(tmp_path)
    found.install("1")
    found.service.activate(SwitchRequest(version="redness@1", by="kim"))
    found.install("2", reject_at=0.7)
    return found


@pytest.fixture(params=["service", "socket"])
def models(request: pytest.FixtureRequest, box: BoxWithModels) -> Iterator[Models]:
    """The service, or the client of a socket."""
    if request.param == "service":
        yield box.service
        return
    path, outbox = box.folder / "api.sock", box.folder / "outbox.db"
    serving = LocalSocket(
        path, RecordsOfABox(box.folder).service(), outbox, Clock(), models=box.service
    )
    serving.start()
    client = ModelsClient(path)
    assert client.serves(outbox)
    yield client
    serving.close()
    assert serving.join(10)


def to(version: str) -> SwitchRequest:
    """A request by lee."""
    return SwitchRequest(version=version, by="lee")


def test_activate_and_roll_back(models: Models, box: BoxWithModels) -> None:
    """The running daemon takes over, and the journal has who asked."""
    done = models.activate(to("redness@2"))
    assert (done.before and done.before.title, done.after.title) == ("redness@1", "redness@2")
    assert done.judges
    assert done.changed
    assert box.running == done.after.sha256
    by, before, after, name = box.journal[-1]
    assert (by, name) == ("lee", "redness")
    assert before.startswith("redness@1 (")
    assert after.startswith("redness@2 (")
    assert not models.activate(to(done.after.sha256[:8])).changed
    assert len(box.journal) == 2
    back = models.rollback(RollbackRequest(by="lee"))
    assert back.after.title == "redness@1"
    assert box.running == back.after.sha256


def test_the_listing_says_what_is_active_and_what_judges(
    models: Models, box: BoxWithModels
) -> None:
    """By name; versions in the order of their installation."""
    box.install("1", name="caps")
    found = models.listing()
    assert [one.record.name for one in found.names] == ["caps", "redness"]
    redness = found.names[1]
    assert [one.title for one in redness.versions] == ["redness@1", "redness@2"]
    assert redness.record.active == redness.versions[0].sha256 == found.running
    assert found.names[0].record.active is None


def test_a_daemon_that_refuses_judges_on_by_the_old_version(
    models: Models, box: BoxWithModels
) -> None:
    """The record is put back, so that a restart judges by the old one too."""
    before = box.running
    box.refusal = RefusedError("config.yaml:1:1: is wrong")
    with pytest.raises(EdgeInspectError, match=r"config\.yaml:1:1: is wrong"):
        models.activate(to("redness@2"))
    assert (box.active(), box.running) == ("1", before)
    box.refusal = None
    models.activate(to("redness@2"))
    box.refusal = RefusedError("no")
    with pytest.raises(EdgeInspectError, match="no"):
        models.rollback(RollbackRequest(by="lee"))
    assert box.active() == "2"
    assert len(box.journal) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("redness@9", "redness@9: no such version is installed"),
        ("../../etc/passwd", "no such version is installed"),
        ("\u202eredness@1", r"\\u202eredness@1: no such version"),
    ],
)
def test_what_is_not_installed_is_not_activated(
    models: Models, box: BoxWithModels, text: str, sentence: str
) -> None:
    """One sentence, and the old version judges on."""
    with pytest.raises(RefusedError, match=sentence):
        models.activate(to(text))
    assert box.active() == "1"


def test_a_request_in_the_wrong_form(models: Models) -> None:
    """Through the socket each mistake is named."""
    if isinstance(models, ModelsClient):
        with pytest.raises(RequestError, match="version: is missing"):
            models.send("/models/activate", {"by": "lee"})
        with pytest.raises(RequestError, match=r"unknown parameter 'x'"):
            models.ask("GET", "/models", {"x": "1"})


@pytest.mark.inference
def test_a_damaged_version_is_not_activated(models: Models, box: BoxWithModels) -> None:
    """One flipped byte in the slot."""
    path = open_store(box.config()).path_of(box.install("3"))
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)
    with pytest.raises(RefusedError, match="has changed since it was installed"):
        models.activate(to("redness@3"))
    assert box.active() == "1"


@pytest.mark.inference
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"golden_score": 0.5}, r"scores .* on this box and 0\.5000 where"),
        ({"width": 24}, r"its preprocessing makes pictures of \[16, 24, 3\]"),
        ({"labels": ("ok", "blue")}, r"has the labels \['ok', 'blue'\], and redness@1, which is"),
        ({"labels": ("fine", "red")}, "the good class 'ok' is not among its labels"),
    ],
)
def test_a_file_that_does_not_fit_is_not_installed(
    box: BoxWithModels, changes: dict[str, object], sentence: str
) -> None:
    """Golden pictures, input and labels; the store is as it was."""
    before = box.service.listing()
    with pytest.raises(EdgeInspectError, match=sentence):
        box.install("3", **changes)
    assert box.service.listing() == before


@pytest.mark.inference
def test_verify_judges_the_golden_pictures_by_todays_settings(box: BoxWithModels) -> None:
    """config.yaml may have changed since the installation."""
    assert box.service.verify("redness@2").version == "2"
    text = CONFIG.replace("path: redness", "path: redness, labels: [ok, dent]")
    box.config_path.write_text(text)
    with pytest.raises(EdgeInspectError, match=r"remove model\.labels from config\.yaml"):
        box.service.verify("redness@2")


def test_a_path_is_never_switched(box: BoxWithModels) -> None:
    """`rollback` without a name has nothing to switch; activating by name changes no verdict."""
    box.config_path.write_text(CONFIG.replace("redness}", f"{MODELS / 'redness.tflite'}}}"))
    with pytest.raises(RefusedError, match="which is never switched"):
        box.service.rollback(RollbackRequest(by="lee"))
    done = box.service.activate(to("redness@2"))
    assert not done.judges
    assert model_path(box.config()) == MODELS / "redness.tflite"


def test_the_active_version_is_not_removed(box: BoxWithModels) -> None:
    """Another one is."""
    with pytest.raises(RefusedError, match="redness@1: is active"):
        box.service.remove("redness@1")
    box.service.remove("redness@2")
    assert len(box.service.listing().names[0].versions) == 1
