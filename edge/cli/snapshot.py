"""`edge-inspect snapshot`: what a camera sees, straightened by its view, its regions drawn in."""

import sys
from pathlib import Path

import cv2

from edge.capture.camera import Pixels
from edge.capture.factory import CameraFactory
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.quality import focus, light
from edge.config import CameraConfig, Config, load_config
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EXIT_DONE, CameraError, ConfigError, EdgeInspectError, RefusedError
from edge.inspection.model_file import load_model_file
from edge.inspection.preprocess import InputSpec
from edge.inspection.view_crop import ViewCrop
from edge.pipeline import view_of

Region = tuple[float, float, float, float]

_GREEN = (0, 220, 0)
_SETTLE = 10
_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


def snapshot(config_path: Path, camera: str | None, target: Path) -> int:
    """Writes one picture of the camera to `target` and prints its size, light and sharpness.

    Without `camera` there must be only one. Raises EdgeInspectError.
    """
    if target.suffix.lower() not in _SUFFIXES:
        raise RefusedError(f"-o {target}: must end in {', '.join(_SUFFIXES)}")
    config = load_config(config_path)
    chosen = _chosen(config, camera, config_path)
    pixels = _look(chosen)
    found, sharp = light(pixels), focus(pixels)
    recipe = _recipe(config)
    region = None if recipe is None else recipe.region
    straight, boxes = ViewCrop(view_of(chosen, recipe)).show(pixels)
    drawn = straight.copy()
    for box in boxes.values():
        _draw(drawn, box, region)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _done, data = cv2.imencode(target.suffix.lower(), drawn)
        target.write_bytes(data.tobytes())
    except OSError as error:
        raise RefusedError(f"-o {target}: cannot be written ({error.strerror})") from error
    height, width = pixels.shape[:2]
    where = "no region" if region is None else f"region {list(region)}"
    named = ", ".join(name for name in boxes if name is not None)
    where = f"regions {named} of the view, {where} of the model" if named else where
    sys.stdout.write(
        f"camera {chosen.id}: {width}×{height}, {where}, grey levels {found.low} to {found.high}, "
        f"sharpness {sharp:.1f}: {target}\n"
    )
    return EXIT_DONE


def _chosen(config: Config, camera: str | None, path: Path) -> CameraConfig:
    names = [one.id for one in config.cameras]
    if camera is None and len(names) == 1:
        return config.cameras[0]
    if camera not in names:
        raise ConfigError(
            [f"{path}: --camera must be one of {', '.join(names)} (got {camera or 'none'})"]
        )
    return config.cameras[names.index(camera)]


def _look(config: CameraConfig) -> Pixels:
    """A picture of the camera; of a live one the tenth, since exposure takes a moment to settle."""
    if config.kind == "folder":
        raise CameraError(
            f"{config.source}: a folder shows nothing by itself; open a picture in it"
        )
    with ForkServerClient() as fork_server:
        camera = CameraFactory(fork_server).open(config, Clock())
        try:
            for _ in range(_SETTLE if camera.live else 1):
                look = camera.read(StopEvent())
        finally:
            camera.close()
    pixels = None if look is None else look.decoded()
    if pixels is None:
        raise CameraError(look.fault if look is not None and look.fault else "gives no picture")
    return pixels


def _recipe(config: Config) -> InputSpec | None:
    """The model's recipe; None when it has none, or when there is no model file yet."""
    try:
        spec = load_model_file(config.model.path).spec
    except EdgeInspectError as error:
        sys.stderr.write(f"edge-inspect: no region is drawn: {error}\n")
        return None
    return None if spec is None else spec.input


def _draw(pixels: Pixels, box: tuple[int, int, int, int], region: Region | None) -> None:
    """A frame around the model's region of a box, so thick that it is seen in a small preview."""
    height, width = pixels.shape[:2]
    if region is None and box == (0, 0, width, height):
        return
    left, top, wide, high = box
    x, y, w, h = region or (0.0, 0.0, 1.0, 1.0)
    first = (left + round(x * wide), top + round(y * high))
    last = (left + round((x + w) * wide) - 1, top + round((y + h) * high) - 1)
    cv2.rectangle(pixels, first, last, _GREEN, max(1, round(min(height, width) / 240)))
