"""`edge-inspect snapshot`: a camera's picture, straightened by its view, with its regions."""

from pathlib import Path

import cv2

from edge.capture import CameraFactory, ForkServerClient
from edge.capture.quality import brightness, sharpness
from edge.capture.settling import Settling
from edge.config import CameraConfig, Config, load_config
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EXIT_DONE, CameraError, ConfigError, EdgeInspectError, RefusedError
from edge.core.output import write_error, write_output
from edge.core.terms import Pixels
from edge.core.text import one_line
from edge.inspection import InputSpec, ViewCrop
from edge.models import read_model
from edge.pipeline import view_of

Region = tuple[float, float, float, float]

_GREEN = (0, 220, 0)
_SETTLE_FRAMES = 10  # exposure takes some frames to settle
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


def snapshot(config_path: Path, camera: str | None, target: Path) -> int:
    """Writes one picture of the camera to `target`; prints its size, light and sharpness.

    `camera` may be None when there is only one. Raises EdgeInspectError.
    """
    if target.suffix.lower() not in SUFFIXES:
        raise RefusedError(f"-o {target}: must end in {', '.join(SUFFIXES)}")
    config = load_config(config_path)
    chosen = _chosen(config, camera, config_path)
    if chosen.kind == "folder":
        raise CameraError(f"{chosen.source}: a folder is no camera; open a picture in it")
    with ForkServerClient() as fork_server:
        pixels = take_picture(chosen, CameraFactory(fork_server), settle=True)
    levels, sharp = brightness(pixels), sharpness(pixels)
    spec = _input_spec(config)
    region = None if spec is None else spec.region
    straight, boxes = ViewCrop(view_of(chosen, spec)).show(pixels)
    drawn = straight.copy()
    for box in boxes.values():
        draw_region(drawn, box, region)
    encode_picture(drawn, target)
    height, width = pixels.shape[:2]
    where = "no region" if region is None else f"region {list(region)}"
    named = ", ".join(name for name in boxes if name is not None)
    where = f"regions {named} of the view, {where} of the model" if named else where
    write_output(
        f"camera {chosen.id}: {width}×{height}, {where}, "
        f"grey levels {levels.low} to {levels.high}, sharpness {sharp:.1f}: "
        f"{one_line(str(target))}\n"
    )
    return EXIT_DONE


def encode_picture(pixels: Pixels, target: Path) -> None:
    """Writes a picture as the name's end says. Raises RefusedError."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _done, data = cv2.imencode(target.suffix.lower(), pixels)
        target.write_bytes(data.tobytes())
    except OSError as error:
        raise RefusedError(f"-o {target}: cannot be written ({error.strerror})") from error


def _chosen(config: Config, camera: str | None, path: Path) -> CameraConfig:
    names = [one.id for one in config.cameras]
    if camera is None and len(names) == 1:
        return config.cameras[0]
    if camera not in names:
        raise ConfigError(
            [f"{path}: --camera must be one of {', '.join(names)} (got {camera or 'none'})"]
        )
    return config.cameras[names.index(camera)]


def take_picture(config: CameraConfig, cameras: CameraFactory, *, settle: bool = False) -> Pixels:
    """One picture of a camera: uint8, (height, width, 3), BGR. Raises CameraError.

    settle: a live camera settles first, as in the daemon, for at least ten pictures.
    """
    clock = Clock()
    camera, settling = cameras.open(config, clock), Settling(config)
    left = _SETTLE_FRAMES if settle and camera.live else 1
    try:
        while left > 0 or (settle and camera.live and not settling.settled):
            found = camera.read(StopEvent())
            pixels = None if found is None else found.decoded()
            if found is None:
                break
            if pixels is not None:
                settling.add(pixels, found.captured_tick or clock.tick(), 1 + found.passed_over)
            left -= 1
    finally:
        camera.close()
    if pixels is None:
        raise CameraError(found.fault if found is not None and found.fault else "gives no picture")
    return pixels


def _input_spec(config: Config) -> InputSpec | None:
    """The model file's input; None for a plain or missing file."""
    try:
        spec = read_model(config).spec
    except EdgeInspectError as error:
        write_error(f"edge-inspect: no region is drawn: {error}")
        return None
    return None if spec is None else spec.input


def draw_region(
    pixels: Pixels,
    box: tuple[int, int, int, int],
    region: Region | None,
    colour: tuple[int, int, int] = _GREEN,
) -> None:
    """Frames the model's region of a box, thick enough for a small preview."""
    height, width = pixels.shape[:2]
    if region is None and box == (0, 0, width, height):
        return
    left, top, box_width, box_height = box
    x, y, w, h = region or (0.0, 0.0, 1.0, 1.0)
    first = (left + round(x * box_width), top + round(y * box_height))
    last = (left + round((x + w) * box_width) - 1, top + round((y + h) * box_height) - 1)
    cv2.rectangle(pixels, first, last, colour, max(1, round(min(height, width) / 240)))
