"""What decoding JPEGs at reduced scale changes, of model files that edge-convert made, as a table.

    python -m studies.parity_table solar=solar.tflite tiles=tiles.tflite …

Each conversion judged its test pictures both ways and wrote the figures into the file; here they
are only put side by side.
"""

import argparse
from pathlib import Path

from edge.inspection import load_model_file

_HEADINGS = (
    "set", "input", "test pictures", "concerned", "made into JPEGs", "verdicts that change",
    "largest change", "mean change", "golden that change", "the file says",
)  # fmt: skip


def row(name: str, path: Path) -> list[str]:
    """The cells of one model file. Ends the program when it has no such figures."""
    spec = load_model_file(path).spec
    found = None if spec is None else spec.quantisation.get("parity")
    if spec is None or found is None:
        raise SystemExit(f"{path}: says nothing of parity; convert it again")
    share = f" ({found['flips'] / found['concerned']:.2%})" if found["concerned"] else ""
    return [
        name,
        f"{spec.input.width}×{spec.input.height} {spec.input.colour}",
        f"{found['pictures']}",
        f"{found['concerned']}",
        f"{found['encoded']}",
        f"{found['flips']}{share}",
        f"{found['largest_score_change']:.4f}",
        f"{found['mean_score_change']:.5f}",
        f"{len(found['golden_flips'])}/{found['golden_concerned']}",
        spec.decoding,
    ]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", metavar="SET=FILE.tflite")
    print(f"| {' | '.join(_HEADINGS)} |")
    print("|---" * len(_HEADINGS) + "|")
    for given in parser.parse_args().files:
        name, _, path = given.partition("=")
        print(f"| {' | '.join(row(name, Path(path)))} |")


if __name__ == "__main__":
    main()
