"""The configuration of a measured daemon."""

from pathlib import Path

from edge.config import Config, load_config
from edge_bench.daemon_config import Setting, cameras, result_topic, write_daemon_config
from tests.conftest import WriteConfig
from tests.support.models import MODELS


def test_model_and_decision_stay_the_rest_is_the_benchs(
    write_config: WriteConfig, tmp_path: Path
) -> None:
    """What judges is the user's; cameras, broker, outbox, wires and HTTP are not."""
    user = load_config(
        write_config(
            decision={
                "reject_at": 0.7,
                "review_from": 0.5,
                "deadline_ms": 500,
                "outputs": {"alive": 5},
                "alarm": {"fails": 3},
            },
            outbox={"path": str(tmp_path / "theirs.db"), "durability": "balanced"},
            mqtt={"host": "broker.plant", "prefix": "hall3", "version": "3.1.1"},
            web={"enabled": True},
        )
    )
    folder = tmp_path / "run"
    folder.mkdir()
    setting = Setting(cameras("test:", 2), "litert")
    path = write_daemon_config(user, setting, folder, tmp_path / "ours.db", 12345)
    box = load_config(path)
    assert box.model.path == user.model.path
    assert box.model.interpreter == "litert"
    assert (box.decision.reject_at, box.decision.deadline_ms) == (0.7, 500)
    assert [camera.id for camera in box.cameras] == ["bench-1", "bench-2"]
    assert (box.mqtt.host, box.mqtt.port, box.mqtt.prefix) == ("127.0.0.1", 12345, "hall3")
    assert box.mqtt.version == "3.1.1"
    assert (box.outbox.path, box.outbox.durability) == (tmp_path / "ours.db", "balanced")
    assert box.decision.outputs.alive is None
    assert box.decision.alarm.fails is None
    assert not box.web.enabled
    assert box.health.interval_s == 0.5
    assert result_topic(user) == "hall3/bench/result"


def test_a_setting_changes_what_it_names(write_config: WriteConfig, tmp_path: Path) -> None:
    """Durability, workers and the interval of health; None is what the user says."""
    model = {"path": str(MODELS / "redness.tflite"), "workers": 3, "decoding": "whole"}
    user = load_config(write_config(health={"interval_s": 7}, model=model))

    def box(setting: Setting) -> Config:
        return load_config(write_daemon_config(user, setting, tmp_path, tmp_path / "a.db", 1))

    said = box(Setting(cameras("test:"), "auto", durability="balanced", health_s=None))
    assert (said.outbox.durability, said.health.interval_s) == ("balanced", 7)
    assert (said.model.workers, said.model.decoding) == (3, "whole")
    assert box(Setting(cameras("test:"), "auto", 2)).model.workers == 2

    assert box(Setting(cameras("test:"), "auto", station="bench-2")).station == "bench-2"
