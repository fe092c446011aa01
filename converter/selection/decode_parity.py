"""Whether JPEGs decoded at reduced scale get the same verdicts: the same bytes judged both ways.

What the model file then allows, a box does; see edge/inspection/scaled_decode.py for the rule.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.core.errors import DatasetError, PictureError
from edge.core.frame import Pixels
from edge.core.image import EncodedPicture, examine_picture, open_picture
from edge.core.terms import Decoding
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

MOST_FLIPS = 0.005  # of the verdicts concerned
LEAST_CONCERNED = 100  # fewer pictures say nothing of half a percent
QUALITY = 95  # of the JPEG that a picture becomes which is none

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class DecodedPair:
    """A test picture whose verdict depends on how it is decoded: prepared from the whole JPEG, and
    from the JPEG at reduced scale; both uint8, `input.shape`."""

    file: str
    whole: Pixels
    reduced: Pixels


@dataclass(frozen=True, slots=True)
class DecodeParity:
    """What reduced decoding changes. `concerned` of `pictures` are large enough to be reduced;
    `encoded` of them were no JPEGs and became some. `flips` are moves between any of the three
    verdicts; changes are of scores, 0 to 1. `golden_flips` names golden pictures that flip.
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
        """What the model file may say: reduced only where it was seen to change next to nothing."""
        few = len(self.flips) <= MOST_FLIPS * self.concerned
        many = self.concerned >= LEAST_CONCERNED
        return "reduced" if many and few and not self.golden_flips else "whole"

    def as_json(self) -> dict[str, Any]:
        """For inspection.json."""
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
    """A finished model as its file describes it. `scores` gives P(defective), float64, (n,), of
    pictures, uint8, (n, *input.shape)."""

    input: InputSpec
    thresholds: Thresholds
    scores: Callable[[Pixels], NDArray[np.float64]]


def measure_parity(
    judge: ParityModel, samples: Sequence[Sample], golden: dict[str, bytes], progress: Progress
) -> DecodeParity:
    """Judges test pictures and golden pictures both ways; tells `progress` how many are done.

    `golden` are encoded pictures by name. Raises DatasetError when a picture has gone since it was
    read.
    """
    test = _Tally()
    for at in range(0, len(samples), BATCH):
        test.add(judge, _read(samples[at : at + BATCH]))
        progress(min(at + BATCH, len(samples)), len(samples))
    travelling = _Tally()
    travelling.add(judge, [examine_picture(data, name) for name, data in golden.items()])
    return DecodeParity(
        pictures=len(samples),
        concerned=len(test.changes),
        encoded=test.encoded,
        flips=tuple(test.flips),
        largest_change=max(test.changes, default=0.0),
        mean_change=sum(test.changes) / max(1, len(test.changes)),
        golden_concerned=len(travelling.changes),
        golden_flips=tuple(travelling.flips),
    )


@dataclass(slots=True)
class _Tally:
    """What was found so far: of the pictures that are reduced, one change of score each."""

    flips: list[str] = field(default_factory=list)
    changes: list[float] = field(default_factory=list)
    encoded: int = 0

    def add(self, judge: ParityModel, pictures: Iterable[EncodedPicture]) -> None:
        """Judges these both ways."""
        ways, framing = [], ViewCrop(judge.input.view or ViewConfig())
        for picture in pictures:
            way = decode_both_ways(as_jpeg(picture), judge.input, framing)
            if way is not None:
                ways.append(way)
                self.encoded += picture.header.kind != "JPEG"
        if not ways:
            return
        whole = judge.scores(np.stack([way.whole for way in ways]))
        reduced = judge.scores(np.stack([way.reduced for way in ways]))
        at = judge.thresholds
        for way, old, new in zip(ways, whole.tolist(), reduced.tolist()):
            self.changes.append(abs(new - old))
            if decide(old, at) != decide(new, at):
                self.flips.append(way.file)


def _read(samples: Sequence[Sample]) -> Iterator[EncodedPicture]:
    for sample in samples:
        try:
            yield replace(open_picture(sample.path), name=sample.file)
        except PictureError as error:
            raise DatasetError(f"{error}; it was there when it was judged first") from error


def decode_both_ways(
    picture: EncodedPicture, spec: InputSpec, framing: ViewCrop
) -> DecodedPair | None:
    """The two ways of one JPEG; None when it is not reduced for this model. `framing` is of the
    recipe's view. Raises PictureError."""
    divisor = reduction(picture.header.width, picture.header.height, framing, spec)
    pixels, reduced = picture.decode(divisor)
    if reduced == 1:
        return None
    (cut,) = framing.cut(pixels, reduced).values()
    quick = to_model_input(cut, spec, reduced=reduced)
    return DecodedPair(picture.name, preprocess(picture.decode()[0], spec), quick)


def as_jpeg(picture: EncodedPicture) -> EncodedPicture:
    """The picture itself when it is a JPEG, else one of its pixels, of quality 95."""
    if picture.header.kind == "JPEG":
        return picture
    _, data = cv2.imencode(".jpg", picture.decode()[0], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return examine_picture(data.tobytes(), picture.name)
