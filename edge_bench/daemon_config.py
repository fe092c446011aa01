"""Writes the configuration of a measured daemon: model, decision and durability from the user;
cameras, broker and outbox from the bench."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edge.config import Config
from edge.core.terms import Durability, Runtime

STATION = "bench"
MIN_HEALTH_INTERVAL_S = 0.5  # the minimum of health.interval_s
_GPIO_KEYS = {"alarm", "outputs"}  # keys of decision that drive GPIO


@dataclass(frozen=True, slots=True)
class Setting:
    """The values that differ between measurements. None keeps the user's value.

    `station` is different for daemons that run at the same time.
    """

    cameras: tuple[dict[str, Any], ...]
    interpreter: Runtime
    workers: int | None = None
    durability: Durability | None = None
    health_s: float | None = MIN_HEALTH_INTERVAL_S
    station: str = STATION


def result_topic(config: Config) -> str:
    """The topic of the measured daemon's verdicts."""
    return f"{config.mqtt.prefix}/{STATION}/result"


def write_daemon_config(
    config: Config, setting: Setting, folder: Path, outbox: Path, port: int
) -> Path:
    """Writes config.yaml into `folder`. `port` is the port of the broker."""
    model = config.model.to_dict(brief=True)
    model["interpreter"] = setting.interpreter
    if setting.workers is not None:
        model["workers"] = setting.workers
    decision = config.decision.to_dict(brief=True)
    outbox_values = config.outbox.to_dict(brief=True)
    if setting.durability is not None:
        outbox_values["durability"] = setting.durability
    values: dict[str, Any] = {
        "station": setting.station,
        "model": model,
        "cameras": list(setting.cameras),
        "decision": {key: value for key, value in decision.items() if key not in _GPIO_KEYS},
        "mqtt": {
            "host": "127.0.0.1",
            "port": port,
            "prefix": config.mqtt.prefix,
            "version": config.mqtt.version,
        },
        "outbox": {**outbox_values, "path": str(outbox)},
        "log": {"level": config.log.level},
        "health": {"interval_s": setting.health_s or config.health.interval_s},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def cameras(kind: str, count: int = 1, **keys: Any) -> tuple[dict[str, Any], ...]:
    """`count` cameras with one source and these keys of config.yaml, named `bench-1` and so on.

    The bench's pictures have any brightness: a live camera is judged from its first picture.
    """
    if kind.startswith(("http:", "v4l2:")):
        keys = {"settle_steady": False, **keys}
    return tuple({"id": f"bench-{n + 1}", "source": kind, **keys} for n in range(count))
