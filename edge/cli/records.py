"""Where the commands over the box's records get them: the running daemon, else the files."""

import os
import time
from pathlib import Path

from edge.cli.api_client import find_daemon
from edge.cli.records_client import RecordsClient
from edge.config import Config, load_config
from edge.core.errors import EdgeInspectError, RefusedError
from edge.models import read_model
from edge.plant import Records, RecordsService
from edge.storage import HistoryReader, Labels, history_path


def open_records(config_path: Path) -> tuple[Records, Config]:
    """The records of the box with this configuration. Raises EdgeInspectError."""
    config = load_config(config_path, check_files=False)
    outbox = config.outbox.path
    if (path := find_daemon(outbox)) is not None:
        return RecordsClient(path), config
    folder = outbox.parent
    if folder.exists() and not os.access(folder, os.X_OK, effective_ids=True):
        raise RefusedError(
            f"{folder}: your user may not read it; add yourself to the group edge-inspect "
            "(sudo usermod -aG edge-inspect $USER) and log in again"
        )
    return records_on_files(config), config


def records_on_files(config: Config) -> RecordsService:
    """The records as the files have them."""
    return RecordsService(
        HistoryReader(history_path(config.outbox.path)),
        Labels.beside(config.outbox.path),
        lambda: config.archive,
        lambda: ok_label_of(config),
        time.time,
    )


def ok_label_of(config: Config) -> str:
    """The label of good parts: the model file's, else that of config.yaml."""
    try:
        spec = read_model(config).spec
    except EdgeInspectError:
        spec = None
    return (spec.ok_label if spec is not None else config.model.ok_label) or "ok"
