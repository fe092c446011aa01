"""A pretrained network: its head is fitted first, and tuning starts from there."""

from dataclasses import replace

import numpy as np
import pytest

from edge.inspection.preprocessing import InputSpec
from trainer.core.progress import Epoch
from trainer.data.arrays import LabelledArrays
from trainer.evaluation.metrics import auroc
from trainer.networks import NETWORKS, Network, build_network, input_of
from trainer.networks.pretrained import untrained_lite0
from trainer.training.fit import fit
from trainer.training.learner import Learner
from trainer.training.logistic import fit_logistic
from trainer.training.settings import default_settings

needs_tensorflow = pytest.mark.usefixtures("require_tensorflow", "require_train")
SETTINGS = replace(default_settings("pretrained"), side=32, epochs=1, batch=8)


class SilentObserver:
    """Prints nothing."""

    def start(self, parameters: int, epochs: int) -> None: ...
    def batch(self, epoch: int, done: int, total: int) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lite0 up to block 2 with random weights in place of ImageNet's."""

    def build(spec: InputSpec, classes: int) -> object:
        return untrained_lite0(spec, classes, last=2, tapped=(0, 2))

    entry = Network(input_of("pretrained"), build, pretrained_weights=True)
    monkeypatch.setitem(NETWORKS, "pretrained", entry)


def _arrays(seed: int, count: int = 32) -> LabelledArrays:
    """Noise; every second picture has a bright square. Two pictures a group."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(90, 160, (count, 32, 32, 3)).astype(np.uint8)
    pictures[1::2, 8:16, 8:16] = 250
    return LabelledArrays(pictures, np.arange(count) % 2, np.arange(count) // 2)


@pytest.mark.train
@needs_tensorflow
def test_frozen_fits_the_head_and_leaves_the_rest() -> None:
    """Without tuning there is only epoch 0; it fits the head and changes no other weights."""
    train, validation = _arrays(0), _arrays(1)
    model, history = fit(replace(SETTINGS, tune=False), train, validation, 2, SilentObserver())
    other, _ = fit(replace(SETTINGS, tune=False), train, validation, 2, SilentObserver())
    assert [epoch.number for epoch in history] == [0]
    assert history[0].validation_auroc > 0.9
    for one, again in zip(model.get_weights(), other.get_weights()):
        assert (one == again).all()
    assert all((v == 0).all() for v in model.get_layer("stem_norm").get_weights()[2:3])


@pytest.mark.train
@needs_tensorflow
def test_tuning_never_ends_worse_than_its_start() -> None:
    """The fitted head is epoch 0; a rate that ruins the network leaves epoch 0 as the best."""
    train, validation = _arrays(0), _arrays(1)
    ruin = replace(SETTINGS, rate=10.0, head_rate=10.0, average=0.0)
    model, history = fit(ruin, train, validation, 2, SilentObserver())
    frozen, alone = fit(replace(SETTINGS, tune=False), train, validation, 2, SilentObserver())
    assert [epoch.number for epoch in history] == [0, 1]
    assert history[0] == alone[0]
    assert not history[1].best
    assert all((a == b).all() for a, b in zip(model.get_weights(), frozen.get_weights()))


@pytest.mark.train
@needs_tensorflow
def test_the_mean_of_the_weights_is_temporary() -> None:
    """`averaged` gives the model the mean of its weights and then restores the last ones.

    The statistics of batch normalisation never change.
    """
    learner = Learner(
        build_network("pretrained", 2, input_of("pretrained", 32)), SETTINGS, frozen_norm=True
    )
    arrays, rng = _arrays(0, 8), np.random.default_rng(0)
    for _ in range(3):
        learner.step(arrays.pictures, arrays.classes, np.ones(8), rng, 1.0)
    before = [array.copy() for array in learner.state()]
    with learner.averaged():
        mean = learner.model.get_layer("stem_conv").get_weights()[0]
    stem = learner.model.get_layer("stem_conv").get_weights()[0]
    assert (mean != stem).any()
    after = learner.state()
    head = learner.model.get_layer("head").get_weights()
    for old, new in zip(before, after):
        if old.shape not in {array.shape for array in head}:  # the head keeps the mean
            assert (old == new).all()
    assert (learner.model.get_layer("stem_norm").get_weights()[2] == 0).all()


def test_logistic_regression_separates_classes_and_not_noise() -> None:
    """It separates three distant classes. Cross-validation by groups shows no skill on noise,
    although pictures of one group are similar."""
    rng = np.random.default_rng(0)
    classes = np.arange(90) % 3
    features = rng.normal(size=(90, 5)) + 6 * np.eye(5)[classes]
    linear, _, area = fit_logistic(features, classes, np.arange(90), 3, 0)
    assert (linear.logits(features).argmax(axis=1) == classes).mean() > 0.97
    assert area > 0.97
    groups = np.arange(120) // 6
    noise = rng.normal(size=(20, 8))[groups] + 0.01 * rng.normal(size=(120, 8))
    labels = (np.arange(20) % 2)[groups]
    found, _, noise_area = fit_logistic(noise, labels, groups, 2, 0)
    assert noise_area < 0.8
    assert auroc(found.logits(noise)[:, 1], labels > 0) > noise_area
