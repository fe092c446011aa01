"""`--network auto` plans candidates for the time and recommends one without the test set."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.inspection.preprocessing import InputSpec
from tests.trainer.conftest import Draw
from trainer.cli.main import main
from trainer.training.candidate_run import CandidateRun, recall_at
from trainer.training.model_selection import (
    CandidatePlan,
    candidate_settings,
    plan_as_json,
    plan_candidates,
    plan_from_json,
    recommend,
)
from trainer.training.settings import DEFAULTS, TrainingSettings, default_settings


def _candidate(
    network: str, auroc: float, recall: float, milliseconds: float | None
) -> CandidateRun:
    return CandidateRun(
        settings=TrainingSettings(network=network),
        input=InputSpec(width=64, height=64),
        reasons=(),
        model=None,
        history=(),
        sets={},
        auroc=auroc,
        recall=recall,
        false_reject=0.05,
        milliseconds=milliseconds,
        preview=Path(),
        seconds=1.0,
    )


@pytest.mark.parametrize(
    ("candidates", "expected"),
    [
        ([("a", 0.90, 0.5, 0.1), ("b", 0.95, 0.4, 9.0)], "b"),
        ([("a", 0.948, 0.7, 0.5), ("b", 0.95, 0.6, 0.4)], "a"),
        ([("a", 0.949, 0.70, 0.5), ("b", 0.95, 0.71, 4.0)], "a"),
        ([("a", 0.9, 0.7, None)], "a"),
    ],
    ids=["AUROC first", "then recall", "then time", "only one"],
)
def test_recommends_by_auroc_recall_and_time(candidates: list[Any], expected: str) -> None:
    """The higher AUROC wins; of equal ones the higher recall; of those the faster."""
    chosen, why = recommend([_candidate(*figures) for figures in candidates])
    assert chosen.settings.network == expected
    assert "validation set" in why


def test_few_pictures_are_not_trained_from_scratch() -> None:
    """Below 300 pictures only the last layer of a pretrained network is fitted."""
    few = candidate_settings(TrainingSettings(seed=4), 299)
    assert {(one.network, one.tune, one.seed) for one in few} == {("pretrained", False, 4)}
    assert {one.network for one in candidate_settings(TrainingSettings(), 300)} == {
        "pretrained",
        "compact",
    }


def test_the_plan_fits_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With enough time all epochs stay; with less there are fewer.

    Below three tenths of its epochs a candidate is left out, with a sentence. A plan survives JSON.
    """
    monkeypatch.setattr("trainer.training.model_selection.seconds_an_epoch", lambda *_: 10.0)
    two = (
        replace(default_settings("pretrained"), epochs=12),
        replace(default_settings("compact"), epochs=30),
    )
    assert plan_candidates(two, 500, 2, 60).all_settings == two
    short = plan_candidates(two, 500, 2, 6)
    assert [(one.network, one.epochs) for one in short.all_settings] == [
        ("pretrained", 12),
        ("compact", 24),
    ]
    shorter = plan_candidates(two, 500, 2, 3)
    assert [(one.network, one.epochs) for one in shorter.all_settings] == [("pretrained", 12)]
    assert "compact is not tried" in shorter.left_out[0]
    again: CandidatePlan = plan_from_json(json.loads(json.dumps(plan_as_json(short))), two)
    assert again == short


def test_recall_is_taken_at_the_false_reject_rate() -> None:
    """At most the allowed share of good scores lies above the line."""
    good = np.linspace(0, 1, 100)
    assert recall_at(good, np.array([0.94, 0.951, 0.99]), 0.05) == pytest.approx(2 / 3)
    assert recall_at(np.array([0.1, 0.2]), np.array([0.15, 0.3]), 0.05) == 0.5


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow", "require_train")
def test_auto_trains_candidates_and_the_baseline(
    tmp_path: Path, draw_dataset: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run with auto writes the candidates, the recommended model and the baseline."""
    tiny = replace(default_settings("compact"), side=32, epochs=1, batch=8)
    monkeypatch.setattr(
        "trainer.training.run.candidate_settings", lambda *_: (tiny, replace(tiny, epochs=3))
    )
    monkeypatch.setitem(DEFAULTS, "baseline", TrainingSettings(epochs=1, batch=8))
    run = tmp_path / "run"
    assert main([str(draw_dataset(16)), "-o", str(run), "--network", "auto"]) in (0, 1)
    tried = json.loads((run / "candidates.json").read_text())["candidates"]
    assert len(tried) == 2
    assert sum(entry["recommended"] for entry in tried) == 1
    assert all(entry["milliseconds"] > 0 for entry in tried)
    assert (run / "model.keras").is_file()
    assert (run / "baseline/evaluation.json").is_file()
    assert not (run / ".unfinished").exists()
