"""`edge-train audit`: its parser and its command."""

import argparse
import csv
import io
import json
from pathlib import Path

from edge.core.errors import EXIT_DONE, EXIT_NO, DatasetError
from trainer.audit import (
    Audit,
    AuditOptions,
    audit_dataset,
    audit_items,
    audit_text,
    merged_items,
)
from trainer.core import Display
from trainer.data.folder_layout import find_pictures
from trainer.data.merged_set import merge_plan, read_sources


def audit_parser() -> argparse.ArgumentParser:
    """The command line of `edge-train audit`."""
    parser = argparse.ArgumentParser(
        prog="edge-train audit",
        description="Looks for copies, leaks, wrong labels and giveaways in a data set. "
        "Exit code 1 when there is a leak or an unreadable picture.",
    )
    parser.set_defaults(command="audit")
    parser.add_argument(
        "datasets",
        metavar="DATASET",
        type=Path,
        nargs="+",
        help="several: as one training has them",
    )
    parser.add_argument(
        "--test-from", metavar="DATASET", type=Path, help="as in a training on several data sets"
    )
    parser.add_argument("--json", dest="json_file", metavar="FILE", type=Path, help="everything")
    parser.add_argument(
        "--suggest", metavar="FILE", type=Path, help="writes a manifest.csv with inferred groups"
    )
    parser.add_argument("--ok-label", default="ok", help="the class of good parts (%(default)s)")
    parser.add_argument(
        "--thorough", action="store_true", help="compares more pairs of each picture; says the gain"
    )
    return parser


def run_audit(args: argparse.Namespace) -> int:
    """Runs the audit and writes the files. Returns the exit code; raises EdgeInspectError."""
    roots: list[Path] = args.datasets
    items = None
    if len(roots) > 1:
        if args.suggest is not None:
            raise DatasetError("--suggest writes the manifest of one data set; audit each alone")
        sources = read_sources(roots, args.ok_label)
        items = merged_items(sources, merge_plan(sources, test_from=args.test_from))
    with Display() as display:
        options = AuditOptions(ok_label=args.ok_label, thorough=args.thorough)
        name = Path(" and ".join(map(str, roots)))
        audit = audit_dataset(name, options, display.stage("audit"), items)
        display.say(audit_text(audit))
        for root in roots:
            left_out = find_pictures(root).left_out_text()
            if left_out:
                display.say(f"\n{left_out}")
    if args.json_file is not None:
        write_text(args.json_file, json.dumps(audit.as_json(), indent=1) + "\n")
    if args.suggest is not None:
        write_text(args.suggest, suggested_manifest(roots[0], audit))
    return EXIT_NO if audit.refused else EXIT_DONE


def suggested_manifest(root: Path, audit: Audit) -> str:
    """A manifest.csv that gives every readable picture a group, the pictures of a part the same."""
    group = {file: part["files"][0] for part in audit.parts for file in part["files"]}
    unreadable = {one["file"] for one in audit.unreadable}
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("file", "label", "group"))
    for item in audit_items(root):
        if item.file not in unreadable:
            table.writerow((item.file, item.label, group.get(item.file, item.file)))
    return out.getvalue()


def write_text(path: Path, text: str) -> None:
    """Writes a file. Raises DatasetError when it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DatasetError(
            f"{path}: cannot be written ({error.strerror}); give a file in a folder that is yours"
        ) from error
