"""Resampling from a population of real scores: its figures and the drawn sets."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.campaigns.resampled_scores import Pool, draw_again, read_pool, truth_of
from trainer.evaluation.curves import auroc, average_precision


def _pool(seed: int = 0) -> Pool:
    """60 parts of 1 to 4 pictures with ties; a third shows defects in all pictures."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, 60)
    part = np.repeat(np.arange(60), sizes)
    bad = part % 3 == 0
    return Pool(np.round(rng.normal(size=len(part)) + bad, 1), bad, part)


def test_the_truth_of_the_whole_pool_is_its_own_figure() -> None:
    """The figures of the population equal those of the whole pool."""
    pool = _pool()
    truth = truth_of(pool, (20, 40))
    assert truth.auroc() == pytest.approx(auroc(pool.scores, pool.bad))
    share = float(pool.bad.mean())
    assert truth.average_precision(share) == pytest.approx(average_precision(pool.scores, pool.bad))
    assert truth.escapes(0.5) == pytest.approx((pool.scores[pool.bad] < 0.5).mean())
    assert truth.false_rejects(0.5) == pytest.approx((pool.scores[~pool.bad] >= 0.5).mean())


def test_whole_parts_are_drawn() -> None:
    """A draw has the requested number of parts of each kind, each with all its pictures.

    A part that is drawn twice counts as two parts.
    """
    pool = _pool()
    scores, bad, groups = draw_again(pool, (30, 12), np.random.default_rng(1))
    assert len(set(groups)) == 42
    scores_by_part = [sorted(pool.scores[pool.part == part]) for part in range(60)]
    for group in set(groups):
        rows = [at for at, name in enumerate(groups) if name == group]
        assert sorted(scores[rows]) in scores_by_part
        assert len(set(bad[rows])) == 1


def test_drawn_sets_have_the_truth_as_their_mean() -> None:
    """Over many draws the mean AUROC and the mean rate equal those of the population."""
    pool, rng = _pool(), np.random.default_rng(2)
    truth = truth_of(pool, (40, 80))
    areas, rates = [], []
    for _ in range(300):
        scores, bad, _groups = draw_again(pool, (40, 80), rng)
        areas.append(auroc(scores, bad))
        rates.append((scores[bad] < 0.5).mean())
    assert np.mean(areas) == pytest.approx(truth.auroc(), abs=0.01)
    assert np.mean(rates) == pytest.approx(truth.escapes(0.5), abs=0.015)


def test_a_pool_is_read_from_a_run(tmp_path: Path) -> None:
    """Only the requested sets count; a lot with both classes counts as defective.

    By picture, every picture is a separate part.
    """
    rows = [
        {"file": f"{at}", "label": label, "group": f"lot{at % 5}", "part": part, "score": at / 40}
        for at in range(40)
        for label, part in [("ok" if at % 2 else "dent", "test" if at % 4 else "train")]
    ]
    file = tmp_path / "scores.json"
    file.write_text(json.dumps(rows))
    pool = read_pool(file, None, "ok", "group", ("test",))
    assert len(pool.scores) == 30
    assert [len(kind) for kind in pool.kinds()] == [5, 0]
    assert len(set(read_pool(file, None, "ok", "picture", ("test",)).part)) == 30
