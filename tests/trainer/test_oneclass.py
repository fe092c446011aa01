"""A model from good parts only: its distance, its thresholds, and what it never learns from."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import DatasetError
from tests.trainer.conftest import Draw, write_manifest
from trainer.curves import auroc
from trainer.dataset import ANOMALY, load_dataset
from trainer.normal import fit_normal, scale_of, with_distance
from trainer.thresholds import from_good, thresholds_for
from trainer.wish import Wish


def _features(n: int, seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(0).normal(size=(12, 12)) * np.arange(1, 13)
    return np.asarray((rng.normal(size=(n, 12)) + shift * np.eye(12)[0]) @ mix + 5)


def test_what_is_unlike_good_parts_is_far() -> None:
    """Parts off in one direction score higher, whatever the scales and mixtures of features."""
    normal = fit_normal(_features(300, 1))
    near, far = normal.distances(_features(200, 2)), normal.distances(_features(200, 3, 6.0))
    assert auroc(np.concatenate([near, far]), np.arange(400) >= 200) > 0.9


def test_fewer_pictures_than_features_are_enough() -> None:
    """25 pictures of 200 features give finite distances; 19 are refused."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(25, 200))
    features[:, 7] = 3.0  # a feature that never changes
    normal = fit_normal(features)
    assert np.isfinite(normal.distances(features)).all()
    with pytest.raises(DatasetError, match="at least 20"):
        fit_normal(features[:19])


def test_the_scale_puts_good_parts_low() -> None:
    """Half of the good parts score below 0.05 and all but 1 % below 0.5; equal ones stay finite."""
    distances = np.random.default_rng(0).gamma(9, 2, 4000)
    factor, offset = scale_of(distances)
    scores = 1 / (1 + np.exp(-(factor * distances + offset)))
    assert np.median(scores) == pytest.approx(0.05, abs=1e-3)
    assert (scores >= 0.5).mean() == pytest.approx(0.01, abs=2e-3)
    assert np.isfinite(scale_of(np.full(9, 3.0))).all()


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.sampled_from([None, 0.05, 0.3]))
@settings(max_examples=60, deadline=None)
def test_thresholds_from_good_parts_alone(steps: list[int], limit: float | None) -> None:
    """In order, and at most 2 % of the good parts fail, 5 % do not pass, where scores differ."""
    scores = np.array(steps) / 21
    at = from_good(scores, Wish(max_false_reject=limit))
    assert 0 <= at.review_from <= at.reject_at <= 1
    if limit is None:
        assert (scores >= at.reject_at).mean() <= 0.02
        assert (scores >= at.review_from).mean() <= 0.05
    assert "no defect" in at.chosen


def test_costs_need_defects() -> None:
    """Where validation has no defects costs are refused, not guessed."""
    with pytest.raises(DatasetError, match="--max-false-reject instead"):
        from_good(np.array([0.1]), Wish(escape_cost=1, reject_cost=1))
    with pytest.raises(DatasetError, match="got 0"):
        thresholds_for([], [])


def test_no_defect_is_learned_from(draw_dataset: Draw) -> None:
    """Every defect of train and test stands in test, under one name, with its part's good pictures;
    the rest is as always."""
    root = draw_dataset(12, labels=("ok", "dent", "scratch"))
    rows = []
    for path in sorted(root.rglob("*.png")):
        file = path.relative_to(root).as_posix()
        # the first training pictures of both kinds show the same part
        same = file in ("train/ok/ok000.png", "train/dent/dent000.png")
        rows.append((file, path.parent.name, "same" if same else file))
    write_manifest(root, rows)
    data = load_dataset(root, one_class=True)
    assert data.labels == ("ok", ANOMALY)
    parts = {sample.file: sample.part for sample in data.samples}
    assert all(parts[file] == "test" for file, label, _ in rows if label != "ok")
    assert parts["train/ok/ok000.png"] == "test"
    assert parts["test/ok/ok000.png"] == "test"
    assert {sample.label for sample in data.of("train")} == {"ok"}
    assert {sample.label for sample in data.of("validation")} == {"ok"}


def test_a_flat_set_too(draw_dataset: Draw) -> None:
    """Without train/ and test/ the good parts are split as always, defects all tested."""
    data = load_dataset(draw_dataset(12, split=False), one_class=True)
    counts = data.counts()
    assert counts["test"][ANOMALY] == 12
    assert all(counts[part]["ok"] > 0 for part in counts)


def test_good_parts_that_are_none_are_missed(draw_dataset: Draw) -> None:
    """When every training part showed a defect too, that is said."""
    root = draw_dataset(3)
    files = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    write_manifest(root, [(f, f.split("/")[1], f.split("/")[0]) for f in files])
    with pytest.raises(DatasetError, match="never showed a defect"):
        load_dataset(root, one_class=True)


@pytest.mark.train
def test_the_layers_are_the_arithmetic(require_tensorflow: None, tmp_path: Path) -> None:
    """The network gives the same score as the distance by hand."""
    import keras

    features = _features(60, 1)
    normal = fit_normal(features)
    factor, offset = scale_of(normal.distances(_features(60, 2)))
    entered = keras.Input((12,))
    model = with_distance(
        keras.Model(entered, keras.layers.Identity()(entered)), normal, factor, offset
    )
    some = _features(9, 3, 2.0)
    wanted = 1 / (1 + np.exp(-(factor * normal.distances(some) + offset)))
    assert np.asarray(model(some.astype(np.float32)))[:, 1] == pytest.approx(wanted, abs=1e-4)
