"""`--network one-class`: a model from good parts only, for plants that have hardly any defects.

It learns to tell good parts from the same with painted defects. The few real defects there are all
stand in test: they show what it finds, and are never learned from.
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
SIDE = 224
BATCH = 32
PAINTED_COPIES = 2  # times each good picture is painted on
MIN_GOOD_PICTURES = 20  # good pictures to learn from
USUAL_SCORE = 0.05  # what half of the good parts score less than
DOUBTFUL_SHARE = 0.99  # of the good parts score below 0.5

Floats = NDArray[np.float64]


def one_class_settings(
    seed: int,
    side: int | None,
    region: tuple[float, float, float, float] | None = None,
    view: ViewConfig | None = None,
) -> TrainingSettings:
    """Nothing is tuned: the features are ImageNet's, only the last layer is fitted."""
    return TrainingSettings(
        network=NETWORK,
        epochs=0,
        seed=seed,
        side=side or SIDE,
        tune=False,
        variations=NONE,
        view=view,
        region=region,
    )


def run_one_class(
    context: RunContext, settings: TrainingSettings, version: str, display: Display
) -> CandidateRun:
    """Learns from the good parts of train; its scale comes from those of validation.

    Raises MissingPartError without the package of the weights, DatasetError for too few pictures.
    """
    started = time.monotonic()
    wanted = input_of("pretrained", settings.side).replace(
        view=settings.view, region=settings.region
    )
    display.say(f"network        {settings.network}, {wanted.width} px, from good parts only")
    sets = load_sets(context.data, context.fingerprint, wanted, context.folder, display.reading)
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
        vary=_painted_on(good),
    )
    keras().utils.set_random_seed(settings.seed)
    tensorflow().config.experimental.enable_op_determinism()
    model = build_network("pretrained", 2, wanted)
    seen = _Features(model)
    linear = _fit_head(seen, good, settings.seed)
    set_head(model, linear, odds_of(linear, seen.of(sets["validation"].pictures)))
    return CandidateRun(
        settings=settings,
        input=wanted,
        reasons=(),
        model=model,
        history=(),
        sets=sets,
        auroc=0.0,  # validation has no defects; only test can tell
        recall=0.0,
        false_reject=0.0,
        milliseconds=None,
        preview=preview,
        seconds=time.monotonic() - started,
    )


def odds_of(linear: LinearHead, features: Floats) -> Floats:
    """Log-odds of a defect, (n,), of features, (n, d)."""
    logits = linear.logits(features)
    return np.asarray(logits[:, 1] - logits[:, 0])


def scale_of(odds: Floats) -> tuple[float, float]:
    """Factor and offset that bring log-odds, (n,), of good parts not learned from to a scale.

    Half of them then score below 0.05, 99 % below 0.5: how sure the fit was of painted defects
    says nothing about real ones.
    """
    usual, doubtful = np.quantile(odds, [0.5, DOUBTFUL_SHARE])
    low = float(np.log(USUAL_SCORE / (1 - USUAL_SCORE)))
    factor = -low / max(float(doubtful - usual), 1e-6)
    return factor, -factor * float(doubtful)


def set_head(model: Any, linear: LinearHead, held_out: Floats) -> None:
    """Writes the fit into the last layer, on the scale of good parts' log-odds, (n,)."""
    factor, offset = scale_of(held_out)
    slope = (linear.kernel[:, 1] - linear.kernel[:, 0]) / linear.deviation
    bias = linear.bias[1] - linear.bias[0] - linear.mean @ slope
    kernel = np.stack([np.zeros_like(slope), factor * slope], axis=1)
    model.get_layer(HEAD).set_weights([kernel, np.array([0.0, factor * bias + offset])])


def _painted_on(good: LabelledArrays) -> Callable[[NDArray[np.uint8], np.random.Generator], Any]:
    """What paints on pictures with pieces of random good ones."""

    def painted(pictures: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        rows = np.sort(rng.integers(len(good.classes), size=len(pictures)))
        return paint(pictures, good.pictures[rows], rng)

    return painted


def _fit_head(seen: "_Features", good: LabelledArrays, seed: int) -> LinearHead:
    """Logistic regression of good pictures against painted ones, its strength by other parts."""
    rng, painted = np.random.default_rng(seed), _painted_on(good)
    found = [seen.of(good.pictures)]
    found += [
        seen.of(good.pictures, lambda some: painted(some, rng)) for _ in range(PAINTED_COPIES)
    ]
    n = len(good.classes)
    groups = good.groups if good.groups is not None else np.arange(n)
    classes = np.repeat([0, 1], [n, PAINTED_COPIES * n])
    linear, _strength, _area = fit_logistic(
        np.concatenate(found), classes, np.tile(groups, PAINTED_COPIES + 1), 2, seed
    )
    return linear


class _Features:
    """What the head of a model sees of pictures, a few at a time."""

    def __init__(self, model: Any) -> None:
        body = keras().Model(model.input, model.get_layer(HEAD).input)
        self._look = tensorflow().function(lambda pixels: body(pixels, training=False))

    def of(
        self,
        pictures: NDArray[np.uint8],
        change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]] = lambda some: some,
    ) -> Floats:
        """float64, (n, d), of pictures uint8, (n, height, width, channels), changed before."""
        rows = [
            np.asarray(self._look(change(pictures[at : at + BATCH]).astype(np.float32)))
            for at in range(0, len(pictures), BATCH)
        ]
        return np.concatenate(rows).astype(np.float64)
