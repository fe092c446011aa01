"""`edge-inspect config schema` and `config show`."""

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from edge.config import OPTION_OF, CameraConfig, Config, mask_credentials
from edge.configfile import load_config
from edge.errors import EXIT_DONE


def schema() -> int:
    """Prints the JSON Schema of config.yaml."""
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
    return EXIT_DONE


def json_schema() -> dict[str, Any]:
    """The JSON Schema of config.yaml: what an editor can know of it. Rules between keys are not
    in it."""
    import msgspec.json

    path = {"type": "string", "format": "path"}
    parts = msgspec.json.schema(Config, schema_hook=lambda _: path)["$defs"]
    parts["MqttConfig"]["properties"]["version"]["enum"].append(5)  # see its as_meant
    return {**parts.pop("Config"), "$defs": parts}


def show(config_path: Path) -> int:
    """Prints the effective values as YAML; passwords in camera addresses are masked."""
    config = load_config(config_path)
    values = config.said()
    for camera, said in zip(values["cameras"], config.cameras):
        camera["source"] = mask_credentials(said.source)
        for option, kinds in OPTION_OF.items():
            if said.kind not in kinds:
                del camera[option]
        _leave_out(camera, said)
    sys.stdout.write(yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
    return EXIT_DONE


def _leave_out(camera: dict[str, Any], said: CameraConfig) -> None:
    """What does nothing here, so that what is shown can be used as config.yaml again."""
    fitting = said.trigger.fitting_keys
    camera["trigger"] = {k: v for k, v in camera["trigger"].items() if k in fitting}
    if said.view is not None and not said.view.regions:
        del camera["view"]["verdict"]
