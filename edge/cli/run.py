"""`edge-inspect run`: the daemon in the foreground, as systemd starts it."""

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
    """Runs until SIGTERM. Raises EdgeInspectError when the daemon cannot start; under systemd it
    logs the error, waits for a fix, and returns the exit code.

    `make_opener` returns the function that opens cameras; None: their drivers.
    """
    folders = [config_path.resolve().parent]
    guard = StartupGuard.under_systemd()
    if guard is not None:
        set_up_logging("info")
    try:
        config = load_config(config_path)
        folders.append(config.model_folder)
        set_up_logging(config.log.level)
        return _run_daemon(config, config_path, make_opener)
    except EdgeInspectError as error:
        gc.enable()
        if guard is None:
            raise
        guard.refuse(error, folders, StopEvent())
        return error.exit_code


def _run_daemon(config: Config, path: Path, make_opener: "OpenerFactory | None") -> int:
    """Starts the camera processes first: they open the cameras while the daemon imports its
    modules and loads the model."""
    from edge.capture import ForkServerClient

    # The camera processes end before the guard waits for a new configuration.
    with ForkServerClient() as fork_server:
        try:
            fork_server.prepare(config.cameras)
        except OSError as error:  # each camera reports it and retries
            log.warning("the cameras' processes do not start yet (%s)", error.strerror)
        from edge.capture import CameraFactory
        from edge.daemon import Daemon

        gc.freeze()  # modules and classes stay; collections skip them
        gc.enable()
        open_camera = (
            CameraFactory(fork_server).open if make_opener is None else make_opener(fork_server)
        )
        return Daemon(config, path=path, open_camera=open_camera).run()
