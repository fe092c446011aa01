"""Opens the camera that `source` in config.yaml names. Imports only the modules of its kind."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from edge.capture.camera import Camera, DecodingOf, ItemLedger
from edge.capture.isolation.demand import DemandGate
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.config import CameraConfig
from edge.core.clock import Clock
from edge.core.jpeg import WHOLE

# The type of `CameraFactory.open`. Tests and benchmarks pass another function.
OpenCamera = Callable[[CameraConfig, Clock, ItemLedger, DecodingOf, DemandGate | None], Camera]


class CameraFactory:
    """Opens cameras of every kind. Safe between threads."""

    def __init__(self, fork_server: ForkServerClient) -> None:
        """`fork_server` starts the processes of driven cameras; the caller closes it."""
        self._fork_server = fork_server
        self._noted: set[tuple[str, str]] = set()  # what the log already says of each camera

    def open(
        self,
        config: CameraConfig,
        clock: Clock,
        receipts: ItemLedger | None = None,
        decoding_of: DecodingOf = lambda _width, _height: WHOLE,
        demand: DemandGate | None = None,
    ) -> Camera:
        """The camera; a driven one is opened by its first `read`.

        receipts           which items of a folder have their verdict; None: no item has
        decoding_of, demand  as in `IsolatedCamera`

        Raises CameraError.
        """
        if config.kind == "replay":
            from edge.capture.sources.replay import ReplayCamera

            return ReplayCamera(Path(config.rest), config.rate, config.loop, clock)
        if config.kind == "folder":
            return _open_folder(config, clock, receipts)
        if config.kind == "test":
            from edge.capture.sources.test_pattern import PatternCamera

            return PatternCamera(config.width, config.height, config.fps, clock)
        from edge.capture.isolation.isolated_camera import IsolatedCamera

        return IsolatedCamera(
            config,
            clock,
            self._fork_server,
            decoding_of=decoding_of,
            demand=demand,
            noted=self._noted,
        )


def _open_folder(config: CameraConfig, clock: Clock, receipts: ItemLedger | None) -> Camera:
    from edge.capture.sources.folder import FolderCamera
    from edge.capture.sources.inotify import FolderWatch

    path = Path(config.rest)
    watch = FolderWatch.on(path) if path.is_dir() else None
    if receipts is None:
        return FolderCamera(path, lambda _receipt: False, clock, watch=watch)
    return FolderCamera(
        path,
        partial(receipts.judged, config.id),
        clock,
        watch=watch,
        stored=partial(receipts.stored, config.id),
        hand_out=partial(receipts.hand_out, config.id),
        move_to=config.move_to,
        prune=partial(receipts.prune, config.id),
    )
