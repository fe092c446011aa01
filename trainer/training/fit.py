"""Training: seeded, repeatable bit for bit on one machine, the best weights kept.

Best is the epoch that ranks validation parts best (AUROC), then the lower loss. Loss alone picked
epochs that were unsure of everything: it punishes confidence, which thresholds make up for.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.core import Epoch, TrainingObserver, keras, tensorflow
from trainer.data import LabelledArrays
from trainer.data.augment import augment
from trainer.evaluation import auroc
from trainer.networks import build_network, network
from trainer.training.checkpoint import Checkpoint, TrainingState
from trainer.training.input_choice import input_for
from trainer.training.learner import Learner
from trainer.training.logistic import fit_logistic
from trainer.training.settings import TrainingSettings


def class_weights(classes: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Weights by class, (count,), so that each class has the same say and the mean is 1."""
    present = np.bincount(classes, minlength=count)
    return np.asarray(len(classes) / (count * np.maximum(present, 1)), np.float64)


def fit(
    settings: TrainingSettings,
    train: LabelledArrays,
    validation: LabelledArrays,
    classes: int,
    observer: TrainingObserver,
    *,
    checkpoint: Checkpoint | None = None,
) -> tuple[Any, list[Epoch]]:
    """A model with the weights of the best epoch, and all epochs.

    The same settings and pictures give the same weights, bit for bit, on the same machine with the
    same libraries, and so they do when a training was stopped and `checkpoint` has its last
    epoch. Sets Keras' and TensorFlow's global seed and determinism.
    """
    keras().utils.set_random_seed(settings.seed)
    tensorflow().config.experimental.enable_op_determinism()
    learned = network(settings.network).pretrained_weights
    model = build_network(settings.network, classes, input_for(settings))
    run = _TrainingLoop(
        settings, train, validation, classes, Learner(model, settings, frozen_norm=learned)
    )
    epochs = settings.epochs if settings.tune or not learned else 0
    observer.start(model.count_params(), epochs)
    kept = checkpoint.load() if checkpoint is not None else None
    if kept is not None:
        run.restore(kept)
        for epoch in run.history:
            observer.epoch(epoch)
    elif learned:
        observer.epoch(run.fit_head())
    while not run.is_over(epochs):
        observer.epoch(run.one_epoch(observer))
        if checkpoint is not None:
            checkpoint.save(run.snapshot())
    model.set_weights(run.best_weights)
    return model, run.history


def learning_rate_factor(step: int, steps: int, warm_up: int, cosine: bool) -> float:
    """The share of the rate of learning at `step` of `steps`, both counted from 0: 0 to 1."""
    if step < warm_up:
        return (step + 1) / warm_up
    if not cosine:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


class _TrainingLoop:
    """A training between its epochs."""

    def __init__(
        self,
        settings: TrainingSettings,
        train: LabelledArrays,
        validation: LabelledArrays,
        classes: int,
        learner: Learner,
    ) -> None:
        self._recipe = settings
        self._train, self._validation, self._classes = train, validation, classes
        self._learner = learner
        self._rng = np.random.default_rng(settings.seed)
        self._weights = class_weights(train.classes, classes)
        self._number = 0
        self._best = (-math.inf, -math.inf)
        self._since = 0
        self.history: list[Epoch] = []
        self.best_weights: list[NDArray[Any]] = learner.model.get_weights()

    def is_over(self, epochs: int) -> bool:
        """Whether all epochs are done, or none of the last ones was better."""
        return self._number >= epochs or self._since >= self._recipe.patience

    def fit_head(self) -> Epoch:
        """Epoch 0: logistic regression on the features of the weights that were brought."""
        train = self._train
        groups = train.groups if train.groups is not None else np.arange(len(train.classes))
        features = self._learner.body_features(train.pictures)
        linear, _, _ = fit_logistic(
            features, train.classes, groups, self._classes, self._recipe.seed
        )
        self._learner.set_head(linear)
        logits = linear.logits(features)
        own = logits[np.arange(len(logits)), train.classes]
        miss = np.logaddexp.reduce(logits, axis=1) - own
        accuracy = float(np.mean(logits.argmax(axis=1) == train.classes))
        loss = float(np.mean(miss * self._weights[train.classes]))
        return self._judged(loss, accuracy)

    def one_epoch(self, observer: TrainingObserver) -> Epoch:
        """One pass over the train set, and a look at the validation set."""
        self._number += 1
        settings, train = self._recipe, self._train
        batches = max(1, len(train.classes) // settings.batch)
        sums, seen = np.zeros(2), 0
        for done, rows in enumerate(self._batches(batches), 1):
            pictures = augment(train.pictures[rows], self._rng, settings.variations)
            classes = train.classes[rows]
            share = learning_rate_factor(
                (self._number - 1) * batches + done - 1,
                settings.epochs * batches,
                round(settings.warm_up * batches),
                settings.cosine,
            )
            figures = self._learner.step(
                pictures, classes, self._weights[classes], self._rng, share
            )
            sums += np.array(figures) * len(rows)
            seen += len(rows)
            observer.batch(self._number, done, batches)
        with self._learner.averaged():
            return self._judged(float(sums[0] / seen), float(sums[1] / seen))

    def snapshot(self) -> TrainingState:
        """What `restore` needs."""
        metadata = {
            "number": self._number,
            "since": self._since,
            "best": self._best,
            "rng": self._rng.bit_generator.state,
            "history": [asdict(epoch) for epoch in self.history],
        }
        return TrainingState(metadata, self._learner.state(), self.best_weights)

    def restore(self, kept: TrainingState) -> None:
        """Goes on after the last epoch that was kept."""
        self._number, self._since = kept.metadata["number"], kept.metadata["since"]
        self._best = kept.metadata["best"][0], kept.metadata["best"][1]
        self._rng.bit_generator.state = kept.metadata["rng"]
        self.history = [Epoch(**epoch) for epoch in kept.metadata["history"]]
        self._learner.restore(kept.state)
        self.best_weights = kept.best

    def _judged(self, loss: float, accuracy: float) -> Epoch:
        held_out = _judge_set(self._learner, self._validation, self._classes)
        reached = held_out[2], -held_out[0]
        better = reached > self._best
        if better:
            self._best, self._since = reached, 0
            self.best_weights = self._learner.model.get_weights()
        else:
            self._since += 1
        self.history.append(Epoch(self._number, loss, accuracy, *held_out, best=better))
        return self.history[-1]

    def _batches(self, batches: int) -> Iterator[NDArray[np.int64]]:
        # A short rest is left out: its few pictures would upset the batch normalisation. Each
        # epoch leaves out others.
        order = self._rng.permutation(len(self._train.classes))
        for at in range(batches):
            # sorted, so that a file of pictures is read forwards
            yield np.sort(order[at * self._recipe.batch : (at + 1) * self._recipe.batch])


def _judge_set(
    learner: Learner, arrays: LabelledArrays, classes: int
) -> tuple[float, float, float]:
    """Balanced loss, accuracy, and AUROC of good against defective, without training."""
    found = learner.predict(arrays.pictures)
    balance = class_weights(arrays.classes, classes)[arrays.classes]
    own = found[np.arange(len(found)), arrays.classes]
    loss = np.average(-np.log(np.maximum(own, 1e-7)), weights=balance)
    accuracy = np.mean(found.argmax(axis=-1) == arrays.classes)
    return float(loss), float(accuracy), auroc(1 - found[:, 0], arrays.classes > 0)
