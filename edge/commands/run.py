"""`edge-inspect run`: the daemon in the foreground; what systemd starts."""

import gc
import logging
from pathlib import Path

from edge.config import DRIVEN_KINDS, Config, load_config
from edge.environment import Stop
from edge.errors import EdgeInspectError
from edge.operation.doorstep import Doorstep
from edge.operation.logs import set_up_logging

log = logging.getLogger(__name__)


def run(config_path: Path) -> int:
    """Runs until SIGTERM. Raises EdgeInspectError when it cannot start; under systemd it says so
    there, waits for the mend, and returns the exit code."""
    folders = [config_path.resolve().parent]
    doorstep = Doorstep.under_systemd()
    if doorstep is not None:
        set_up_logging("info")
    try:
        config = load_config(config_path)
        folders.append(config.model.path.parent)
        set_up_logging(config.log.level)
        return _live(config, config_path)
    except EdgeInspectError as error:
        gc.enable()
        if doorstep is None:
            raise
        doorstep.refuse(error, folders, Stop())
        return error.exit_code


def _live(config: Config, path: Path) -> int:
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
        return Daemon(config, path=path).run()
    finally:
        if driven:  # also when the daemon does not come to be: it may wait long for the mend
            NURSERY.close()
