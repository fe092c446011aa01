"""What a training on a leaking set would have claimed, against what holds for parts it never saw.

    python -m studies.audit_claim DATASET [--seeds 0] [--network compact] [--epochs 12]
                                             [--share 0.1]

Copies of a share of the test pictures are put into train as tests.support.audit_planting does;
no label is flipped, and a network is trained with --allow-leaks. It is then judged three times: on
the whole test part (the claim), on test parts with a copy in train, and on those without (the
truth).
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np

from tests.support.audit_planting import SHARE_COPIED, plant
from trainer.cli.main import main as train
from trainer.data import load_dataset, load_pictures
from trainer.evaluation import auroc, auroc_interval
from trainer.networks import load_trained, scores


def claim(
    source: Path, folder: Path, seed: int, options: list[str], share: float
) -> dict[str, object]:
    """The three figures of one training, each with its 95 % interval over parts."""
    planted = plant(source, folder / "set", seed, flip=False, share=share)
    run = folder / "run"
    said = ["--allow-leaks", "--no-baseline", "--seed", str(seed), *options]
    code = train([str(folder / "set"), "-o", str(run), *said])
    model, spec = load_trained(run / "model.keras")
    if spec is None:
        sys.exit(f"{run}: the training left no model that says what it is (exit code {code})")
    samples = load_dataset(folder / "set").of("test")
    found = scores(model, spec, load_pictures(samples, spec.input, lambda *_: None))
    bad = np.array([sample.label != spec.ok_label for sample in samples])
    part = np.array([planted.part[sample.file] for sample in samples])
    leaking = np.isin(part, [planted.part[copy] for copy in planted.copies])
    figures: dict[str, object] = {"seed": seed, "copies": len(planted.copies)}
    for name, kept in (("claimed", leaking | True), ("leaking", leaking), ("true", ~leaking)):
        low, high = auroc_interval(found[kept], bad[kept], part[kept].tolist())
        figures[name] = {
            "pictures": int(kept.sum()),
            "auroc": round(auroc(found[kept], bad[kept]), 3),
            "interval": [round(low, 3), round(high, 3)],
        }
    return figures


def main() -> int:
    """Prints one JSON line a seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset", metavar="DATASET", type=Path)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--network", default="compact")
    parser.add_argument("--epochs", default="12")
    parser.add_argument("--share", type=float, default=SHARE_COPIED)
    args = parser.parse_args()
    options = ["--network", args.network, "--epochs", args.epochs]
    for seed in map(int, args.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(claim(args.dataset, Path(folder), seed, options, args.share)))
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
