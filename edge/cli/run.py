"""`edge-inspect run`: the daemon in the foreground; what systemd starts."""

import gc
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from edge.cli.start_retry import StartupGuard
from edge.config import Config, load_config
from edge.core.clock import StopEvent
from edge.core.errors import EdgeInspectError
from edge.core.logs import set_up_logging

if TYPE_CHECKING:  # importing it takes time that the daemon has not yet
    from edge.capture import ForkServerClient, OpenCamera

    OpenerFactory = Callable[[ForkServerClient], OpenCamera]

log = logging.getLogger(__name__)


def run(config_path: Path, make_opener: "OpenerFactory | None" = None) -> int:
    """Runs until SIGTERM. `make_opener` gives the function that opens cameras; None: their drivers.
    Raises EdgeInspectError when it cannot start. Under systemd it logs the error,
    waits until the cause is fixed, and returns the exit code."""
    folders = [config_path.resolve().parent]
    doorstep = StartupGuard.under_systemd()
    if doorstep is not None:
        set_up_logging("info")
    try:
        config = load_config(config_path)
        folders.append(config.model.path.parent)
        set_up_logging(config.log.level)
        return _live(config, config_path, make_opener)
    except EdgeInspectError as error:
        gc.enable()
        if doorstep is None:
            raise
        doorstep.refuse(error, folders, StopEvent())
        return error.exit_code


def _live(config: Config, path: Path, make_opener: "OpenerFactory | None") -> int:
    """Starts the cameras' processes first: they open their cameras while the daemon imports its
    modules and loads its model."""
    from edge.capture import ForkServerClient

    # Closed also when the daemon cannot start: it may wait long for its configuration.
    with ForkServerClient() as fork_server:
        try:
            fork_server.prepare(config.cameras)
        except OSError as error:  # each camera reports it, and tries again
            log.warning("the cameras' processes do not start yet (%s)", error.strerror)
        from edge.capture import CameraFactory
        from edge.daemon import Daemon

        gc.freeze()  # modules and classes stay; no collection needs to look through them
        gc.enable()
        open_camera = (
            CameraFactory(fork_server).open if make_opener is None else make_opener(fork_server)
        )
        return Daemon(config, path=path, open_camera=open_camera).run()
