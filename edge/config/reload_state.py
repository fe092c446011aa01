"""The configuration that runs, and what the last reload reported."""

from edge.config.schema import Config


class ReloadState:
    """The configuration that runs. `problems` are the sentences for which the last file was
    refused, `restart_required` the keys that wait for a restart."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.problems: tuple[str, ...] = ()
        self.restart_required: tuple[str, ...] = ()
