"""config.yaml: its values, its reader, and the difference between two versions."""

from edge.config.loader import key_position, load_config, parse_config
from edge.config.mqtt import MqttConfig
from edge.config.schema import (
    DRIVEN_KINDS,
    LIVE_KINDS,
    ArchiveConfig,
    CameraConfig,
    Config,
    ModelConfig,
    mask_credentials,
)
from edge.config.trigger import TriggerConfig

__all__ = [
    "DRIVEN_KINDS",
    "LIVE_KINDS",
    "ArchiveConfig",
    "CameraConfig",
    "Config",
    "ModelConfig",
    "MqttConfig",
    "TriggerConfig",
    "key_position",
    "load_config",
    "mask_credentials",
    "parse_config",
]
