"""The configuration of a measured daemon."""

from pathlib import Path

from edge.config import Config, load_config
from edge_bench.daemon_config import Setting, cameras, result_topic, write_daemon_config
from tests.conftest import WriteConfig
from tests.support.models import MODELS


def test_model_and_decision_stay_and_the_rest_is_replaced(
    write_config: WriteConfig, tmp_path: Path
) -> None:
    """Model and decision come from the user; cameras, broker, outbox, GPIO and HTTP do not."""
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
    measured = load_config(path)
    assert measured.model.path == user.model.path
    assert measured.model.interpreter == "litert"
    assert (measured.decision.reject_at, measured.decision.deadline_ms) == (0.7, 500)
    assert [camera.id for camera in measured.cameras] == ["bench-1", "bench-2"]
    assert (measured.mqtt.host, measured.mqtt.port, measured.mqtt.prefix) == (
        "127.0.0.1",
        12345,
        "hall3",
    )
    assert measured.mqtt.version == "3.1.1"
    assert (measured.outbox.path, measured.outbox.durability) == (tmp_path / "ours.db", "balanced")
    assert measured.decision.outputs.alive is None
    assert measured.decision.alarm.fails is None
    assert not measured.web.enabled
    assert measured.health.interval_s == 0.5
    assert result_topic(user) == "hall3/bench/result"


def test_a_setting_overrides_the_user(write_config: WriteConfig, tmp_path: Path) -> None:
    """A setting overrides durability, workers and health interval; None keeps the user's value."""
    model = {"path": str(MODELS / "redness.tflite"), "workers": 3, "decoding": "whole"}
    user = load_config(write_config(health={"interval_s": 7}, model=model))

    def measured(setting: Setting) -> Config:
        return load_config(write_daemon_config(user, setting, tmp_path, tmp_path / "a.db", 1))

    unchanged = measured(Setting(cameras("test:"), "auto", durability="balanced", health_s=None))
    assert (unchanged.outbox.durability, unchanged.health.interval_s) == ("balanced", 7)
    assert (unchanged.model.workers, unchanged.model.decoding) == (3, "whole")
    assert measured(Setting(cameras("test:"), "auto", 2)).model.workers == 2

    assert measured(Setting(cameras("test:"), "auto", station="bench-2")).station == "bench-2"
