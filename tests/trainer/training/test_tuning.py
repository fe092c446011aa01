"""A network that brings weights: its head is fitted first, and tuning starts from there."""

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
RECIPE = replace(default_settings("pretrained"), side=32, epochs=1, batch=8)


class Silence:
    """Watches and says nothing."""

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


def _part(seed: int, count: int = 32) -> LabelledArrays:
    """Noise; every second picture has a bright square. Two pictures a group."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(90, 160, (count, 32, 32, 3)).astype(np.uint8)
    pictures[1::2, 8:16, 8:16] = 250
    return LabelledArrays(pictures, np.arange(count) % 2, np.arange(count) // 2)


@pytest.mark.train
@needs_tensorflow
def test_frozen_fits_the_head_and_leaves_the_rest() -> None:
    """Without tuning there is epoch 0 alone, all other weights are as they were, and the head
    finds what the features tell."""
    train, validation = _part(0), _part(1)
    model, history = fit(replace(RECIPE, tune=False), train, validation, 2, Silence())
    other, _ = fit(replace(RECIPE, tune=False), train, validation, 2, Silence())
    assert [epoch.number for epoch in history] == [0]
    assert history[0].validation_auroc > 0.9
    for ours, theirs in zip(model.get_weights(), other.get_weights()):
        assert (ours == theirs).all()
    assert all((v == 0).all() for v in model.get_layer("stem_norm").get_weights()[2:3])


@pytest.mark.train
@needs_tensorflow
def test_tuning_never_ends_worse_than_its_start() -> None:
    """The fitted head is epoch 0; a rate that ruins the network leaves epoch 0 as the best."""
    train, validation = _part(0), _part(1)
    ruin = replace(RECIPE, rate=10.0, head_rate=10.0, average=0.0)
    model, history = fit(ruin, train, validation, 2, Silence())
    frozen, alone = fit(replace(RECIPE, tune=False), train, validation, 2, Silence())
    assert [epoch.number for epoch in history] == [0, 1]
    assert history[0] == alone[0]
    assert not history[1].best
    assert all((a == b).all() for a, b in zip(model.get_weights(), frozen.get_weights()))


@pytest.mark.train
@needs_tensorflow
def test_the_mean_of_the_weights_is_lent_only() -> None:
    """While averaged the model has the mean of its weights; afterwards training goes on from the
    last ones, and the statistics of batch normalisation never move."""
    learner = Learner(
        build_network("pretrained", 2, input_of("pretrained", 32)), RECIPE, frozen_norm=True
    )
    part, rng = _part(0, 8), np.random.default_rng(0)
    for _ in range(3):
        learner.step(part.pictures, part.classes, np.ones(8), rng, 1.0)
    before = [array.copy() for array in learner.state()]
    with learner.averaged():
        lent = learner.model.get_layer("stem_conv").get_weights()[0]
    stem = learner.model.get_layer("stem_conv").get_weights()[0]
    assert (lent != stem).any()
    after = learner.state()
    head = learner.model.get_layer("head").get_weights()
    for old, new in zip(before, after):
        if old.shape not in {array.shape for array in head}:  # the head keeps the mean
            assert (old == new).all()
    assert (learner.model.get_layer("stem_norm").get_weights()[2] == 0).all()


def test_logistic_regression_separates_what_can_be() -> None:
    """Three classes apart are told apart; noise is not, in cross-validation by groups, although
    pictures of one group are alike."""
    rng = np.random.default_rng(0)
    classes = np.arange(90) % 3
    features = rng.normal(size=(90, 5)) + 6 * np.eye(5)[classes]
    linear, _, reached = fit_logistic(features, classes, np.arange(90), 3, 0)
    assert (linear.logits(features).argmax(axis=1) == classes).mean() > 0.97
    assert reached > 0.97
    groups = np.arange(120) // 6
    noise = rng.normal(size=(20, 8))[groups] + 0.01 * rng.normal(size=(120, 8))
    labels = (np.arange(20) % 2)[groups]
    found, _, apart = fit_logistic(noise, labels, groups, 2, 0)
    assert apart < 0.8
    assert auroc(found.logits(noise)[:, 1], labels > 0) > apart
