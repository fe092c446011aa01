"""Checks whether JPEGs decoded at reduced scale get the same verdicts as whole ones.

The result decides whether the model file allows reduced decoding on the box. The rule is in
edge/inspection/scaled_decode.py.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.errors import DatasetError, PictureError
from edge.core.image import EncodedPicture, examine_picture, open_picture
from edge.core.terms import Decoding, Pixels
from edge.core.view import ViewConfig
from edge.inspection import (
    InputSpec,
    Thresholds,
    ViewCrop,
    decide,
    preprocess,
    reduction,
    to_model_input,
)
from trainer.data import Sample
from trainer.data.pictures import BATCH

MAX_FLIP_SHARE = 0.005  # share of the concerned pictures whose verdict may change
MIN_CONCERNED = 100  # fewer pictures cannot show half a percent
JPEG_QUALITY = 95  # for test pictures that are no JPEGs

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class DecodedPair:
    """The model input from a whole JPEG and from the same JPEG at reduced scale.

    Both are uint8, `input.shape`.
    """

    file: str
    whole: Pixels
    reduced: Pixels


@dataclass(frozen=True, slots=True)
class DecodeParity:
    """The effect of reduced decoding on the test set.

    - `concerned`: the number of pictures that are large enough to be reduced.
    - `encoded`: of these, the number that were no JPEGs and were encoded as JPEG.
    - `flips`, `golden_flips`: the pictures whose verdict changes.
    - `largest_change`, `mean_change`: of scores, 0 to 1.
    """

    pictures: int
    concerned: int
    encoded: int
    flips: tuple[str, ...]
    largest_change: float
    mean_change: float
    golden_concerned: int
    golden_flips: tuple[str, ...]

    @property
    def decoding(self) -> Decoding:
        """The decoding that the model file allows: reduced only if it changes almost no verdict."""
        few_flips = len(self.flips) <= MAX_FLIP_SHARE * self.concerned
        enough_pictures = self.concerned >= MIN_CONCERNED
        return "reduced" if enough_pictures and few_flips and not self.golden_flips else "whole"

    def as_json(self) -> dict[str, Any]:
        """The figures, for inspection.json."""
        return {
            "pictures": self.pictures,
            "concerned": self.concerned,
            "encoded": self.encoded,
            "flips": len(self.flips),
            "largest_score_change": round(self.largest_change, 6),
            "mean_score_change": round(self.mean_change, 6),
            "golden_concerned": self.golden_concerned,
            "golden_flips": list(self.golden_flips),
            "decoding": self.decoding,
        }


@dataclass(frozen=True, slots=True)
class ParityModel:
    """The finished model, as its file describes it.

    `scores` maps pictures, uint8, (n, *input.shape), to P(defective), float64, (n,).
    """

    input: InputSpec
    thresholds: Thresholds
    scores: Callable[[Pixels], NDArray[np.float64]]


def measure_parity(
    model: ParityModel, samples: Sequence[Sample], golden: dict[str, bytes], progress: Progress
) -> DecodeParity:
    """Judges test and golden pictures from whole and from reduced JPEGs.

    `golden` maps names to encoded pictures. `progress` gets the number of finished pictures and
    the total. Raises DatasetError when a picture no longer exists.
    """
    test = _Tally()
    for at in range(0, len(samples), BATCH):
        test.add(model, _read(samples[at : at + BATCH]))
        progress(min(at + BATCH, len(samples)), len(samples))
    golden_tally = _Tally()
    golden_tally.add(model, [examine_picture(data, name) for name, data in golden.items()])
    return DecodeParity(
        pictures=len(samples),
        concerned=len(test.changes),
        encoded=test.encoded,
        flips=tuple(test.flips),
        largest_change=max(test.changes, default=0.0),
        mean_change=sum(test.changes) / max(1, len(test.changes)),
        golden_concerned=len(golden_tally.changes),
        golden_flips=tuple(golden_tally.flips),
    )


@dataclass(slots=True)
class _Tally:
    """The results so far: one score change for each picture that was reduced."""

    flips: list[str] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    encoded: int = 0

    def add(self, model: ParityModel, pictures: Iterable[EncodedPicture]) -> None:
        """Judges `pictures` from whole and from reduced JPEGs."""
        pairs, crop = [], ViewCrop(model.input.view or ViewConfig())
        for picture in pictures:
            pair = decode_both_ways(as_jpeg(picture), model.input, crop)
            if pair is not None:
                pairs.append(pair)
                self.encoded += picture.header.kind != "JPEG"
        if not pairs:
            return
        whole = model.scores(np.stack([pair.whole for pair in pairs]))
        reduced = model.scores(np.stack([pair.reduced for pair in pairs]))
        at = model.thresholds
        for pair, old, new in zip(pairs, whole.tolist(), reduced.tolist()):
            self.changes.append(abs(new - old))
            if decide(old, at) != decide(new, at):
                self.flips.append(pair.file)


def _read(samples: Sequence[Sample]) -> Iterator[EncodedPicture]:
    for sample in samples:
        try:
            yield replace(open_picture(sample.path), name=sample.file)
        except PictureError as error:
            raise DatasetError(f"{error}; it existed at the start of the conversion") from error


def decode_both_ways(
    picture: EncodedPicture, spec: InputSpec, crop: ViewCrop
) -> DecodedPair | None:
    """The two inputs from one JPEG, or None when this model does not reduce it.

    `crop` is the crop of the model's view. Raises PictureError.
    """
    divisor = reduction(picture.header.width, picture.header.height, crop, spec)
    pixels, reduced = picture.decode(divisor)
    if reduced == 1:
        return None
    (cut,) = crop.cut(pixels, reduced).values()
    quick = to_model_input(cut, spec, reduced=reduced)
    return DecodedPair(picture.name, preprocess(picture.decode()[0], spec), quick)


def as_jpeg(picture: EncodedPicture) -> EncodedPicture:
    """The picture itself if it is a JPEG, else its pixels as a JPEG of quality 95."""
    if picture.header.kind == "JPEG":
        return picture
    _, data = cv2.imencode(".jpg", picture.decode()[0], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return examine_picture(data.tobytes(), picture.name)
