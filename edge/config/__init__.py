"""config.yaml: its values, its reader, and the difference between two versions."""

from edge.config.annotations import names_model, read_secret
from edge.config.diff import ConfigDiff, ReloadState, diff_configs
from edge.config.loader import key_position, load_config
from edge.config.mqtt import MqttConfig, SnapshotsConfig, TLSConfig
from edge.config.pins import pin_numbers
from edge.config.recipe_merge import for_recipe
from edge.config.recipes import RecipeConfig
from edge.config.schema import (
    ArchiveConfig,
    CameraConfig,
    Config,
    HistoryConfig,
    ModelsConfig,
    TrustConfig,
    WebConfig,
    WindowConfig,
)
from edge.config.trigger import AlarmConfig, RecipePinsConfig, TriggerConfig
from edge.core.redaction import mask_credentials

__all__ = [
    "AlarmConfig",
    "ArchiveConfig",
    "CameraConfig",
    "Config",
    "ConfigDiff",
    "HistoryConfig",
    "ModelsConfig",
    "MqttConfig",
    "RecipeConfig",
    "RecipePinsConfig",
    "ReloadState",
    "SnapshotsConfig",
    "TLSConfig",
    "TriggerConfig",
    "TrustConfig",
    "WebConfig",
    "WindowConfig",
    "diff_configs",
    "for_recipe",
    "key_position",
    "load_config",
    "mask_credentials",
    "names_model",
    "pin_numbers",
    "read_secret",
]
