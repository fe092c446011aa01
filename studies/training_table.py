"""How good the trained networks are, in int8 on parts held out: mean and spread over seeds.

    python -m studies.training_table tiles=DATASET … -o FOLDER [--seeds 3] [--beside FILE]

Each NAME=DATASET is trained by `edge-train DATASET -o FOLDER/NAME-sSEED --network pretrained
--no-baseline --seed SEED` and converted by `edge-convert`, one after the other, each timed; what
is finished in FOLDER is not done again. What stands after `--` goes to edge-train in place of
`--network pretrained --no-baseline`. The figures are those that each model file says of itself.
`--beside` is a .tflite, such as a plain CNN's, whose time is measured alternately with the others:
milliseconds depend on the machine, ratios hardly.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from edge.inspection import TFLiteClassifier, load_model_file

USUAL = ("--network", "pretrained", "--no-baseline")
ROUNDS, CALLS = 15, 20
TIMES = "seconds.json"


def make(name: str, data: Path, folder: Path, seed: int, options: list[str]) -> Path:
    """FOLDER/NAME-sSEED.tflite, trained and converted unless it is there already."""
    run = folder / f"{name}-s{seed}"
    model = run.with_suffix(".tflite")
    if model.exists():
        return model
    started = time.monotonic()
    train = [str(data), "-o", str(run), *options, "--seed", str(seed)]
    _call(["trainer", *train])
    trained = time.monotonic() - started
    _call(["converter", str(run / "model.keras"), "--data", str(data), "-o", str(model)])
    converted = time.monotonic() - started - trained
    (run / TIMES).write_text(json.dumps({"train": trained, "convert": converted}))
    return model


def _call(arguments: list[str]) -> None:
    print("$ python -m " + " ".join(arguments), flush=True)
    subprocess.run([sys.executable, "-m", *arguments], check=True)


def milliseconds(files: list[Path]) -> dict[Path, float]:
    """Median time of one picture by file, one thread, measured in turns."""
    judges = {}
    for file in files:
        judge = TFLiteClassifier(file.read_bytes(), file.name)
        noise = np.random.default_rng(0).integers(0, 256, judge.shape).astype(np.uint8)
        judges[file] = judge, noise
    taken: dict[Path, list[float]] = {file: [] for file in files}
    for _ in range(ROUNDS):
        for file, (judge, picture) in judges.items():
            for _ in range(CALLS):
                started = time.perf_counter()
                judge(picture)
                taken[file].append(time.perf_counter() - started)
    return {file: 1000 * statistics.median(seconds) for file, seconds in taken.items()}


def row(name: str, files: list[Path], took: dict[Path, float], beside: Path | None) -> str:
    """One line of the table, Markdown."""
    specs = [load_model_file(file).spec for file in files]
    figures = [spec.metrics for spec in specs if spec is not None]
    area = _spread([each["auroc"] for each in figures], "{:.3f}", 1)
    rejects = [
        _spread([each["false_rejects_at_recall"][at] for each in figures], "{:.1f}", 100)
        for at in ("0.95", "0.99")
    ]
    by_seed = ", ".join(f"{each['auroc']:.3f}" for each in figures)
    one = statistics.median(took[file] for file in files)
    ratio = "" if beside is None else f" ({one / took[beside]:.1f}×)"
    size = statistics.median(file.stat().st_size for file in files) / 1024
    times = [file.with_suffix("") / TIMES for file in files]
    longest = [max(json.loads(t.read_text()).values()) for t in times if t.exists()]
    cells = [name, area, by_seed, *rejects, f"{one:.2f}{ratio}", f"{size:.0f}"]
    return "| " + " | ".join([*cells, f"{max(longest):.0f}" if longest else "–"]) + " |"


def _spread(values: list[float], form: str, scale: float) -> str:
    mean = form.format(scale * statistics.fmean(values))
    if len(values) < 2:
        return mean
    return f"{mean} ± {form.format(scale * statistics.stdev(values))}"


def main() -> int:
    """Prints the table."""
    given = sys.argv[1:]
    options = list(USUAL)
    if "--" in given:
        at = given.index("--")
        given, options = given[:at], given[at + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_RAW)
    parser.add_argument("sets", nargs="+", metavar="NAME=DATASET")
    parser.add_argument("-o", dest="folder", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--beside", type=Path)
    args = parser.parse_args(given)
    sets: list[tuple[str, Any]] = [tuple(one.split("=", 1)) for one in args.sets]
    args.folder.mkdir(parents=True, exist_ok=True)
    made = {
        name: [make(name, Path(data), args.folder, seed, options) for seed in range(args.seeds)]
        for name, data in sets
    }
    every = [*itertools.chain(*made.values()), *([args.beside] if args.beside else [])]
    took = milliseconds(every)
    print("| set | AUROC int8 | by seed | FRR % at 95 % recall | at 99 % | ms | KB | longest s |")
    print("|---|---|---|---|---|---|---|---|")
    for name, files in made.items():
        print(row(name, files, took, args.beside))
    return 0


_RAW = argparse.RawDescriptionHelpFormatter

if __name__ == "__main__":
    sys.exit(main())
