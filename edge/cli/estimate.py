"""`edge-inspect estimate`: escape and false-reject rate of the running line."""

import json
import time
from pathlib import Path

from edge.cli.records import open_records
from edge.core.errors import EXIT_DONE
from edge.core.output import write_output
from edge.core.times import local_time, parse_time


def estimate(config_path: Path, since: str | None, *, as_json: bool) -> int:
    """Prints both rates with their intervals, of all models and of each."""
    start = None if since is None else parse_time(since, time.time(), "--since")
    records, _ = open_records(config_path)
    found = records.estimate(start)
    if as_json:
        write_output(json.dumps(found, ensure_ascii=False) + "\n")
        return EXIT_DONE
    if start is not None:
        write_output(f"since {local_time(start)}\n")
    _print(found["sentences"])
    if len(found["models"]) > 1:
        for model, one in found["models"].items():
            write_output(f"model {model[:12]}\n")
            _print(one["sentences"])
    return EXIT_DONE


def _print(sentences: list[str]) -> None:
    for sentence in sentences:
        write_output(f"{sentence}\n")
