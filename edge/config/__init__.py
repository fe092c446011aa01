"""config.yaml: its values, how it is read, and what a new one changes."""

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
