"""The messages on `status`."""

from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.plant import Daemon, Plant, draw_many
from tests.system.conftest import MakeDaemon, MakePlant

pytestmark = pytest.mark.broker


def test_a_kill_leaves_the_will(make_daemon: MakeDaemon, plant: Plant, tmp_path: Path) -> None:
    """After a kill the broker publishes `offline` with the session that was `online`. The next
    start has another session. A stop publishes `stopped`, and no `offline` follows."""
    draw_many(tmp_path / "parts", 2)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}")
    daemon.start()
    plant.wait_for_state("online")
    daemon.kill()
    plant.wait_for_state("online", "offline")
    daemon.start()
    plant.wait_for_state("online", "offline", "online")
    assert daemon.stop() == 0
    plant.wait_for_state("online", "offline", "online", "stopped")
    sessions = [body["session"] for body in plant.bodies("status")]
    assert sessions[0] == sessions[1] != sessions[2] == sessions[3]
    assert len({body["boot_id"] for body in plant.bodies("status")}) == 1


def test_a_wrong_password_is_said_and_nothing_lost(
    make_daemon: MakeDaemon, make_plant: MakePlant, tmp_path: Path, mosquitto_users: Path
) -> None:
    """The log names the user and what to do, verdicts are kept, and with the right password they
    are sent."""
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    guarded = Mosquitto(
        tmp_path / "guarded", "allow_anonymous false", f"password_file {mosquitto_users}"
    )
    guarded.start()
    try:
        draw_many(tmp_path / "parts", 10)
        mqtt = {"port": guarded.port, "username": "box", "password_file": str(secret)}
        daemon: Daemon = make_daemon(f"replay:{tmp_path / 'parts'}", mqtt)
        daemon.start()
        daemon.wait_for_log("refuses the user 'box'")
        daemon.wait_for_waiting(10)
        assert "mqtt.password_file" in daemon.log
        plant = make_plant("plant", "plant", port=guarded.port)
        assert plant.messages == []
        secret.write_text("right\n")
        assert sorted(plant.wait_for_results(10)) == list(range(1, 11))
        assert daemon.stop() == 0
        plant.close()
    finally:
        guarded.close()


@pytest.mark.parametrize("version", ["auto", "5", "3.1.1"])
def test_every_version_says_the_same(
    make_daemon: MakeDaemon, plant: Plant, tmp_path: Path, version: str
) -> None:
    """MQTT 5 and 3.1.1 carry the same bodies."""
    draw_many(tmp_path / "parts", 3)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", {"version": version})
    daemon.start()
    results = plant.wait_for_results(3)
    assert daemon.stop() == 0
    wanted = "5" if version == "auto" else version
    assert f"connected to the broker, MQTT {wanted}" in daemon.log
    assert [results[n]["verdict"] for n in (1, 2, 3)] == ["pass", "review", "fail"]
