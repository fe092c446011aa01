"""A quantised model judged on the data set: thresholds, comparison with float, golden pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.compare import Comparison, compare, flipped
from converter.golden import GoldenFile, choose_golden, golden_files
from converter.scores import BoxModel, Recipe, installed_runtimes
from converter.source import Source
from edge.inspection.decision import Thresholds
from edge.inspection.modelfile import GoldenPicture
from edge.inspection.preprocess import preprocess
from edge.picture import decode_picture
from trainer.dataset import Dataset, Sample
from trainer.metrics import Evaluation, evaluate
from trainer.pictures import load_pictures
from trainer.thresholds import thresholds_for
from trainer.wish import Wish

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found out about a quantised model. `thresholds` go into the file.

    Both evaluations are of the test part at these thresholds; `float_thresholds` are what the
    float model would have got. `golden_flips` names golden pictures on which float and int8 say
    pass and fail. `runtime_difference` is the largest score difference between `runtimes`, None
    when only one is installed. `milliseconds` is the median of an inference on this machine.
    """

    thresholds: Thresholds
    float_thresholds: Thresholds
    compared: Comparison
    int8: Evaluation
    float32: Evaluation
    golden: tuple[GoldenPicture, ...]
    golden_files: dict[str, bytes]
    golden_flips: tuple[str, ...]
    runtimes: tuple[str, ...]
    runtime_difference: float | None
    milliseconds: float

    def as_json(self) -> dict[str, Any]:
        """Float against int8, for inspection.json; no times, they differ from run to run."""
        return {
            "compared": self.compared.as_json(),
            "float_metrics": self.float32.as_json(),
            "float_thresholds": self.float_thresholds.model_dump(mode="json"),
            "runtimes": list(self.runtimes),
            "runtime_difference": self.runtime_difference,
        }


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two models side by side, each giving P(defective), float64, (n,)."""

    before: Callable[[NDArray[np.uint8]], Scores]
    after: Callable[[NDArray[np.uint8]], Scores]


def judge(source: Source, dataset: Dataset, tflite: bytes) -> Judged:
    """Judges a bare .tflite against the float model that it was made from.

    Thresholds are chosen on the converted model's own scores, on the validation part; everything
    else is measured on the test part. Raises ModelError when a runtime cannot load the model,
    DatasetError when pictures are missing.
    """
    spec = source.spec
    recipe = Recipe(spec.labels, spec.ok_label, source.converted_output)
    runtimes = installed_runtimes()
    boxes = [BoxModel(tflite, source.file, runtime, recipe) for runtime in runtimes]
    pair = _Pair(
        before=lambda pictures: recipe.scores(source.probabilities(pictures)),
        after=boxes[0].scores,
    )

    validation = dataset.of("validation")
    pictures = load_pictures(validation, source.input)
    bad = _defective(validation, spec.ok_label)
    wish = Wish.from_json(spec.training.get("wish"))
    thresholds = thresholds_for(pair.after(pictures), bad, wish)
    float_thresholds = thresholds_for(pair.before(pictures), bad, wish)

    test = dataset.of("test")
    pictures = load_pictures(test, source.input)
    before, after = pair.before(pictures), pair.after(pictures)
    others = [box.scores(pictures) for box in boxes[1:]]
    labels, groups = [sample.label for sample in test], [sample.group for sample in test]
    chosen = choose_golden(after, labels, thresholds)
    files = golden_files([test[at] for at in chosen], source.input)
    golden, golden_flips = _judge_golden(source, pair, files, thresholds)
    return Judged(
        thresholds=thresholds,
        float_thresholds=float_thresholds,
        compared=compare(
            [sample.file for sample in test],
            before,
            after,
            _defective(test, spec.ok_label),
            thresholds,
        ),
        int8=evaluate(after, labels, groups, thresholds, spec.ok_label, wish=wish),
        float32=evaluate(before, labels, groups, thresholds, spec.ok_label, wish=wish),
        golden=golden,
        golden_files={file.name: file.content for file in files},
        golden_flips=golden_flips,
        runtimes=runtimes,
        runtime_difference=max(float(np.abs(s - after).max()) for s in others) if others else None,
        milliseconds=boxes[0].milliseconds,
    )


def _defective(samples: Sequence[Sample], ok_label: str) -> NDArray[np.bool_]:
    return np.array([sample.label != ok_label for sample in samples])


def _judge_golden(
    source: Source, pair: _Pair, files: Sequence[GoldenFile], at: Thresholds
) -> tuple[tuple[GoldenPicture, ...], tuple[str, ...]]:
    """The entries, with the scores of the files as they travel, and the names that flip."""
    pictures = np.stack(
        [preprocess(decode_picture(file.content, file.name), source.input) for file in files]
    )
    before, after = pair.before(pictures), pair.after(pictures)
    entries = tuple(
        GoldenPicture(file=file.name, label=file.label, score=float(score))
        for file, score in zip(files, after)
    )
    flips = tuple(
        file.name
        for file, old, new in zip(files, before, after)
        if flipped(float(old), float(new), at)
    )
    return entries, flips
