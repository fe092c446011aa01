"""What decoding JPEGs at reduced scale changes when a camera has more pixels than the data set.

    python -m studies.parity_enlarged MODEL.tflite DATASET --times 1,2,4

The test pictures of the data set are enlarged (bicubic, with a sensor's noise of two grey levels),
made into JPEGs of quality 90 as a camera sends them, and judged whole and at reduced scale.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from edge.core.image import examine_picture, read_picture
from edge.core.view import ViewConfig
from edge.inspection import ViewCrop, load_inspector, reduction
from trainer.data import load_dataset

QUALITY, NOISE = 90, 2.0


def main() -> None:
    """Prints a row for each enlargement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--times", default="1,2,4")
    said = parser.parse_args()
    inspector = load_inspector(said.model)
    framing = ViewCrop(inspector.input.view or ViewConfig())
    samples = load_dataset(said.data, inspector.ok_label).of("test")
    print("| times | pictures | divided by | flips | largest change | mean change |")
    print("|---|---|---|---|---|---|")
    for times in map(int, said.times.split(",")):
        rng = np.random.default_rng(times)
        flips, changes, divisors = 0, [], set()
        for sample in samples:
            pixels = read_picture(sample.path)
            size = pixels.shape[1] * times, pixels.shape[0] * times
            large = cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)
            noisy = np.clip(large + rng.normal(0, NOISE, large.shape), 0, 255).astype(np.uint8)
            _, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            picture = examine_picture(data.tobytes(), sample.file)
            by = reduction(size[0], size[1], framing, inspector.input)
            if by == 1:
                continue
            divisors.add(by)
            found = []
            for divisor in (1, by):
                decoded, reduced = picture.decode(divisor)
                (cut,) = framing.cut(decoded, reduced).values()
                found.append(inspector.judge(inspector.prepare(cut, reduced)))
            changes.append(abs(found[1].score - found[0].score))
            flips += found[0].outcome != found[1].outcome
        share = f"{flips} ({flips / len(changes):.2%})" if changes else "0"
        largest = f"{max(changes):.4f} | {np.mean(changes):.5f}" if changes else "- | -"
        print(f"| {times} | {len(changes)} | {sorted(divisors)} | {share} | {largest} |")


if __name__ == "__main__":
    main()
