"""`edge-inspect run`: the daemon in the foreground; what systemd starts."""

import gc
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from edge.config import DRIVEN_KINDS, Config
from edge.configfile import load_config
from edge.environment import Stop
from edge.errors import EdgeInspectError
from edge.operation.doorstep import Doorstep
from edge.operation.logs import set_up_logging

if TYPE_CHECKING:  # importing it takes time that the daemon has not yet
    from edge.capture.sources import OpenCamera

log = logging.getLogger(__name__)


def run(config_path: Path, open_camera: "OpenCamera | None" = None) -> int:
    """Runs until SIGTERM. `open_camera` replaces what opens the cameras; None: their drivers.
    Raises EdgeInspectError when it cannot start. Under systemd it logs the error,
    waits until the cause is fixed, and returns the exit code."""
    folders = [config_path.resolve().parent]
    doorstep = Doorstep.under_systemd()
    if doorstep is not None:
        set_up_logging("info")
    try:
        config = load_config(config_path)
        folders.append(config.model.path.parent)
        set_up_logging(config.log.level)
        return _live(config, config_path, open_camera)
    except EdgeInspectError as error:
        gc.enable()
        if doorstep is None:
            raise
        doorstep.refuse(error, folders, Stop())
        return error.exit_code


def _live(config: Config, path: Path, opener: "OpenCamera | None") -> int:
    """The cameras' processes are asked for first: they open their cameras while the daemon imports
    the rest and tries its model."""
    driven = any(camera.kind in DRIVEN_KINDS for camera in config.cameras)
    if driven:
        from edge.capture.leash import NURSERY

        try:
            NURSERY.prepare(config.cameras)
        except OSError as error:  # each camera says it, and tries again
            log.warning("the cameras' processes do not start yet (%s)", error.strerror)
    try:
        from edge.app import Daemon

        gc.freeze()  # modules and classes stay; no collection needs to look through them
        gc.enable()
        if opener is None:
            return Daemon(config, path=path).run()
        return Daemon(config, path=path, open_camera=opener).run()
    finally:
        if driven:  # also when the daemon does not come to be: it may wait long for the mend
            NURSERY.close()
