"""Trains on data sets that cannot be learned, and checks that training and conversion refuse them.

    python -m tests.campaigns.not_learned DATASET [--epochs 12] [--network compact]

DATASET is {train,test}/{ok,<defect>…}/ with manifest.csv. Three sets are derived by links: labels
shuffled among parts; 5 % good parts labelled as defects; and 20 defects in the test set with
--max-escape 0.1 %. Each training must exit with 1 without thresholds, and edge-convert must refuse
it. Exit code 1 when one does not.
"""

import argparse
import csv
import random
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from converter.cli.main import main as convert
from trainer.cli.main import main as train
from trainer.data import load_dataset
from trainer.networks import read_spec
from trainer.training.run_folder import MODEL

Row = tuple[Path, str, str, str]  # picture, side, label, group


def rows_of(root: Path) -> list[Row]:
    """Every picture with side, "ok" or "defect", and group."""
    return [
        (
            sample.path,
            "test" if sample.set_name == "test" else "train",
            "ok" if sample.label == "ok" else "defect",
            sample.group,
        )
        for sample in load_dataset(root).samples
    ]


def shuffled(rows: list[Row]) -> list[Row]:
    """Labels shuffled among the parts of each side, so that nothing can be learned."""
    parts: dict[tuple[str, str], list[str]] = defaultdict(list)
    for _, side, label, group in rows:
        parts[side, group].append(label)
    new_labels: dict[tuple[str, str], str] = {}
    for side in ("train", "test"):
        keys = [key for key in parts if key[0] == side]
        labels = [max(parts[key], key=parts[key].count) for key in keys]
        random.Random(1).shuffle(labels)
        new_labels.update(zip(keys, labels))
    return [(path, side, new_labels[side, group], group) for path, side, _, group in rows]


def hidden(rows: list[Row]) -> list[Row]:
    """Only good pictures; 5 % are labelled as defects, so that finding none gives 95 % accuracy."""
    good = [row for row in rows if row[2] == "ok"]
    random.Random(2).shuffle(good)
    return [
        (path, side, "defect" if at % 20 == 0 else "ok", f"{group}/{at}")
        for at, (path, side, _, group) in enumerate(good)
    ]


def few(rows: list[Row]) -> list[Row]:
    """All good pictures and training defects, and 20 test defects."""
    tested = [row for row in rows if row[1:3] == ("test", "defect")]
    return [row for row in rows if row not in tested] + tested[:20]


def write(rows: list[Row], root: Path) -> Path:
    """The rows as a data set of links under `root`."""
    root.mkdir(parents=True)
    with (root / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file", "label", "group"])
        for at, (path, side, label, group) in enumerate(rows):
            name = f"{side}/{label}/{at:06}{path.suffix}"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(path.resolve())
            table.writerow([name, label, f"{side}/{group}"])
    return root


def main() -> int:
    """Prints one line per set. Returns 1 when one is not refused."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--epochs", default="12")
    parser.add_argument("--network", default="compact")
    args = parser.parse_args()
    rows, wrong = rows_of(args.dataset), 0
    found: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, rows_of_set, options in (
            ("shuffled labels", shuffled(rows), []),
            ("5 % defects that cannot be seen", hidden(rows), []),
            ("20 defects, --max-escape 0.1%", few(rows), ["--max-escape", "0.1%"]),
        ):
            place = Path(folder) / str(len(found))
            data, run = write(rows_of_set, place / "data"), place / "run"
            start = time.monotonic()
            settings = ["--network", args.network, "--epochs", args.epochs, "--no-baseline"]
            code = train([str(data), "-o", str(run), *settings, *options])
            spec = read_spec(run / MODEL) if (run / MODEL).exists() else None
            passes = spec is not None and spec.thresholds.review_from > 0
            output = place / "model.tflite"
            refused = spec is None or (
                convert([str(run / MODEL), "--data", str(data), "-o", str(output)]) == 1
                and not output.exists()
            )
            is_refused = code == 1 and not passes and refused
            wrong += not is_refused
            found.append(
                f"{name}: exit {code}, {'a threshold' if passes else 'no threshold'}, "
                f"{'no model file' if refused else 'A MODEL FILE'}, "
                f"{time.monotonic() - start:.0f} s"
            )
    print("\n" + "\n".join(found))
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
