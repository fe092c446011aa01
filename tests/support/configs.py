"""A configuration for tests."""

from typing import Any

from edge.config import Config

CAMERAS: list[dict[str, Any]] = [
    {"id": "top", "source": "test:"},
    {"id": "side", "source": "test:", "fps": 5},
]


def config(**sections: Any) -> Config:
    """A configuration with two cameras."""
    values = {"station": "line1", "model": {"path": "m.tflite"}, "cameras": CAMERAS, **sections}
    return Config.read(values)
