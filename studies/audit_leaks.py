"""How much of a planted leak and of flipped labels the audit finds, on any data-set folder.

    python -m studies.audit_leaks DATASET [--seeds 0,1,2] [--manifest] [--keep FOLDER]
                                             [--json FILE]

10 % of the test pictures are put into train as altered copies under neutral names, and 3 % of all
labels are flipped (tests/support/audit_planting.py). The manifest is left out, or kept with each
copy as a group of its own. What counts as right: a leak between two pictures of one part; the
manifest of DATASET, if any, says which part that is.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.audit_planting import Planted, plant
from trainer.audit import audit_dataset


def judge(report: dict[str, Any], planted: Planted) -> dict[str, Any]:
    """Recall and precision of the leaks, and how high the flipped labels are ranked."""
    partners: dict[str, set[str]] = defaultdict(set)
    for leak in report["leaks"]:
        partners[leak["file"]].add(leak["twin"])
        partners[leak["twin"]].add(leak["file"])
    same = one_part(planted)
    found = {copy for copy in planted.copies if any(same(twin, copy) for twin in partners[copy])}
    wrong = [leak for leak in report["leaks"] if not same(leak["file"], leak["twin"])]
    kinds = Counter(kind for _, kind in planted.copies.values())
    hits = Counter(planted.copies[copy][1] for copy in found)
    ranked = [entry["file"] for entry in report["label_ranking"]]
    top = set(ranked[: round(0.1 * len(ranked))])
    pairs = len(report["leaks"])
    return {
        "pictures": report["pictures"],
        "copies": len(planted.copies),
        "copies_found": len(found),
        "recall": round(len(found) / len(planted.copies), 4),
        "by_kind": {kind: f"{hits[kind]}/{kinds[kind]}" for kind in kinds},
        "leaks": pairs,
        "wrong_leaks": len(wrong),
        "precision": round(1 - len(wrong) / pairs, 4) if pairs else None,
        "duplicates": len(report["duplicates"]),
        "wrong_duplicates": sum(not same(one["file"], one["twin"]) for one in report["duplicates"]),
        "missed": {copy: planted.copies[copy] for copy in planted.copies if copy not in found},
        "wrong": wrong[:10],
        "flipped": len(planted.flipped),
        "flipped_in_top_10_percent": round(
            len(top & planted.flipped) / max(1, len(planted.flipped)), 4
        ),
    }


def one_part(planted: Planted) -> Callable[[str, str], bool]:
    """Whether two files show one part: a function of two names."""
    return lambda one, other: planted.part[one] == planted.part[other]


def main() -> int:
    """Makes the sets, audits them, prints the figures of each seed and of all together."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset", metavar="DATASET", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--manifest", action="store_true", help="keep it; a copy is its own group")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="where the made sets stay")
    parser.add_argument("--json", dest="json_file", metavar="FILE", type=Path)
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in map(int, args.seeds.split(",")):
            target = (args.keep or Path(folder)) / f"seed{seed}"
            planted = plant(args.dataset, target, seed, manifest=args.manifest)
            report = audit_dataset(target).as_json(ranking=True)
            result = {"seed": seed} | judge(report, planted) | {"seconds": report["seconds"]}
            results.append(result)
            print(json.dumps(result, indent=1), flush=True)
    print(json.dumps(together(results), indent=1))
    if args.json_file:
        args.json_file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


def together(results: list[dict[str, Any]]) -> dict[str, float]:
    """The figures over all seeds: sums, not means of shares."""
    total = {
        name: sum(result[name] for result in results)
        for name in ("copies", "copies_found", "leaks", "wrong_leaks", "flipped")
    }
    high = sum(round(one["flipped"] * one["flipped_in_top_10_percent"]) for one in results)
    return total | {
        "recall": round(total["copies_found"] / total["copies"], 4),
        "precision": round(1 - total["wrong_leaks"] / max(1, total["leaks"]), 4),
        "flipped_in_top_10_percent": round(high / max(1, total["flipped"]), 4),
    }


if __name__ == "__main__":
    sys.exit(main())
