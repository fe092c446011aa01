"""`edge-inspect config schema` and `edge-inspect config show`."""

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import GenerateJsonSchema

from edge.config import CameraConfig, Config, load_config, mask_credentials
from edge.core.errors import EXIT_DONE
from edge.core.output import write_output


class _WithoutFieldTitles(GenerateJsonSchema):
    """Omits titles, which only repeat the key."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  pydantic's signature
        """Never."""
        return False


def schema() -> int:
    """Prints the JSON Schema of config.yaml."""
    write_output(json.dumps(json_schema(), indent=2) + "\n")
    return EXIT_DONE


def json_schema() -> dict[str, Any]:
    """The JSON Schema of config.yaml, for editors. It cannot hold the rules between keys."""
    schema = Config.model_json_schema(schema_generator=_WithoutFieldTitles)
    return {"$schema": _WithoutFieldTitles.schema_dialect, **schema}


def show(config_path: Path) -> int:
    """Prints the effective values as YAML, with passwords in camera addresses masked."""
    config = load_config(config_path)
    values = config.to_dict()
    values["cameras"] = [_shown(camera) for camera in config.cameras]
    write_output(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    return EXIT_DONE


def _shown(camera: CameraConfig) -> dict[str, Any]:
    """Omits keys without effect, so that the output is a valid config.yaml."""
    values = camera.to_dict()
    values["source"] = mask_credentials(camera.source)
    for name in ("trigger", "view"):
        section = getattr(camera, name)
        if section is not None:
            values[name] = {k: v for k, v in values[name].items() if k in section.effective_keys}
    return {key: value for key, value in values.items() if key in camera.effective_keys}
