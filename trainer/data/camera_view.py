"""Reads a camera's view from the box's config.yaml, to train on the pictures the box will judge.

Only the view is read. The rest of the file concerns the box and may be invalid here.
"""

from pathlib import Path
from typing import Any

import yaml

from edge.core.errors import DatasetError
from edge.core.validation import ValidationError, key_path
from edge.core.view import ViewConfig


def read_view(argument: str) -> ViewConfig:
    """The view of the camera in `FILE` or `FILE:CAMERA`.

    Raises DatasetError with the file and the fix, also for a view that no model can be trained
    for.
    """
    path, name = _file_and_camera(argument)
    camera = _chosen(path, _cameras(path), name)
    view = camera.get("view")
    if view is None:
        raise DatasetError(
            f"{path}: camera {camera.get('id')} has no view; give it one, or leave --view out"
        )
    try:
        found = ViewConfig.read(view)
    except ValidationError as error:
        first = error.problems[0]
        where = key_path(("view", *first.loc))
        raise DatasetError(
            f"{path}: camera {camera.get('id')}: {where}: {first.text}; "
            "`edge-inspect check` says more"
        ) from error
    why = found.why_no_model_fits()
    if why is not None:
        raise DatasetError(f"{path}: camera {camera.get('id')}: {why}")
    return found


def _file_and_camera(argument: str) -> tuple[Path, str | None]:
    if not Path(argument).exists() and ":" in argument:
        file, _, name = argument.rpartition(":")
        return Path(file), name
    return Path(argument), None


def _cameras(path: Path) -> list[dict[str, Any]]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise DatasetError(
            f"{path}: cannot be read ({why}); give FILE or FILE:CAMERA, as in config.yaml:cam1"
        ) from error
    except yaml.YAMLError as error:
        why = " ".join(str(error).split())
        raise DatasetError(f"{path}: not YAML ({why}); correct it") from error
    cameras = raw.get("cameras") if isinstance(raw, dict) else None
    if not isinstance(cameras, list) or not all(isinstance(c, dict) for c in cameras):
        raise DatasetError(f"{path}: lists no cameras; give the config.yaml of the box")
    return cameras


def _chosen(path: Path, cameras: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    names = [str(camera.get("id")) for camera in cameras]
    if name in names:
        return cameras[names.index(name)]
    if name is None and len(cameras) == 1:
        return cameras[0]
    raise DatasetError(
        f"{path}: {'several cameras' if name is None else f'no camera {name!r}'}; give "
        f"{path}:CAMERA, which is one of {', '.join(names) or 'none'}"
    )
