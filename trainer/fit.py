"""Training: seeded, repeatable bit for bit on one machine, the best weights kept.

Best is the epoch that ranks validation parts best (AUROC), then the lower loss. Loss alone picked
epochs that were unsure of everything: it punishes confidence, which thresholds make up for.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trainer.augment import augment
from trainer.extra import keras, tensorflow
from trainer.metrics import auroc
from trainer.network import build_network
from trainer.trained import probabilities


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. `patience` is how many epochs without a better one end it."""

    network: str = "baseline"
    epochs: int = 40
    batch: int = 32
    seed: int = 0
    patience: int = 20
    augmentation: bool = True
    quarter_turns: bool = False

    def as_json(self) -> dict[str, Any]:
        """For `training` in the model's spec."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the train part gave; `number` counts from 1. Losses are weighted means."""

    number: int
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    validation_auroc: float
    best: bool


@dataclass(frozen=True, slots=True)
class Part:
    """Pictures, uint8, (n, height, width, channels), and class numbers, int, (n,); 0 is `ok`."""

    pictures: NDArray[np.uint8]
    classes: NDArray[np.int64]


class Watcher(Protocol):
    """Who is told how training goes; exists so that tests can train in silence."""

    def start(self, parameters: int, epochs: int) -> None: ...
    def batch(self, epoch: int, done: int, total: int) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...


def class_weights(classes: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Weights by class, (count,), so that each class has the same say and the mean is 1."""
    present = np.bincount(classes, minlength=count)
    return np.asarray(len(classes) / (count * np.maximum(present, 1)), np.float64)


def fit(
    recipe: Recipe, train: Part, validation: Part, classes: int, watcher: Watcher
) -> tuple[Any, list[Epoch]]:
    """A model with the weights of the best epoch, and all epochs.

    The same recipe and pictures give the same weights, bit for bit, on the same machine with the
    same libraries. Sets Keras' and TensorFlow's global seed and determinism.
    """
    keras().utils.set_random_seed(recipe.seed)
    tensorflow().config.experimental.enable_op_determinism()
    model = build_network(recipe.network, classes)
    watcher.start(model.count_params(), recipe.epochs)
    rng = np.random.default_rng(recipe.seed)
    weights = class_weights(train.classes, classes)
    history: list[Epoch] = []
    best, best_weights, since = (-np.inf, -np.inf), model.get_weights(), 0
    for number in range(1, recipe.epochs + 1):
        loss, accuracy = _one_epoch(
            model, recipe, train, weights=weights, rng=rng, number=number, watcher=watcher
        )
        held_out = _look(model, validation, classes)
        reached = held_out[2], -held_out[0]
        better = reached > best
        if better:
            best, best_weights, since = reached, model.get_weights(), 0
        else:
            since += 1
        epoch = Epoch(number, loss, accuracy, *held_out, best=better)
        history.append(epoch)
        watcher.epoch(epoch)
        if since >= recipe.patience:
            break
    model.set_weights(best_weights)
    return model, history


def _look(model: Any, part: Part, classes: int) -> tuple[float, float, float]:
    """Balanced loss, accuracy, and AUROC of good against defective, without training."""
    found = probabilities(model, None, part.pictures)
    balance = class_weights(part.classes, classes)[part.classes]
    own = found[np.arange(len(found)), part.classes]
    loss = np.average(-np.log(np.maximum(own, 1e-7)), weights=balance)
    accuracy = np.mean(found.argmax(axis=-1) == part.classes)
    return float(loss), float(accuracy), auroc(1 - found[:, 0], part.classes > 0)


def _one_epoch(
    model: Any,
    recipe: Recipe,
    train: Part,
    *,
    weights: NDArray[np.float64],
    rng: np.random.Generator,
    number: int,
    watcher: Watcher,
) -> tuple[float, float]:
    total = -(-len(train.classes) // recipe.batch)
    sums = np.zeros(2)
    for done, rows in enumerate(_batches(len(train.classes), recipe.batch, rng), 1):
        pictures = train.pictures[rows]
        if recipe.augmentation:
            pictures = augment(pictures, rng, quarter_turns=recipe.quarter_turns)
        classes = train.classes[rows]
        model.reset_metrics()  # else Keras returns a mean over earlier epochs too
        figures = model.train_on_batch(
            pictures.astype(np.float32), classes, sample_weight=weights[classes]
        )
        sums += np.array(figures, np.float64) * len(rows)
        watcher.batch(number, done, total)
    loss, accuracy = sums / len(train.classes)
    return float(loss), float(accuracy)


def _batches(n: int, batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    order = rng.permutation(n)
    for at in range(0, n, batch):
        yield order[at : at + batch]
