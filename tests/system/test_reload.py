"""config.yaml changes while the daemon judges: by SIGHUP and by request."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.mosquitto import Mosquitto
from tests.support.plant import BASE, Daemon, Plant, draw, draw_many
from tests.support.schemas import validator
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon, MakePlant

pytestmark = pytest.mark.broker


def edit(daemon: Daemon, **sections: Any) -> None:
    """Writes other sections into the daemon's config.yaml."""
    values = yaml.safe_load(daemon.config.read_text(encoding="utf-8"))
    for name, section in sections.items():
        if isinstance(section, dict) and isinstance(values.get(name), dict):
            values[name] = {**values[name], **section}
        else:
            values[name] = section
    daemon.config.write_text(yaml.safe_dump(values), encoding="utf-8")


def reload(plant: Plant, transaction: str) -> dict[str, Any]:
    """Requests a reload; returns the answer, checked against the schema."""
    body = json.dumps({"transaction": transaction}).encode()
    plant.publish(f"{BASE}/request/reload", body)

    def answers() -> list[dict[str, Any]]:
        said = plant.bodies("response/reload")
        return [one for one in said if one["transaction"] == transaction]

    wait_until(answers, f"an answer to {transaction}")
    validator("response").validate(answers()[0])
    return answers()[0]


def test_thresholds_change_between_two_verdicts(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """Each verdict before the change has the old hash and thresholds, each one after it the new
    ones. No verdict is missing or mixed, and `info` has the new configuration."""
    draw_many(tmp_path / "parts", 400)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=100, loop=100)
    daemon.start()
    plant.wait_for_results(20)
    edit(daemon, decision={"reject_at": 0.9, "review_from": 0.1})
    answer = reload(plant, "a")
    assert answer["status"] == "ok", answer
    assert answer["data"]["changed"] == ["decision"]
    done = daemon.last_seq()
    plant.wait_for_results(done + 20)
    assert daemon.stop() == 0
    results = plant.wait_for_results(daemon.last_seq())
    assert sorted(results) == list(range(1, len(results) + 1))
    hashes = [results[seq]["config"] for seq in sorted(results)]
    turn = hashes.index(answer["data"]["config"])
    assert 0 < turn < len(hashes)
    for seq, body in results.items():
        new = seq > turn
        assert (body["config"] == answer["data"]["config"]) == new
        assert (body["thresholds"] == {"reject_at": 0.9, "review_from": 0.1}) == new
        score, verdict = body["score"], body["verdict"]
        if new:
            expected = "fail" if score >= 0.9 else "review" if score >= 0.1 else "pass"
            assert verdict == expected
    assert plant.bodies("info")[-1]["config"] == answer["data"]["config"]
    assert len({body["frame"]["seq"] for body in results.values()}) == len(results)


def test_a_wrong_file_changes_nothing(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """The answer, the log, `info` and `health` name the line, and verdicts keep the old hash. A
    correct file clears the fault."""
    draw_many(tmp_path / "parts", 50)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=50, loop=1000)
    daemon.start()
    plant.wait_for_results(5)
    good = daemon.config.read_text(encoding="utf-8")
    daemon.config.write_text(f"{good}\ndecision:\n  reject_at: 7\n", encoding="utf-8")
    answer = reload(plant, "wrong")
    assert (answer["status"], answer["data"]) == ("error", None)
    assert "config.yaml:" in answer["error"]
    daemon.wait_for_log("nothing was changed")
    wait_until(lambda: plant.bodies("info")[-1]["config_problems"], "info with the problem")
    wait_until(  # said after `info`
        lambda: any("new configuration refused" in f for f in plant.bodies("health")[-1]["faults"]),
        "health with the fault",
    )
    before = daemon.last_seq()
    later = plant.wait_for_results(before + 10)
    assert len({body["config"] for body in later.values()}) == 1
    daemon.config.write_text(good, encoding="utf-8")
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not plant.bodies("info")[-1]["config_problems"], "info without problems")
    assert daemon.stop() == 0


def test_one_camera_changes_and_the_other_notices_nothing(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path
) -> None:
    """One camera is added, another changes its folder, the third continues without a gap: each
    judges every picture of its folder once. A removed camera sends no more verdicts."""
    for name in ("a", "b"):
        draw_many(tmp_path / name, 100)
    daemon = make_daemon(f"replay:{tmp_path / 'a'}", rate=20)
    cameras = yaml.safe_load(daemon.config.read_text(encoding="utf-8"))["cameras"]
    drop = tmp_path / "drop"
    drop.mkdir()
    cameras.append({"id": "side", "source": f"folder:{drop}"})
    edit(daemon, cameras=cameras)
    daemon.start()
    plant.wait_for_results(5)
    other = tmp_path / "other"
    draw(other / "x.png", 200)
    cameras[1]["source"] = f"folder:{other}"
    cameras.append({"id": "back", "source": f"replay:{tmp_path / 'b'}", "rate": 200})
    edit(daemon, cameras=cameras)
    assert reload(plant, "1")["data"]["changed"] == ["cameras side", "cameras back"]

    def parts(camera: str) -> list[str]:
        return [b["part"] for b in plant.bodies("result") if b["camera"] == camera]

    wait_until(lambda: len(parts("back")) == 100 and parts("side") == ["x.png"], "the new cameras")
    edit(daemon, cameras=cameras[:1])
    assert reload(plant, "2")["data"]["changed"] == ["cameras side", "cameras back"]
    draw(other / "y.png", 200)
    wait_until(lambda: len(parts("top")) == 100, "the whole folder")
    wait_until(
        lambda: list(plant.bodies("health")[-1]["cameras"]) == ["top"], "one camera in health"
    )
    assert parts("top") == [f"{n:04}.png" for n in range(100)]
    assert parts("side") == ["x.png"]
    assert daemon.stop() == 0


def test_a_new_model_file_under_the_old_name(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path, redness_model: Path
) -> None:
    """A broken model is refused and the old one stays. A good model is used, and verdicts have its
    sha256."""
    draw_many(tmp_path / "parts", 50)
    model = tmp_path / "model.tflite"
    shutil.copy(redness_model, model)
    daemon = make_daemon(
        f"replay:{tmp_path / 'parts'}", rate=50, loop=1000, sections={"model": {"path": str(model)}}
    )
    daemon.start()
    first = plant.wait_for_results(5)[1]["model"]["sha256"]
    model.write_bytes(b"no model")
    answer = reload(plant, "broken")
    assert answer["status"] == "error"
    assert "model.tflite" in answer["error"]
    assert "config.yaml:" in answer["error"]
    renewed = redness_model.read_bytes()
    model.write_bytes(renewed)
    assert reload(plant, "same")["data"]["changed"] == []
    before = daemon.last_seq()
    later = plant.wait_for_results(before + 5)
    assert {body["model"]["sha256"] for body in later.values()} == {first}
    assert daemon.stop() == 0


def test_another_broker(
    make_daemon: MakeDaemon, plant: Plant, make_plant: MakePlant, tmp_path: Path
) -> None:
    """After a change of the broker the first one gets `stopped` and the second one the rest.
    Together they have all verdicts."""
    draw_many(tmp_path / "parts", 300)
    second = Mosquitto(tmp_path / "second")
    second.start()
    try:
        there = make_plant(port=second.port)
        daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=100)
        daemon.start()
        plant.wait_for_results(20)
        edit(daemon, mqtt={"port": second.port})
        assert daemon.process is not None
        daemon.process.send_signal(signal.SIGHUP)
        there.wait_for_results(20)
        plant.wait_for_state("online", "stopped")
        daemon.wait_for_stored(300)
        wait_until(
            lambda: {*plant.results(), *there.results()} == set(range(1, 301)), "every verdict"
        )
        assert daemon.stop() == 0
    finally:
        second.close()
