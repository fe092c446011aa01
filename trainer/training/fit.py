"""Trains a network from a seed, repeatable bit for bit on one machine, and keeps the best weights.

The best epoch has the highest validation AUROC, then the lowest loss. Loss alone preferred epochs
with low confidence: it punishes confidence, for which thresholds compensate.
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
    """Weights by class, (count,), that balance the classes; their mean over pictures is 1."""
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
    """Trains a model; returns it with the weights of the best epoch, and all epochs.

    The same settings and pictures give the same weights, bit for bit, on the same machine with the
    same libraries. That also holds for a training that resumes from `checkpoint`. Sets the global
    seed and the determinism of Keras and TensorFlow.
    """
    keras().utils.set_random_seed(settings.seed)
    tensorflow().config.experimental.enable_op_determinism()
    pretrained = network(settings.network).pretrained_weights
    model = build_network(settings.network, classes, input_for(settings))
    run = _TrainingLoop(
        settings, train, validation, classes, Learner(model, settings, frozen_norm=pretrained)
    )
    epochs = settings.epochs if settings.tune or not pretrained else 0
    observer.start(model.count_params(), epochs)
    saved = checkpoint.load() if checkpoint is not None else None
    if saved is not None:
        run.restore(saved)
        for epoch in run.history:
            observer.epoch(epoch)
    elif pretrained:
        observer.epoch(run.fit_head())
    while not run.is_over(epochs):
        observer.epoch(run.one_epoch(observer))
        if checkpoint is not None:
            checkpoint.save(run.snapshot())
    model.set_weights(run.best_weights)
    return model, run.history


def learning_rate_factor(step: int, steps: int, warm_up: int, *, cosine: bool) -> float:
    """The share of the learning rate at `step` of `steps`, 0 to 1; steps count from 0."""
    if step < warm_up:
        return (step + 1) / warm_up
    if not cosine:
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


class _TrainingLoop:
    """The state of a training between epochs."""

    def __init__(
        self,
        settings: TrainingSettings,
        train: LabelledArrays,
        validation: LabelledArrays,
        classes: int,
        learner: Learner,
    ) -> None:
        self._settings = settings
        self._train, self._validation, self._classes = train, validation, classes
        self._learner = learner
        self._rng = np.random.default_rng(settings.seed)
        self._weights = class_weights(train.classes, classes)
        self._number = 0
        self._best = (-math.inf, -math.inf)
        self._epochs_since_best = 0
        self.history: list[Epoch] = []
        self.best_weights: list[NDArray[Any]] = learner.model.get_weights()

    def is_over(self, epochs: int) -> bool:
        """Whether all epochs are done, or the last `patience` epochs were not better."""
        return self._number >= epochs or self._epochs_since_best >= self._settings.patience

    def fit_head(self) -> Epoch:
        """Epoch 0: fits the head by logistic regression on the pretrained features."""
        train = self._train
        groups = train.groups if train.groups is not None else np.arange(len(train.classes))
        features = self._learner.body_features(train.pictures)
        if train.varied is not None:
            features[::2] = self._learner.body_features(train.varied, step=2)
        linear, _, _ = fit_logistic(
            features, train.classes, groups, self._classes, self._settings.seed
        )
        self._learner.set_head(linear)
        logits = linear.logits(features)
        true_logits = logits[np.arange(len(logits)), train.classes]
        cross_entropy = np.logaddexp.reduce(logits, axis=1) - true_logits
        accuracy = float(np.mean(logits.argmax(axis=1) == train.classes))
        loss = float(np.mean(cross_entropy * self._weights[train.classes]))
        return self._validated(loss, accuracy)

    def one_epoch(self, observer: TrainingObserver) -> Epoch:
        """One pass over the train set, then one over the validation set."""
        self._number += 1
        settings, train = self._settings, self._train
        batches = max(1, len(train.classes) // settings.batch)
        sums, seen = np.zeros(2), 0
        for done, rows in enumerate(self._batches(batches), 1):
            pictures = augment(train.drawn(rows, self._rng), self._rng, settings.variations)
            classes = train.classes[rows]
            rate_factor = learning_rate_factor(
                (self._number - 1) * batches + done - 1,
                settings.epochs * batches,
                round(settings.warm_up * batches),
                cosine=settings.cosine,
            )
            figures = self._learner.step(
                pictures, classes, self._weights[classes], self._rng, rate_factor
            )
            sums += np.array(figures) * len(rows)
            seen += len(rows)
            observer.batch(self._number, done, batches)
        with self._learner.averaged():
            return self._validated(float(sums[0] / seen), float(sums[1] / seen))

    def snapshot(self) -> TrainingState:
        """The state that `restore` takes."""
        metadata = {
            "number": self._number,
            "since": self._epochs_since_best,
            "best": self._best,
            "rng": self._rng.bit_generator.state,
            "history": [asdict(epoch) for epoch in self.history],
        }
        return TrainingState(metadata, self._learner.state(), self.best_weights)

    def restore(self, saved: TrainingState) -> None:
        """Resumes after the last saved epoch."""
        metadata = saved.metadata
        self._number, self._epochs_since_best = metadata["number"], metadata["since"]
        self._best = metadata["best"][0], metadata["best"][1]
        self._rng.bit_generator.state = metadata["rng"]
        self.history = [Epoch(**epoch) for epoch in metadata["history"]]
        self._learner.restore(saved.state)
        self.best_weights = saved.best

    def _validated(self, loss: float, accuracy: float) -> Epoch:
        """The finished epoch with its figures of the validation set."""
        held_out = _figures(self._learner, self._validation, self._classes)
        quality = held_out[2], -held_out[0]
        better = quality > self._best
        if better:
            self._best, self._epochs_since_best = quality, 0
            self.best_weights = self._learner.model.get_weights()
        else:
            self._epochs_since_best += 1
        self.history.append(Epoch(self._number, loss, accuracy, *held_out, best=better))
        return self.history[-1]

    def _batches(self, batches: int) -> Iterator[NDArray[np.int64]]:
        # A short last batch is left out: few pictures disturb the batch normalisation. Each epoch
        # leaves out other pictures.
        order = self._rng.permutation(len(self._train.classes))
        for at in range(batches):
            # Sorted, so that a file of pictures is read forwards.
            yield np.sort(order[at * self._settings.batch : (at + 1) * self._settings.batch])


def _figures(learner: Learner, arrays: LabelledArrays, classes: int) -> tuple[float, float, float]:
    """Balanced loss, accuracy, and AUROC of good against defective, without training."""
    predicted = learner.predict(arrays.pictures)
    balance = class_weights(arrays.classes, classes)[arrays.classes]
    of_true_class = predicted[np.arange(len(predicted)), arrays.classes]
    loss = np.average(-np.log(np.maximum(of_true_class, 1e-7)), weights=balance)
    accuracy = np.mean(predicted.argmax(axis=-1) == arrays.classes)
    return float(loss), float(accuracy), auroc(1 - predicted[:, 0], arrays.classes > 0)
