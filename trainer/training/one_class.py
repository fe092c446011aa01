"""`--network one-class`: trains a model on good parts only, for plants with hardly any defects.

The model learns to separate good parts from the same parts with painted defects. All real defects
are in the test set: they measure the model, and it never learns from them.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import DatasetError
from edge.core.view import ViewConfig
from trainer.core import Display, keras, tensorflow
from trainer.data import LabelledArrays
from trainer.data.arrays import load_sets
from trainer.data.augment import NONE
from trainer.data.synthetic_defects import paint
from trainer.networks import HEAD, build_network, input_of
from trainer.training.candidate_run import CandidateRun, RunContext
from trainer.training.logistic import LinearHead, fit_logistic
from trainer.training.preview import write_preview
from trainer.training.settings import TrainingSettings

NETWORK = "one-class"
DEFAULT_SIDE = 224  # pixels
BATCH = 32
PAINTED_COPIES = 2  # of each good picture
MIN_GOOD_PICTURES = 20  # in the train set
MEDIAN_SCORE = 0.05  # of the good parts
SHARE_BELOW_HALF = 0.99  # of the good parts score below 0.5

Floats = NDArray[np.float64]


def one_class_settings(
    seed: int,
    side: int | None,
    region: tuple[float, float, float, float] | None = None,
    view: ViewConfig | None = None,
) -> TrainingSettings:
    """Settings without tuning: only the last layer is fitted to ImageNet's features."""
    return TrainingSettings(
        network=NETWORK,
        epochs=0,
        seed=seed,
        side=side or DEFAULT_SIDE,
        tune=False,
        variations=NONE,
        view=view,
        region=region,
    )


def run_one_class(
    context: RunContext, settings: TrainingSettings, version: str, display: Display
) -> CandidateRun:
    """Trains on the good parts of train; those of validation set the scale of the scores.

    Raises MissingPartError without the package of the weights, DatasetError for too few pictures.
    """
    started = time.monotonic()
    spec = input_of("pretrained", settings.side).replace(view=settings.view, region=settings.region)
    display.say(f"network        {settings.network}, {spec.width} px, from good parts only")
    sets = load_sets(context.data, context.fingerprint, spec, context.folder, display.reading)
    good = sets["train"]
    if len(good.classes) < MIN_GOOD_PICTURES:
        raise DatasetError(
            f"{context.data.root}: {len(good.classes)} good pictures to learn from, at least "
            f"{MIN_GOOD_PICTURES} are needed; add good parts"
        )
    preview = context.folder / f"{version}.png"
    write_preview(
        preview,
        good,
        context.data.labels,
        settings.variations,
        settings.seed,
        vary=_painter(good),
    )
    keras().utils.set_random_seed(settings.seed)
    tensorflow().config.experimental.enable_op_determinism()
    model = build_network("pretrained", 2, spec)
    features = _Features(model)
    linear = _fit_head(features, good, settings.seed)
    set_head(model, linear, log_odds(linear, features.of(sets["validation"].pictures)))
    return CandidateRun(
        settings=settings,
        input=spec,
        reasons=(),
        model=model,
        history=(),
        sets=sets,
        auroc=0.0,  # validation has no defects
        recall=0.0,
        false_reject=0.0,
        milliseconds=None,
        preview=preview,
        seconds=time.monotonic() - started,
    )


def log_odds(linear: LinearHead, features: Floats) -> Floats:
    """Log-odds of a defect, (n,), of features, (n, d)."""
    logits = linear.logits(features)
    return np.asarray(logits[:, 1] - logits[:, 0])


def scale_of(odds: Floats) -> tuple[float, float]:
    """Factor and offset that scale the log-odds, (n,), of good parts outside the train set.

    Half of them then score below 0.05, and 99 % below 0.5. The scale of the fit itself is about
    painted defects and means nothing for real ones.
    """
    median, high = np.quantile(odds, [0.5, SHARE_BELOW_HALF])
    median_logit = float(np.log(MEDIAN_SCORE / (1 - MEDIAN_SCORE)))
    factor = -median_logit / max(float(high - median), 1e-6)
    return factor, -factor * float(high)


def set_head(model: Any, linear: LinearHead, held_out: Floats) -> None:
    """Writes the fit into the last layer, scaled by `held_out`, log-odds of good parts, (n,)."""
    factor, offset = scale_of(held_out)
    slope = (linear.kernel[:, 1] - linear.kernel[:, 0]) / linear.deviation
    bias = linear.bias[1] - linear.bias[0] - linear.mean @ slope
    kernel = np.stack([np.zeros_like(slope), factor * slope], axis=1)
    model.get_layer(HEAD).set_weights([kernel, np.array([0.0, factor * bias + offset])])


def _painter(good: LabelledArrays) -> Callable[[NDArray[np.uint8], np.random.Generator], Any]:
    """A function that paints defects on pictures, with pieces of random good ones."""

    def painted(pictures: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        rows = np.sort(rng.integers(len(good.classes), size=len(pictures)))
        return paint(pictures, good.pictures[rows], rng)

    return painted


def _fit_head(features: "_Features", good: LabelledArrays, seed: int) -> LinearHead:
    """Logistic regression of good pictures against painted ones."""
    rng, painted = np.random.default_rng(seed), _painter(good)
    found = [features.of(good.pictures)]
    found += [
        features.of(good.pictures, lambda pictures: painted(pictures, rng))
        for _ in range(PAINTED_COPIES)
    ]
    n = len(good.classes)
    groups = good.groups if good.groups is not None else np.arange(n)
    classes = np.repeat([0, 1], [n, PAINTED_COPIES * n])
    linear, _strength, _area = fit_logistic(
        np.concatenate(found), classes, np.tile(groups, PAINTED_COPIES + 1), 2, seed
    )
    return linear


class _Features:
    """Computes the features before the head of a model, in batches."""

    def __init__(self, model: Any) -> None:
        body = keras().Model(model.input, model.get_layer(HEAD).input)
        self._infer = tensorflow().function(lambda pixels: body(pixels, training=False))

    def of(
        self,
        pictures: NDArray[np.uint8],
        change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = lambda batch: batch,
    ) -> Floats:
        """Features, float64, (n, d), of pictures, uint8, (n, height, width, channels).

        `change` varies the pictures of a batch first.
        """
        rows = [
            np.asarray(self._infer(change(pictures[at : at + BATCH]).astype(np.float32)))
            for at in range(0, len(pictures), BATCH)
        ]
        return np.concatenate(rows).astype(np.float64)
