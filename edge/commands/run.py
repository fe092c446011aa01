"""`edge-inspect run`: the daemon in the foreground; what systemd starts."""

from pathlib import Path

from edge.configfile import load_config
from edge.operation.logs import set_up_logging


def run(config_path: Path) -> int:
    """Runs until SIGTERM. Raises EdgeInspectError when it cannot start."""
    config = load_config(config_path)
    set_up_logging(config.log.level)
    from edge.app import Daemon

    return Daemon(config, path=config_path).run()
