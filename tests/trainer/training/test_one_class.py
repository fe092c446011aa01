"""A model from good parts only: painted defects, thresholds, and defects kept out of training."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.errors import DatasetError
from tests.trainer.conftest import Draw, draw_picture, write_manifest
from trainer.cli.main import main as edge_train
from trainer.core.optional_imports import keras
from trainer.data.dataset import ANOMALY, load_dataset
from trainer.data.summary import describe_dataset
from trainer.data.synthetic_defects import KINDS, paint
from trainer.evaluation.requirements import Requirements
from trainer.evaluation.thresholds import thresholds_for, thresholds_from_good
from trainer.networks import HEAD
from trainer.training.logistic import fit_logistic
from trainer.training.one_class import log_odds, scale_of, set_head


def _good(count: int, seed: int, shape: tuple[int, int, int] = (48, 64, 3)) -> np.ndarray:
    """Grey pictures with a little noise."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(120, 6, (count, *shape)), 0, 255).astype(np.uint8)


@given(st.integers(0, 2**32 - 1), st.sampled_from([(48, 64, 3), (32, 32, 1), (90, 40, 3)]))
@settings(max_examples=20, deadline=None)
def test_each_painting_shows_one_defect(seed: int, shape: tuple[int, int, int]) -> None:
    """Every picture changes, in less than half of its pixels; originals stay unchanged.

    The same seed paints the same defects.
    """
    good = _good(8, 1, shape)
    before = good.copy()
    painted = paint(good, good[::-1], np.random.default_rng(seed))
    assert painted.shape == good.shape
    assert painted.dtype == np.uint8
    assert (good == before).all()
    changed = (painted != good).reshape(8, -1).mean(axis=1)
    assert (changed > 0).all()
    assert np.median(changed) < 0.5
    assert (painted == paint(good, good[::-1], np.random.default_rng(seed))).all()


def test_every_kind_of_defect_is_painted() -> None:
    """Each kind changes a picture by more than its noise and covers only a part of it."""
    rng = np.random.default_rng(0)
    for kind in KINDS:
        for picture in _good(6, 2):
            values = picture.astype(np.float32)
            change = np.abs(kind(values, picture[::-1], 20.0, rng) - values).max(axis=2)
            assert change.max() > 4
            assert (change > 8).mean() < 0.4


def test_the_scale_puts_good_parts_low() -> None:
    """Half of the good parts score below 0.05 and all but 1 % below 0.5; equal ones stay finite."""
    odds = np.random.default_rng(0).gamma(9, 2, 4000) - 30
    factor, offset = scale_of(odds)
    scores = 1 / (1 + np.exp(-(factor * odds + offset)))
    assert np.median(scores) == pytest.approx(0.05, abs=1e-3)
    assert (scores >= 0.5).mean() == pytest.approx(0.01, abs=2e-3)
    assert np.isfinite(scale_of(np.full(9, 3.0))).all()


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.sampled_from([None, 0.05, 0.3]))
@settings(max_examples=60, deadline=None)
def test_thresholds_from_good_parts_alone(steps: list[int], limit: float | None) -> None:
    """Thresholds are in order; at most 2 % of the good parts fail and 10 % do not pass."""
    scores = np.array(steps) / 21
    at = thresholds_from_good(scores, Requirements(max_false_reject=limit))
    assert 0 <= at.review_from <= at.reject_at <= 1
    if limit is None:
        assert (scores >= at.reject_at).mean() <= 0.02
        assert (scores >= at.review_from).mean() <= 0.1
    assert "no defect" in at.chosen


def test_costs_need_defects() -> None:
    """Costs are refused when validation has no defects."""
    with pytest.raises(DatasetError, match="--max-false-reject instead"):
        thresholds_from_good(np.array([0.1]), Requirements(escape_cost=1, reject_cost=1))
    with pytest.raises(DatasetError, match="got 0"):
        thresholds_for([], [])


def test_no_defect_is_learned_from(draw_dataset: Draw) -> None:
    """All defects are in test, as one class, together with the good pictures of their parts."""
    root = draw_dataset(12, labels=("ok", "dent", "scratch"))
    rows = []
    for path in sorted(root.rglob("*.png")):
        file = path.relative_to(root).as_posix()
        # The first training pictures of both classes show the same part.
        same = file in ("train/ok/ok000.png", "train/dent/dent000.png")
        rows.append((file, path.parent.name, "same" if same else file))
    write_manifest(root, rows)
    data = load_dataset(root, one_class=True)
    assert data.labels == ("ok", ANOMALY)
    sets = {sample.file: sample.set_name for sample in data.samples}
    assert all(sets[file] == "test" for file, label, _ in rows if label != "ok")
    assert sets["train/ok/ok000.png"] == "test"
    assert sets["test/ok/ok000.png"] == "test"
    assert {sample.label for sample in data.of("train")} == {"ok"}
    assert {sample.label for sample in data.of("validation")} == {"ok"}


def test_defects_of_a_flat_set_are_in_test(draw_dataset: Draw) -> None:
    """Without train/ and test/ the good parts are split by fraction; all defects go to test."""
    data = load_dataset(draw_dataset(12, split=False), one_class=True)
    counts = data.counts()
    assert counts["test"][ANOMALY] == 12
    assert all(row["ok"] > 0 for row in counts.values())


def test_a_set_without_good_parts_to_learn_from_is_refused(draw_dataset: Draw) -> None:
    """A set whose training parts all show a defect is refused."""
    root = draw_dataset(3)
    files = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    write_manifest(root, [(f, f.split("/")[1], f.split("/")[0]) for f in files])
    with pytest.raises(DatasetError, match="never showed a defect"):
        load_dataset(root, one_class=True)


@pytest.mark.train
def test_the_last_layer_is_the_fit(require_tensorflow: None, require_train: None) -> None:
    """The network gives the scores of the fit, on the scale of good parts."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(90, 12)) * np.arange(1, 13) + 5
    classes = (features[:, 0] + rng.normal(size=90) > 5).astype(np.int64)
    linear, _strength, area = fit_logistic(features, classes, np.arange(90), 2, 0)
    assert area > 0.6
    library = keras()
    features_in = library.Input((12,))
    head = library.layers.Dense(2, activation="softmax", name=HEAD)
    model = library.Model(features_in, head(features_in))
    held_out = log_odds(linear, features[classes == 0])
    set_head(model, linear, held_out)
    factor, offset = scale_of(held_out)
    expected = 1 / (1 + np.exp(-(factor * log_odds(linear, features) + offset)))
    assert np.asarray(model(features.astype(np.float32)))[:, 1] == pytest.approx(expected, abs=1e-4)


def _draw_tile(path: Path, seed: int, *, dented: bool) -> None:
    """Writes a grey part with texture under random light; a dent is a dark spot."""
    rng = np.random.default_rng(seed)
    light = rng.uniform(100, 160) + rng.uniform(-25, 25) * np.linspace(-1, 1, 64)[:, None, None]
    pixels = light + rng.uniform(5, 16) * rng.standard_normal((64, 64, 3)).astype(np.float32)
    if dented:
        x, y = rng.integers(16, 48, 2).tolist()
        cv2.circle(pixels, (x, y), 7, (30.0, 30.0, 30.0), -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.clip(pixels, 0, 255).astype(np.uint8))


@pytest.mark.train
def test_from_good_parts_to_a_model_file(
    require_tensorflow: None, require_train: None, tmp_path: Path
) -> None:
    """A model of good parts only finds unknown dents; its model file gives the same verdicts."""
    from converter.cli.main import main as edge_convert

    data = tmp_path / "tiles"
    for set_name, count in (("train", 80), ("test", 20)):
        for at in range(count):
            path = data / set_name / "ok" / f"{set_name}{at}.png"
            _draw_tile(path, at + 1000 * (set_name == "test"), dented=False)
    for at in range(20):
        _draw_tile(data / "test/dent" / f"{at}.png", at + 5000, dented=True)
    (data / "train/dent").mkdir()
    _draw_tile(data / "train/dent/one.png", 9000, dented=True)
    run = tmp_path / "run"
    options = ["--network", "one-class", "--side", "64", "--no-baseline", "--allow-leaks"]
    assert edge_train([str(data), "-o", str(run), *options]) == 0
    test = json.loads((run / "evaluation.json").read_text())["test"]
    assert test["auroc"] > 0.9
    assert test["n_defect"] == 21
    assert edge_convert([str(run / "model.keras"), "--data", str(data), "-o", f"{run}.tflite"]) == 0
    assert edge_train(["evaluate", f"{run}.tflite", str(data)]) == 0


def _paint(root: Path, target: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = edge_train(["paint", str(root), "-o", str(target)])
    output = capsys.readouterr()
    return code, output.out + output.err


def test_without_any_defect_a_set_is_painted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only test pictures are painted; no part is in two sets; the result is repeatable.

    The description of the set names the painted defects.
    """
    good = tmp_path / "good"
    for at in range(30):
        draw_picture(good / "ok" / f"{at}.png", defective=False, seed=at)
    write_manifest(good, [(f"ok/{at}.png", "ok", f"part{at // 3}") for at in range(30)])
    code, text = _paint(good, tmp_path / "set", capsys)
    assert code == 0, text
    assert "there was no real defect" in text
    data = load_dataset(tmp_path / "set", one_class=True)
    counts = data.counts()
    assert counts["test"]["ok"] >= 3
    assert counts["test"][ANOMALY] >= 3
    assert sum(sum(row.values()) for row in counts.values()) == 30
    by_group: dict[str, set[str]] = {}
    for sample in data.samples:
        by_group.setdefault(sample.group, set()).add(f"{sample.set_name} {sample.label}")
    assert len(by_group) == 10
    assert all(len(found) == 1 for found in by_group.values())
    assert "painted ones" in describe_dataset(data)
    assert _paint(good, tmp_path / "again", capsys)[0] == 0
    assert load_dataset(tmp_path / "again", one_class=True).fingerprint() == data.fingerprint()


def test_sets_that_cannot_be_painted_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A set with defects, one of two parts and an existing folder are refused and not written."""
    for at in range(2):
        draw_picture(tmp_path / "few" / "ok" / f"{at}.png", defective=False, seed=at)
    code, text = _paint(tmp_path / "few", tmp_path / "set", capsys)
    assert code == 2
    assert "2 parts, at least 8" in text
    draw_picture(tmp_path / "few" / "dent" / "0.png", defective=True, seed=9)
    code, text = _paint(tmp_path / "few", tmp_path / "set", capsys)
    assert code == 2
    assert "has pictures of dent" in text
    assert not (tmp_path / "set").exists()
    for at in range(9):
        draw_picture(tmp_path / "good" / "ok" / f"{at}.png", defective=False, seed=at)
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine").touch()
    code, text = _paint(tmp_path / "good", tmp_path / "set", capsys)
    assert code == 2
    assert "is there already" in text
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["mine"]
