"""Training with several seeds, and the spread of its figures."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from edge.inspection.decision import Thresholds
from trainer.core.atomic_write import write_json
from trainer.evaluation.metrics import Evaluation, evaluate
from trainer.training import seeds
from trainer.training.seeds import settings_from_spec, spread_text, train_seeds
from trainer.training.settings import TrainingRequest, default_settings


@pytest.mark.usefixtures("require_train")
def test_other_seeds_are_trained_into_their_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three seeds the first is that of the run; the other runs differ only in the seed."""
    settings = default_settings("compact").replace(seed=4)
    evaluation = evaluate(
        [0.1, 0.2, 0.8, 0.9],
        ["ok", "ok", "dent", "dent"],
        list("abcd"),
        Thresholds(reject_at=0.5, review_from=0.5),
        "ok",
    )
    write_json(tmp_path / "evaluation.json", {"test": evaluation.as_json()})

    class Spec:
        training = asdict(settings) | {"ran": 3, "wish": {}}

    monkeypatch.setattr(seeds, "read_spec", lambda _path: Spec())
    requests: dict[Path, TrainingRequest] = {}

    def train(run: Path, request: TrainingRequest) -> Evaluation:
        requests[run] = request
        return replace(evaluation, auroc=1 - request.settings.seed / 100)

    found = train_seeds(tmp_path, 3, train)
    assert sorted(requests) == [tmp_path / "seeds" / "5", tmp_path / "seeds" / "6"]
    assert requests[tmp_path / "seeds" / "5"].settings == settings.replace(seed=5)
    assert found["spread"]["auroc"]["mean"] == pytest.approx((1 + 0.95 + 0.94) / 3)
    assert "auroc 0.963 ± 0.032" in spread_text(found)
    assert (tmp_path / "seeds.json").is_file()


def test_settings_are_read_back_from_the_model_file() -> None:
    """The settings survive the model file, variations included."""
    settings = default_settings("pretrained").replace(seed=3, side=224)
    assert settings_from_spec(settings.as_json() | {"best_epoch": 2}) == settings
