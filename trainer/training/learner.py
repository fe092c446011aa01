"""One step of training: a network's body and its head, each with a separate optimiser.

In training the head works on standardised features, because pooled features of early and late
blocks differ by orders of magnitude. `fold` converts it to raw features and writes it into the
model's last layer.
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
UNDECAYED = ["bias", "gamma", "beta"]  # decay of these only works against the data


class Learner:
    """Trains a model that ends in the layer `head`, a dense layer with softmax.

    `frozen_norm` keeps the statistics of batch normalisation unchanged.
    """

    def __init__(self, model: Any, settings: TrainingSettings, *, frozen_norm: bool) -> None:
        tf, library = tensorflow(), keras()
        self.model = model
        self._settings = settings
        self._head = model.get_layer(HEAD)
        self._body = library.Model(model.inputs, self._head.input, name="body")
        self.features = int(self._head.kernel.shape[0])
        self._mean = np.zeros(self.features, np.float64)
        self._deviation = np.ones(self.features, np.float64)
        # Variables, because the traced step would keep the value of a tf.constant.
        self._shift = tf.Variable(np.zeros(self.features, np.float32), trainable=False)
        self._scale = tf.Variable(np.ones(self.features, np.float32), trainable=False)
        self._kernel = library.Variable(np.asarray(self._head.kernel), name="head_kernel")
        self._bias = library.Variable(np.asarray(self._head.bias), name="head_bias")
        self._optimisers = [
            library.optimizers.AdamW(
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
        self._infer = tf.function(lambda pixels: self._body(pixels, training=False))

    def body_features(
        self, pictures: NDArray[np.uint8], batch: int = 32, step: int = 1
    ) -> NDArray[np.float64]:
        """The body's features: float64, (n, features), of every `step`-th picture. `pictures` is
        uint8, as preprocessed."""
        rows = [
            np.asarray(self._infer(pictures[at : at + batch * step : step].astype(np.float32)))
            for at in range(0, len(pictures), batch * step)
        ]
        return np.concatenate(rows).astype(np.float64)

    def predict(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The probabilities: float64, (n, classes), 0 to 1; rows sum to 1."""
        kernel, bias = (np.asarray(values, np.float64) for values in self._head.get_weights())
        logits = self.body_features(pictures) @ kernel + bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def set_head(self, linear: LinearHead) -> None:
        """Sets a head that was fitted to the current features."""
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
        settings = self._settings
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
        """Gives the model the running mean of the weights inside the `with` block.

        The mean is more accurate on other parts than a single step, because the changes of single
        batches cancel out. Without `average` in the settings the model keeps the last weights.
        """
        if not self._settings.average:
            self.fold()
            yield
            return
        variables = [*self._body.trainable_variables, self._kernel, self._bias]
        last = [np.asarray(variable) for variable in variables]
        means = [m for o in self._optimisers for m in o._model_variables_moving_average]
        for variable, mean in zip(variables, means):
            variable.assign(mean)
        self.fold()
        yield
        for variable, value in zip(variables, last):
            variable.assign(value)

    def fold(self) -> None:
        """Writes the head into the model."""
        kernel = np.asarray(self._kernel, np.float64) / self._deviation[:, None]
        bias = np.asarray(self._bias, np.float64) - self._mean @ kernel
        self._head.set_weights([kernel.astype(np.float32), bias.astype(np.float32)])

    def state(self) -> list[NDArray[Any]]:
        """The state on which the next step depends, except the pictures and the rng."""
        return [self._mean, self._deviation, *(np.asarray(v) for v in self._variables())]

    def restore(self, state: list[NDArray[Any]]) -> None:
        """Restores the `state` of a learner with the same model and settings."""
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
        body, clip = self._body, self._settings.clip
        body_variables = body.trainable_variables
        head_variables = [self._kernel, self._bias]

        def step(pixels: Any, classes: Any, weights: Any, mask: Any) -> Any:
            with tf.GradientTape() as tape:
                features = (body(pixels, training=training) - self._shift) * self._scale * mask
                logits = tf.matmul(features, self._kernel) + self._bias
                cross_entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits)
                loss = tf.reduce_mean(cross_entropy * weights)
            gradients = tape.gradient(loss, [v.value for v in (*body_variables, *head_variables)])
            if clip:
                gradients, _ = tf.clip_by_global_norm(gradients, clip)
            count = len(body_variables)
            self._optimisers[0].apply(gradients[:count], body_variables)
            self._optimisers[1].apply(gradients[count:], head_variables)
            hits = tf.cast(tf.argmax(logits, axis=-1) == classes, tf.float32)
            return loss, tf.reduce_mean(hits)

        signature = [
            tf.TensorSpec((None, *body.input_shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.float32),
            tf.TensorSpec((None, self.features), tf.float32),
        ]
        return tf.function(step, input_signature=signature)
