"""Damages JPEGs of defects at random, in several forms, and counts what becomes of them.

    python -m tests.campaigns.damaged_pictures --count 10000 --paths 200
    python -m tests.campaigns.damaged_pictures DIR --model MODEL --count 10000

Without DIR it draws defects for the tests' model. Of the pictures in DIR it takes those to which
the model gives `fail`. For each kind of damage it prints:

- error: refused. 0 pictures that libjpeg reports may be judged, unless every pixel is right.
- same: judged, and every pixel is right. The damage is in a comment or behind the end.
- silent: judged with wrong pixels, because libjpeg decodes them without a word; and their verdicts.
- once: the verdicts `pass` of OpenCV's decoder, which does not tell what libjpeg reports.

`--paths` sends as many damages through every path that reads pictures: all must agree. Exit code 1
when a rule is broken.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from edge.core.errors import PictureError
from edge.core.image import decode_picture, examine_picture, is_picture_name, read_picture
from edge.core.view import ViewConfig
from edge.inspection import Inspector, load_inspector
from edge.inspection.view_crop import ViewCrop
from tests.campaigns.picture_paths import disagreements
from tests.support.jpegs import DAMAGES, EOI, FORMS, encode_jpeg

MODEL = Path(__file__).parents[1] / "models" / "redness.tflite"
_DRAWN, _MOST = 40, 300
_QUALITIES = (75, 90, 95)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Whole:
    """A JPEG of a defect, before it is damaged."""

    form: str
    data: bytes
    pixels: Pixels


def main() -> int:
    """Prints the tables. Exit code 1 when a rule is broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--paths", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    said = parser.parse_args()
    dice = random.Random(said.seed)
    inspector = load_inspector(said.model)
    pictures = drawn(said.seed) if said.folder is None else found(said.folder, dice)
    wholes = defects(pictures, inspector, dice)
    if not wholes:
        parser.error("the model gives `fail` to no picture")
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in DAMAGES}
    forms: dict[str, Counter[str]] = {whole.form: Counter() for whole in wholes}
    for number in range(said.count):
        kind = sorted(DAMAGES)[number % len(DAMAGES)]
        whole = dice.choice(wholes)
        result = tally(whole, DAMAGES[kind](whole.data, dice), inspector)
        counts[kind].update(result)
        forms[whole.form].update(result)
    kilobytes = sorted(len(whole.data) / 1000 for whole in wholes)
    print(
        f"{said.count} damages of {len(wholes)} JPEGs of defects "
        f"({kilobytes[0]:.1f} to {kilobytes[-1]:.1f} kB), seed {said.seed}"
    )
    show(counts)
    show(forms)
    wrong = sum(counter["wrong"] for counter in counts.values())
    print(f"judged with wrong pixels although libjpeg reports the damage: {wrong}")
    if said.paths:
        chosen = []
        for number in range(said.paths):
            whole = dice.choice(wholes)
            kind = sorted(DAMAGES)[number % len(DAMAGES)]
            chosen.append(DAMAGES[kind](whole.data, dice) if number % 10 else whole.data)
        wrong += disagreements(chosen, said.model)
    return 1 if wrong else 0


def drawn(seed: int) -> Iterator[Pixels]:
    """Parts with a red defect somewhere, large enough for `fail`."""
    rng = np.random.default_rng(seed)
    for _ in range(_DRAWN):
        height, width = int(rng.integers(15, 60)) * 8, int(rng.integers(20, 80)) * 8
        noise = rng.normal(0, 8, (height, width, 3)) + rng.integers(40, 120, (1, 1, 3))
        rows = round(height * float(rng.uniform(0.55, 0.9)))
        at = int(rng.integers(0, height - rows + 1))
        noise[at : at + rows, :, 2] += 190
        yield np.clip(noise, 0, 255).astype(np.uint8)


def found(folder: Path, dice: random.Random) -> Iterator[Pixels]:
    """The readable pictures of a folder, in random order."""
    paths = sorted(path for path in folder.rglob("*") if is_picture_name(path))
    dice.shuffle(paths)
    for path in paths:
        try:
            yield read_picture(path)
        except PictureError as error:
            print(error)


def defects(pictures: Iterator[Pixels], inspector: Inspector, dice: random.Random) -> list[Whole]:
    """JPEGs with the verdict `fail`, each in one form, at most 300."""
    wholes: list[Whole] = []
    for number, pixels in enumerate(pictures):
        form = sorted(FORMS)[number % len(FORMS)]
        data = encode_jpeg(pixels, *FORMS[form], quality=dice.choice(_QUALITIES))
        if verdict_of(data, inspector) == "fail":
            wholes.append(Whole(form, data, np.asarray(cv2.imdecode(_array(data), 1), np.uint8)))
        if len(wholes) == _MOST:
            break
    return wholes


def tally(whole: Whole, data: bytes, inspector: Inspector) -> Counter[str]:
    """One damage, counted under the names of the columns."""
    counts = Counter({"all": 1})
    reported, seen = _by_libjpeg(data)
    verdict = verdict_of(data, inspector)
    whole_once = EOI in data[-1024:]  # all that was asked of a JPEG's end
    if whole_once and seen is not None and judged(seen, inspector) == "pass":
        counts["once"] += 1
    if verdict == "error":
        counts["error"] += 1
    elif np.array_equal(decode_picture(data, "a.jpg"), whole.pixels):
        counts["same"] += 1
    elif reported:
        counts["wrong"] += 1
    else:
        counts.update({"silent": 1, verdict: 1})
    return counts


def verdict_of(data: bytes, inspector: Inspector) -> str:
    """The verdict of the product on a JPEG."""
    try:
        pixels, reduced = inspector.decode(examine_picture(data, "a.jpg"), _crop(inspector))
    except PictureError:
        return "error"
    return judged(pixels, inspector, reduced)


def judged(pixels: Pixels, inspector: Inspector, reduced: int = 1) -> str:
    """The verdict on pixels."""
    (region,) = _crop(inspector).cut(pixels, reduced).values()
    return inspector.judge(inspector.prepare(region)).outcome


def show(counts: dict[str, Counter[str]]) -> None:
    """A line for each kind, and the sum."""
    names = ("all", "error", "same", "silent", "fail", "review", "pass", "once")
    print(f"\n{'':20}" + "".join(f"{name:>8}" for name in names))
    total: Counter[str] = Counter()
    for kind, counter in counts.items():
        total.update(counter)
        print(f"{kind:20}" + "".join(f"{counter[name]:8}" for name in names))
    print(f"{'sum':20}" + "".join(f"{total[name]:8}" for name in names))
    print(
        f"{'share':20}" + "".join(f"{total[name] / max(1, total['all']):8.1%}" for name in names),
        flush=True,
    )


def _crop(inspector: Inspector) -> ViewCrop:
    return ViewCrop(inspector.input.view or ViewConfig())


def _by_libjpeg(data: bytes) -> tuple[bool, Pixels | None]:
    """Whether libjpeg reports damage, and the pixels that it makes nevertheless."""
    try:
        simplejpeg.decode_jpeg(data, "BGR", strict=True)
    except ValueError:
        reported = True
    else:
        reported = False
    try:
        return reported, np.asarray(simplejpeg.decode_jpeg(data, "BGR", strict=False), np.uint8)
    except (ValueError, MemoryError):
        return True, None


def _array(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


if __name__ == "__main__":
    sys.exit(main())
