"""`explain`, `rejudge` and `export` read files beside a daemon that writes and deletes them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.plant import Daemon, Plant, draw_many
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon
from tests.system.test_records import run

pytestmark = [pytest.mark.broker, pytest.mark.slow]

PARTS = 40


@pytest.fixture
def daemon(make_daemon: MakeDaemon, tmp_path: Path) -> Iterator[Daemon]:
    """A running box that keeps every picture, and whose budget deletes one for each new one. Only
    the daemon may read its password."""
    draw_many(tmp_path / "parts", PARTS)
    archive = {"enabled": True, "path": str(tmp_path / "kept"), "max_mb": 1}
    archive["keep"] = ["pass", "review", "fail"]
    password = tmp_path / "password"
    password.write_text("secret")
    made = make_daemon(
        f"replay:{tmp_path / 'parts'}",
        mqtt={"username": "box", "password_file": str(password)},
        rate=20,
        loop=1000,
        sections={"archive": archive},
    )
    made.start()
    yield made
    made.stop()


def kept(daemon: Daemon) -> list[Path]:
    """The kept pictures."""
    return sorted((daemon.folder / "kept").glob("*/*.png"))


def test_files_are_as_right_as_the_daemon(daemon: Daemon, plant: Plant) -> None:
    """Beside a daemon that writes a picture and deletes another twenty times a second, each kept
    picture that is still there is judged and copied whole, and verdicts go on."""
    wait_until(lambda: kept(daemon), "a picture")
    first = kept(daemon)[0]
    wait_until(lambda: not first.exists(), "the budget deletes pictures", poll_s=0.2)
    (daemon.folder / "password").unlink()  # these commands need no password
    before = len(plant.bodies("result"))
    newest = str(plant.bodies("result")[-10]["id"])
    code, out, _ = run(daemon, "explain", newest)
    assert code == 0
    assert "same score to the last bit" in out
    report = daemon.folder / "again.json"
    code, _, _ = run(daemon, "rejudge", "--json", str(report))
    assert code == 0
    found = json.loads(report.read_text())
    assert found["judged"] > 0
    assert (found["flips"], found["same_score"]) == (0, found["judged"])
    assert all("may have removed it now" in why for why in found["not_judged"])
    target = daemon.folder / "exported"
    code, _, _ = run(daemon, "export", "-o", str(target), "--verdict", "fail")
    assert code == 0
    lines = (target / "manifest.csv").read_text().splitlines()[1:]
    files = [line.split(",")[0] for line in lines]
    assert files
    for file in files:
        assert (target / file).read_bytes().startswith((b"\x89PNG", b"\xff\xd8"))
    wait_until(lambda: len(plant.bodies("result")) > before + 20, "verdicts go on")
    assert not daemon.log.count("archive:")
