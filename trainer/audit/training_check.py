"""`edge-train audit`: the command, and the same audit before a training."""

import argparse
import csv
import io
import json
from pathlib import Path
from typing import Any

from edge.errors import EXIT_DONE, EXIT_NO, DatasetError
from trainer.audit.examine import Options, examine, items_as_split, items_of
from trainer.audit.findings import Audit
from trainer.audit.leak_handling import set_aside
from trainer.audit.text_report import as_text, in_brief
from trainer.core.progress import Display
from trainer.data.dataset import Dataset

_DONE: dict[tuple[object, ...], Audit] = {}


def audit_parser() -> argparse.ArgumentParser:
    """The command line of `edge-train audit`."""
    parser = argparse.ArgumentParser(
        prog="edge-train audit",
        description="Looks for copies, leaks, wrong labels and giveaways in a data set. "
        "Exit code 1 when there is a leak or an unreadable picture.",
    )
    parser.set_defaults(command="audit")
    parser.add_argument("dataset", metavar="DATASET", type=Path)
    parser.add_argument("--json", dest="json_file", metavar="FILE", type=Path, help="everything")
    parser.add_argument(
        "--suggest", metavar="FILE", type=Path, help="writes a manifest.csv with inferred groups"
    )
    parser.add_argument("--ok-label", default="ok", help="the class of good parts (%(default)s)")
    return parser


def run_audit(args: argparse.Namespace) -> int:
    """Audits, prints and writes. Returns the exit code; raises EdgeInspectError."""
    with Display() as display:
        audit = examine(args.dataset, Options(ok_label=args.ok_label), display.working)
        display.say(as_text(audit))
    if args.json_file is not None:
        write(args.json_file, json.dumps(audit.as_json(), indent=1) + "\n")
    if args.suggest is not None:
        write(args.suggest, suggested_manifest(args.dataset, audit))
    return EXIT_NO if audit.refused else EXIT_DONE


def audit_training(data: Dataset, allow_leaks: bool, display: Display) -> dict[str, Any]:
    """The audit of a set as it will be trained on; what the model file records of it.

    `set_aside` in it names test pictures that must not be judged: see trainer.audit.leak_handling.
    Raises RefusedError for more copies between test and the rest than that, unless allowed;
    look-alikes are told and counted. Unreadable pictures are not refused here: reading them names
    each with its mend.
    """
    audit = _audited(data, display)
    aside = () if allow_leaks else set_aside(data, audit)
    if aside:
        display.say(
            f"               set aside, for their part stands in train too: {', '.join(aside)}"
        )
    return summary(audit, allow_leaks) | {"set_aside": list(aside)}


def _audited(data: Dataset, display: Display) -> Audit:
    """Once in a process for the same pictures and split: several seeds train on one audit."""
    key = (data.fingerprint(), tuple((one.file, one.part, one.group) for one in data.samples))
    if key not in _DONE:
        _DONE.clear()
        options = Options(ok_label=data.ok_label)
        _DONE[key] = examine(data.root, options, display.working, items_as_split(data))
        display.say(in_brief(_DONE[key]))
    return _DONE[key]


def summary(audit: Audit, allow_leaks: bool) -> dict[str, Any]:
    """What a model card says of the data."""
    return {
        "leaks": len(audit.leaks),
        "look_alikes": len(audit.look_alikes),
        "leaks_allowed": bool(audit.leaks) and allow_leaks,
        "leaking": [leak.as_json() for leak in audit.leaks[:20]],
        "possible_leaks": len(audit.possible_leaks),
        "duplicates": len(audit.duplicates),
        "two_labels": len(audit.two_labels),
        "suspected_mislabels": len(audit.suspected_mislabels),
        "giveaways": [giveaway.as_json() for giveaway in audit.giveaways],
    }


def suggested_manifest(root: Path, audit: Audit) -> str:
    """manifest.csv with a group for every readable picture: its own, or that of its part."""
    group = {file: part["files"][0] for part in audit.parts for file in part["files"]}
    lost = {one["file"] for one in audit.unreadable}
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("file", "label", "group"))
    for item in items_of(root):
        if item.file not in lost:
            table.writerow((item.file, item.label, group.get(item.file, item.file)))
    return out.getvalue()


def write(path: Path, text: str) -> None:
    """Raises DatasetError when the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be written ({error.strerror}); give a file in a folder that is yours"
        ) from error
