"""`edge-inspect journal`: who changed what. `journal verify` follows the chain of hashes."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from edge.config import load_config
from edge.core.errors import EXIT_DONE, RefusedError
from edge.core.output import write_output
from edge.core.text import one_line
from edge.core.times import local_time
from edge.storage import Journal, read_journal, verify_journal


def journal(config_path: Path, *, as_json: bool) -> int:
    """Prints the changes, the oldest first."""
    path = _place(config_path)
    try:
        for entry in read_journal(path):
            if as_json:
                write_output(json.dumps(entry, ensure_ascii=False) + "\n")
            else:
                write_output(one_line(_sentence(entry)) + "\n")
    except OSError as error:
        raise _unreadable(path, error) from error
    return EXIT_DONE


def verify(config_path: Path) -> int:
    """Prints whether the chain is whole. Raises RefusedError when it is not."""
    path = _place(config_path)
    try:
        report = verify_journal(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    if report.problem is not None:
        raise RefusedError(
            f"{report.problem}; {report.entries} entries before it are in order: compare with what "
            "subscribers of …/event have kept"
        )
    since = f" since {report.first}" if report.first else ""
    write_output(f"{path}: {report.entries} entries{since}, the chain is whole\n")
    if report.entries:
        write_output(f"hash of the last entry: {report.last_hash}\n")
    return EXIT_DONE


def _place(config_path: Path) -> Path:
    return Journal.place(load_config(config_path, check_files=False).outbox.path)


def _unreadable(path: Path, error: OSError) -> RefusedError:
    return RefusedError(
        f"{path}: cannot be read ({error.strerror}); add yourself to the group edge-inspect, or "
        "use sudo"
    )


def _sentence(entry: dict[str, Any]) -> str:
    before, after = _value(entry.get("before")), _value(entry.get("after"))
    at = local_time(datetime.fromisoformat(entry["at"]).timestamp())
    what = f"{entry.get('kind')} {entry.get('subject')}".strip()
    return f"{at}  {what}: {before} → {after}  ({entry.get('by')})"


def _value(value: Any) -> str:
    if isinstance(value, dict) and "number" in value:
        return f"{value['number']} {value.get('name') or '(not in config.yaml)'}"
    return "none" if value is None else str(value)
