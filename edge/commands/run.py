"""`edge-inspect run`: the daemon in the foreground; what systemd starts."""

from pathlib import Path

from edge.configfile import load_config
from edge.environment import Stop
from edge.errors import EdgeInspectError
from edge.operation.doorstep import Doorstep
from edge.operation.logs import set_up_logging


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
        from edge.app import Daemon

        return Daemon(config, path=config_path).run()
    except EdgeInspectError as error:
        if doorstep is None:
            raise
        doorstep.refuse(error, folders, Stop())
        return error.exit_code
