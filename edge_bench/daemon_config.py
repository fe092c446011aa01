"""The configuration of a measured daemon: the user's model, decision and durability; cameras,
broker and outbox of the bench."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from edge.config import Config
from edge.core.terms import Durability, Runtime

STATION = "bench"
QUICKEST_S = 0.5  # the lowest health.interval_s there is
_PINS = {"alarm", "outputs"}  # of decision: wires of the plant, not part of a verdict


@dataclass(frozen=True, slots=True)
class Setting:
    """What differs between measurements. None leaves what the user's configuration says. `station`
    tells daemons apart that live at the same time."""

    cameras: tuple[dict[str, Any], ...]
    interpreter: Runtime
    workers: int | None = None
    durability: Durability | None = None
    health_s: float | None = QUICKEST_S
    station: str = STATION


def result_topic(config: Config) -> str:
    """Where the measured daemon publishes its verdicts."""
    return f"{config.mqtt.prefix}/{STATION}/result"


def write_daemon_config(
    config: Config, setting: Setting, folder: Path, outbox: Path, port: int
) -> Path:
    """Writes config.yaml into `folder`. `port` is the broker's, `outbox` the file of verdicts."""
    model = config.model.to_dict(brief=True)
    model["interpreter"] = setting.interpreter
    if setting.workers is not None:
        model["workers"] = setting.workers
    decision = config.decision.to_dict(brief=True)
    kept = config.outbox.to_dict(brief=True)
    if setting.durability is not None:
        kept["durability"] = setting.durability
    values: dict[str, Any] = {
        "station": setting.station,
        "model": model,
        "cameras": list(setting.cameras),
        "decision": {key: value for key, value in decision.items() if key not in _PINS},
        "mqtt": {
            "host": "127.0.0.1",
            "port": port,
            "prefix": config.mqtt.prefix,
            "version": config.mqtt.version,
        },
        "outbox": {**kept, "path": str(outbox)},
        "log": {"level": config.log.level},
        "health": {"interval_s": setting.health_s or config.health.interval_s},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def cameras(kind: str, count: int = 1, **keys: Any) -> tuple[dict[str, Any], ...]:
    """`count` cameras of one source, `bench-1` and so on, with these keys of config.yaml."""
    return tuple({"id": f"bench-{n + 1}", "source": kind, **keys} for n in range(count))
