"""One step of training: a network's body and its head, each with an optimiser of its own.

The head works on standardised features while it is trained, because pooled features of early and
late blocks differ in size by orders of magnitude; `fold` writes it into the model's last layer in
the terms of the raw features.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.core import keras, tensorflow
from trainer.networks.terms import HEAD
from trainer.training.logistic import LinearHead
from trainer.training.settings import TrainingSettings

Floats = NDArray[np.float32]
UNDECAYED = ["bias", "gamma", "beta"]  # drawn to zero, they would only undo what data say


class Learner:
    """Trains a model of ours, which must end in the layer `head`, a dense layer with softmax.

    `frozen_norm` keeps the statistics of batch normalisation as they are.
    """

    def __init__(self, model: Any, settings: TrainingSettings, *, frozen_norm: bool) -> None:
        tf, k = tensorflow(), keras()
        self.model = model
        self._recipe = settings
        self._head = model.get_layer(HEAD)
        self._body = k.Model(model.inputs, self._head.input, name="body")
        self.features = int(self._head.kernel.shape[0])
        self._mean = np.zeros(self.features, np.float64)
        self._deviation = np.ones(self.features, np.float64)
        # tf.constant would be frozen into the traced step
        self._shift = tf.Variable(np.zeros(self.features, np.float32), trainable=False)
        self._scale = tf.Variable(np.ones(self.features, np.float32), trainable=False)
        self._kernel = k.Variable(np.asarray(self._head.kernel), name="head_kernel")
        self._bias = k.Variable(np.asarray(self._head.bias), name="head_bias")
        self._optimisers = [
            k.optimizers.AdamW(
                0.0,
                settings.decay,
                use_ema=settings.average > 0,
                ema_momentum=settings.average,
                ema_overwrite_frequency=None,
            )
            for _ in range(2)
        ]
        body = self._body.trainable_variables
        for optimiser, variables in zip(self._optimisers, (body, [self._kernel, self._bias])):
            if settings.decay:
                optimiser.exclude_from_weight_decay(var_names=UNDECAYED)
            optimiser.build(variables)
        self._step = self._traced_step(training=not frozen_norm)
        self._look = tf.function(lambda pixels: self._body(pixels, training=False))

    def body_features(self, pictures: NDArray[np.uint8], batch: int = 32) -> NDArray[np.float64]:
        """The body's features: float64, (n, features). `pictures` is uint8, as preprocessed."""
        rows = [
            np.asarray(self._look(pictures[at : at + batch].astype(np.float32)), np.float64)
            for at in range(0, len(pictures), batch)
        ]
        return np.concatenate(rows)

    def predict(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """What the model says: float64, (n, classes), 0 to 1, rows sum to 1."""
        kernel, bias = (np.asarray(part, np.float64) for part in self._head.get_weights())
        logits = self.body_features(pictures) @ kernel + bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def set_head(self, linear: LinearHead) -> None:
        """Begins with a head that was fitted to the features as they are now."""
        self._mean, self._deviation = linear.mean, linear.deviation
        self._shift.assign(linear.mean.astype(np.float32))
        self._scale.assign((1 / linear.deviation).astype(np.float32))
        self._kernel.assign(linear.kernel.astype(np.float32))
        self._bias.assign(linear.bias.astype(np.float32))
        self.fold()

    def step(
        self,
        pictures: NDArray[np.uint8],
        classes: NDArray[np.int64],
        weights: NDArray[np.float64],
        rng: np.random.Generator,
        rate_factor: float,
    ) -> tuple[float, float]:
        """Learns from one batch; returns its weighted loss and its accuracy.

        `pictures` is uint8, (n, height, width, channels); `weights` is (n,). `rate_factor`, 0
        to 1, multiplies the learning rates of the settings.
        """
        settings = self._recipe
        for optimiser, rate in zip(self._optimisers, (settings.rate, settings.head_rate)):
            optimiser.learning_rate = rate * rate_factor
        mask = np.ones((len(classes), self.features), np.float32)
        if settings.dropout:
            kept = rng.random(mask.shape, np.float32) >= settings.dropout
            mask = kept.astype(np.float32) / np.float32(1 - settings.dropout)
        loss, accuracy = self._step(
            pictures.astype(np.float32), classes, weights.astype(np.float32), mask
        )
        return float(loss), float(accuracy)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Gives the model the mean weights of the last steps inside the `with` block.

        The mean judges other parts better than any single step: what one batch has pushed this
        way and the next that way cancels out. Without `average` in the settings, the last weights.
        """
        if not self._recipe.average:
            self.fold()
            yield
            return
        variables = [*self._body.trainable_variables, self._kernel, self._bias]
        own = [np.asarray(variable) for variable in variables]
        means = [m for o in self._optimisers for m in o._model_variables_moving_average]
        for variable, mean in zip(variables, means):
            variable.assign(mean)
        self.fold()
        yield
        for variable, value in zip(variables, own):
            variable.assign(value)

    def fold(self) -> None:
        """Writes the head into the model."""
        kernel = np.asarray(self._kernel, np.float64) / self._deviation[:, None]
        bias = np.asarray(self._bias, np.float64) - self._mean @ kernel
        self._head.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])

    def state(self) -> list[NDArray[Any]]:
        """Everything that the next step depends on, but for the pictures and the rng."""
        return [self._mean, self._deviation, *(np.asarray(v) for v in self._variables())]

    def restore(self, state: list[NDArray[Any]]) -> None:
        """Sets what `state` gave, of a learner of the same model and settings."""
        self._mean, self._deviation, *values = state
        self._shift.assign(self._mean.astype(np.float32))
        self._scale.assign((1 / self._deviation).astype(np.float32))
        for variable, value in zip(self._variables(), values):
            variable.assign(value)

    def _variables(self) -> list[Any]:
        found = [*self.model.variables, self._kernel, self._bias]
        for optimiser in self._optimisers:
            found += optimiser.variables
        return found

    def _traced_step(self, *, training: bool) -> Any:
        tf = tensorflow()
        body, clip = self._body, self._recipe.clip
        ours = body.trainable_variables
        heads = [self._kernel, self._bias]

        def step(pixels: Any, classes: Any, weights: Any, mask: Any) -> Any:
            with tf.GradientTape() as tape:
                features = (body(pixels, training=training) - self._shift) * self._scale * mask
                logits = tf.matmul(features, self._kernel) + self._bias
                miss = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
                loss = tf.reduce_mean(miss * weights)
            slopes = tape.gradient(loss, [v.value for v in (*ours, *heads)])
            if clip:
                slopes, _ = tf.clip_by_global_norm(slopes, clip)
            self._optimisers[0].apply(slopes[: len(ours)], ours)
            self._optimisers[1].apply(slopes[len(ours) :], heads)
            hits = tf.cast(tf.argmax(logits, axis=-1) == classes, tf.float32)
            return loss, tf.reduce_mean(hits)

        signature = [
            tf.TensorSpec((None, *body.input_shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((None, self.features), tf.float32),
        ]
        return tf.function(step, input_signature=signature)
