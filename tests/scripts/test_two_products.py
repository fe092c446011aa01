"""The example with two products: its configuration is right, and it tells products apart."""

from pathlib import Path

import pytest
import yaml

from edge.config import load_config
from tests.support.models import MODELS

pytest.importorskip("elpv_dataset", reason="needs the trainer: pip install '.[demo]'")


def test_the_configuration_passes_the_daemons_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two recipes, each with its own model."""
    from scripts import two_products

    monkeypatch.setattr(two_products, "MODEL", MODELS / "redness.tflite")
    monkeypatch.setattr(two_products, "POLY_MODEL", MODELS / "redness.tflite")
    (tmp_path / two_products.BELT.name).mkdir()
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(two_products.config(1884)))
    found = load_config(path)
    assert [one.name for one in found.recipes] == ["mono-cells", "poly-cells"]
    assert found.mqtt.allows("recipe")


def test_a_verdict_of_another_recipe_is_seen() -> None:
    """The name of a cell says its product."""
    from scripts.two_products import product_of, summary, verdict_line

    body = {
        "part": "2-0-1-ok-cell7.png",
        "verdict": "pass",
        "score": 0.25,
        "recipe": {"number": 1, "name": "mono-cells"},
        "model": {"name": "solar-cells"},
    }
    assert product_of("2-0-1-ok-cell7.png") == 2
    assert verdict_line(body).endswith("recipe 1 mono-cells model solar-cells  truth ok")
    assert summary([body]).startswith("mono-cells  pass   1  review   0  fail   0  error   0")
