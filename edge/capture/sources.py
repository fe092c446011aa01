"""From a camera's `source` to the class that the daemon reads."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge.capture.camera import Camera, Receipts, Reduction
from edge.capture.idle import Idle
from edge.config import CameraConfig
from edge.environment import Environment

# The type of `open_camera`, for a caller that passes a double of it.
OpenCamera = Callable[[CameraConfig, Environment, Receipts, Reduction, Idle | None], Camera]


def open_camera(
    config: CameraConfig,
    environment: Environment,
    receipts: Receipts | None = None,
    reduction: Reduction = lambda _width, _height: 1,
    idle: Idle | None = None,
) -> Camera:
    """The camera that `config.source` names; only its kind is imported, and one with a driver is
    opened by its first `read`. Without `receipts` no item counts as judged. `reduction` and
    `idle` as `ProcessCamera` takes them. Raises CameraError."""
    if config.kind == "replay":
        from edge.capture.replay import ReplayCamera

        return ReplayCamera(Path(config.rest), config.rate, config.loop, environment)
    if config.kind == "folder":
        from edge.capture.folder import FolderCamera
        from edge.capture.inotify import Watch

        path = Path(config.rest)
        watch = Watch.on(path) if path.is_dir() else None
        if receipts is None:
            return FolderCamera(path, lambda _receipt: False, environment, watch=watch)
        return FolderCamera(
            path,
            partial(receipts.judged, config.id),
            environment,
            watch=watch,
            move_to=config.move_to,
            lying=partial(receipts.lying, config.id),
        )
    if config.kind == "test":
        from edge.capture.pattern import PatternCamera

        return PatternCamera(config.width, config.height, config.fps, environment)
    from edge.capture.process import ProcessCamera

    return ProcessCamera(config, environment, reduction=reduction, idle=idle)
