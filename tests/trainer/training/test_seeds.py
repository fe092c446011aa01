"""The spread of seeds is told as it is."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from edge.inspection.decision import Thresholds
from trainer.core.atomic_write import write_json
from trainer.evaluation.metrics import Evaluation, evaluate
from trainer.training import seeds
from trainer.training.seeds import as_text, recipe_from, train_seeds
from trainer.training.settings import Order, usual


@pytest.mark.usefixtures("require_train")
def test_other_seeds_are_trained_into_their_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three seeds: the first is the run's own, the others differ in nothing but the seed."""
    recipe = usual("compact").changed(seed=4)
    judged = evaluate(
        [0.1, 0.2, 0.8, 0.9],
        ["ok", "ok", "dent", "dent"],
        list("abcd"),
        Thresholds(reject_at=0.5, review_from=0.5),
        "ok",
    )
    write_json(tmp_path / "evaluation.json", {"test": judged.as_json()})

    class Spec:
        training = asdict(recipe) | {"ran": 3, "wish": {}}

    monkeypatch.setattr(seeds, "read_spec", lambda _path: Spec())
    orders: dict[Path, Order] = {}

    def train(run: Path, order: Order) -> Evaluation:
        orders[run] = order
        return replace(judged, auroc=1 - order.recipe.seed / 100)

    found = train_seeds(tmp_path, 3, train)
    assert sorted(orders) == [tmp_path / "seeds" / "5", tmp_path / "seeds" / "6"]
    assert orders[tmp_path / "seeds" / "5"].recipe == recipe.changed(seed=5)
    assert found["spread"]["auroc"]["mean"] == pytest.approx((1 + 0.95 + 0.94) / 3)
    assert "auroc 0.963 ± 0.032" in as_text(found)
    assert (tmp_path / "seeds.json").is_file()


def test_a_recipe_comes_back_from_the_file() -> None:
    """What a model recorded of its recipe is the recipe, variations included."""
    recipe = usual("pretrained").changed(seed=3, side=224)
    assert recipe_from(recipe.as_json() | {"best_epoch": 2}) == recipe
