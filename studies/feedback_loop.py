"""Measures the way from wrong verdicts to a better model, with the commands that a plant uses.

    python -m studies.feedback_loop DATASET -o DIR [--wrong 100] [--seeds 3] [--pool 0.5]
        [-- options of edge-train in step 5, by default --network pretrained --frozen]

1. The parts of train/ are divided: one half stays the old data set, the others are the pool. The
   test set is untouched: no step before the last one sees it.
2. The old data set gives a weak model, the plain CNN. A box (`edge-inspect run`, with its archive
   and an embedded broker) judges each picture of the pool.
3. `--wrong` wrong verdicts, drawn at random, get their true label (`edge-inspect label`): defects
   that pass, good parts that fail or go to review.
4. `edge-inspect export --labelled` makes the new data set. `replay:` gives file names as part ids,
   so its groups are replaced by those of DATASET, which a trigger's part id would give.
5. `edge-train old --seeds N` and `edge-train old new --test-from old --seeds N` are compared on the
   untouched test set, seed by seed, and all seeds together.

Writes DIR/result.json. DIR keeps everything, and a stopped study goes on there.
"""

import argparse
import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data import load_dataset
from trainer.data.manifest import MANIFEST
from trainer.data.split import choose_groups
from trainer.evaluation import auroc, thresholds_for
from trainer.evaluation.finalize import ScoredPicture
from trainer.report.run_comparison import compare_runs
from trainer.report.run_data import read_run_data

RESAMPLES = 2000
WAIT_S = 1800.0
CONFIG = """\
station: study
model: {{path: model.tflite}}
cameras: [{{id: top, source: "replay:pool", rate: 4}}]
mqtt: {{host: 127.0.0.1, port: {port}, embedded: true}}
outbox: {{path: state/outbox.db}}
archive:
  {{enabled: true, path: state/archive, keep: [pass, review, fail, error], max_mb: 4096}}
decision: {{reject_at: {reject_at}, review_from: {review_from}}}
"""
WEAK = ("--network", "baseline")
USUAL = ("--network", "pretrained", "--frozen", "--no-baseline")


def divide(dataset: Path, folder: Path, share: float) -> dict[str, str]:
    """Writes folder/old and folder/box/pool; returns the true label of each picture of the pool."""
    data = load_dataset(dataset)
    ok_first = data.labels
    learned = [sample for sample in data.samples if sample.file.split("/")[0] != "test"]
    groups = sorted({sample.group for sample in learned})
    counts = np.zeros((len(groups), len(ok_first)), np.int64)
    for sample in learned:
        counts[groups.index(sample.group), ok_first.index(sample.label)] += 1
    in_pool = {group for group, cut in zip(groups, choose_groups(counts, share, 0)) if cut}
    truth: dict[str, str] = {}
    rows = []
    for sample in data.samples:
        if sample.file.split("/")[0] != "test" and sample.group in in_pool:
            name = Path(sample.file).name
            truth[name] = sample.label
            target = folder / "box" / "pool" / name
        else:
            target = folder / "old" / sample.file
            rows.append((sample.file, sample.label, sample.group))
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(sample.path, target)
    with (folder / "old" / MANIFEST).open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("file", "label", "group"), *rows])
    return truth


def command(*words: str, cwd: Path | None = None, codes: tuple[int, ...] = (0,)) -> str:
    """Runs `python -m WORDS` and returns its output; raises SystemExit for another exit code."""
    print("$ python -m", " ".join(words), flush=True)
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode not in codes:
        raise SystemExit(f"exit code {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr}")
    return done.stdout


def judge(box: Path, run: Path, pictures: int, port: int) -> list[dict[str, Any]]:
    """Runs the daemon until it has judged and kept the whole pool; returns its verdicts.

    The thresholds come from the validation set of `run`: a model that has not learned has none.
    """
    rows = read_run_data(run).validation
    at = thresholds_for([row.score for row in rows], [row.label != "ok" for row in rows])
    text = CONFIG.format(port=port, reject_at=at.reject_at, review_from=at.review_from)
    (box / "config.yaml").write_text(text, encoding="utf-8")
    log = (box / "daemon.log").open("w", encoding="utf-8")
    daemon = subprocess.Popen(
        [sys.executable, "-m", "edge", "run", "-c", "config.yaml"], cwd=box, stderr=log
    )
    try:
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until and daemon.poll() is None:
            if len(verdicts(box)) >= pictures:
                break
            time.sleep(2)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)
        log.close()
    return verdicts(box)


def verdicts(box: Path) -> list[dict[str, Any]]:
    """What the box remembers, oldest first."""
    done = subprocess.run(
        [sys.executable, "-m", "edge", "history", "--json", "--limit", "0"],
        cwd=box,
        capture_output=True,
        text=True,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return sorted(found, key=lambda one: int(one["seq"]))


def wrong_ones(
    found: list[dict[str, Any]], truth: dict[str, str], ok_label: str = "ok"
) -> list[tuple[str, str, str]]:
    """Id, verdict and true label of each wrong verdict."""
    wrong = []
    for one in found:
        label = truth[Path(one["part"]).name]
        verdict = one["verdict"]
        if verdict != "error" and (verdict == "pass") == (label != ok_label):
            wrong.append((one["id"], verdict, label))
    return wrong


def label(box: Path, wrong: list[tuple[str, str, str]]) -> None:
    """Labels them by the command, one call for each label."""
    for name in sorted({one[2] for one in wrong}):
        ids = [one[0] for one in wrong if one[2] == name]
        command("edge", "label", *ids, name, "--by", "study", cwd=box)


def give_parts(new: Path, dataset: Path) -> None:
    """Writes the groups of `dataset` into the manifest of the export."""
    group = {Path(sample.file).name: sample.group for sample in load_dataset(dataset).samples}
    with (new / MANIFEST).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    with (new / MANIFEST).open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("file", "label", "group"))
        for row in rows:
            part = Path(row["group"].partition("/part/")[2]).name
            table.writerow((row["file"], row["label"], group[part]))


def seed_runs(run: Path, seeds: int) -> list[Path]:
    """The folders of all seeds of a run."""
    return [run, *(run / "seeds" / str(seed) for seed in range(1, seeds))]


def difference_over_seeds(pairs: list[tuple[Path, Path]]) -> dict[str, Any]:
    """The mean gain of AUROC, with its 95 % interval by a bootstrap over parts and seeds."""
    tests = [(_by_content(first), _by_content(second)) for first, second in pairs]
    order = sorted(tests[0][0])
    bad = np.array([tests[0][0][key].label != "ok" for key in order])
    names, member = np.unique([tests[0][0][key].group for key in order], return_inverse=True)
    scores = np.array([[[side[key].score for key in order] for side in pair] for pair in tests])
    rows = [np.flatnonzero(member == at) for at in range(len(names))]
    rng = np.random.default_rng(0)
    gains: list[float] = []
    while len(gains) < RESAMPLES:
        picked = np.concatenate([rows[at] for at in rng.integers(0, len(names), len(names))])
        if bad[picked].all() or not bad[picked].any():
            continue
        seeds = rng.integers(0, len(pairs), len(pairs))
        one = [_gain(scores[seed][:, picked], bad[picked]) for seed in seeds]
        gains.append(float(np.mean(one)))
    low, high = np.percentile(gains, (2.5, 97.5))
    by_seed = [_gain(one, bad) for one in scores]
    return {
        "by_seed": by_seed,
        "mean": float(np.mean(by_seed)),
        "interval": [float(low), float(high)],
        "old": [auroc(one[0], bad) for one in scores],
        "new": [auroc(one[1], bad) for one in scores],
    }


def audited(run: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """The leaks that the audit of a run left in, and the test pictures that it set aside."""
    found = read_run_data(run).spec.data["audit"]
    set_aside = set(found["set_aside"])
    left = [one for one in found["leaking"] if not {one["file"], one["twin"]} & set_aside]
    return left, sorted(set_aside)


def _by_content(run: Path) -> dict[str, ScoredPicture]:
    return {row.sha256: row for row in read_run_data(run).test}


def _gain(scores: NDArray[np.float64], bad: NDArray[np.bool_]) -> float:
    return auroc(scores[1], bad) - auroc(scores[0], bad)


def main() -> int:
    """Runs the study. Returns 1 when a part stands on both sides."""
    given, options = sys.argv[1:], list(USUAL)
    if "--" in given:
        at = given.index("--")
        given, options = given[:at], given[at + 1 :]
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("-o", dest="folder", type=Path, required=True)
    parser.add_argument("--wrong", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pool", type=float, default=0.5, help="share of the training parts")
    parser.add_argument("--port", type=int, default=18_930)
    args = parser.parse_args(given)
    folder: Path = args.folder.resolve()
    box, old, new = folder / "box", folder / "old", folder / "new"
    truth = divide(args.dataset, folder, args.pool)
    seeds = ("--seeds", str(args.seeds)) if args.seeds > 1 else ()
    weak, before, after = (folder / f"run-{name}" for name in ("weak", "old", "new"))
    if not (weak / "report.html").exists():
        command("trainer", str(old), "-o", str(weak), *WEAK, codes=(0, 1))
    if not (box / "model.tflite").exists():
        files = ("--data", str(old), "-o", str(box / "model.tflite"), "--allow-unlearned")
        command("converter", str(weak / "model.keras"), *files)
    if not new.exists():
        found = judge(box, weak, len(truth), args.port)
        wrong = wrong_ones(found, truth)
        order = np.random.default_rng(0).permutation(len(wrong))
        wrong = [wrong[at] for at in sorted(order[: args.wrong])]
        label(box, wrong)
        print(command("edge", "export", "-o", str(new), "--labelled", cwd=box))
        give_parts(new, args.dataset)
        (folder / "wrong.json").write_text(json.dumps({"judged": len(found), "wrong": wrong}))
    if not (before / "report.html").exists():
        command("trainer", str(old), "-o", str(before), *seeds, *options, codes=(0, 1))
    if not (after / "report.html").exists():
        test = ("--test-from", str(old))
        command(
            "trainer", str(old), str(new), "-o", str(after), *test, *seeds, *options, codes=(0, 1)
        )
    pairs = list(zip(seed_runs(before, args.seeds), seed_runs(after, args.seeds)))
    for first, second in pairs:
        print(compare_runs(first, second).as_text(), "\n", flush=True)
    leaks, set_aside = audited(after)
    result = {
        **json.loads((folder / "wrong.json").read_text()),
        "pool": len(truth),
        "counts": load_dataset(after / "data").counts(),
        "auroc": difference_over_seeds(pairs),
        "figures": [compare_runs(*pair).as_json()["figures"] for pair in pairs],
        "set_aside": set_aside,
        "leaks": leaks,
    }
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["auroc"], indent=1), f"\nset aside: {set_aside}")
    print(f"{len(leaks)} pairs of pictures show a part on both sides")
    return int(bool(leaks))


if __name__ == "__main__":
    sys.exit(main())
