"""The committed models are what their script makes."""

from pathlib import Path
from typing import cast

import pytest

from edge.core.terms import Scaling
from edge.inspection.model_file import load_model_file
from tests.conftest import Require


@pytest.mark.train
def test_script_makes_the_committed_models(
    tmp_path: Path, redness_model: Path, require: Require
) -> None:
    """tests/models/make.py makes the committed models again, with the same scores."""
    require("tensorflow", "pip install '.[train]'")
    from tests.models import make

    make.main(tmp_path)
    for made in sorted(tmp_path.iterdir()):
        committed = redness_model.parent / made.name
        if made.read_bytes() != committed.read_bytes():  # another TensorFlow may order them so
            assert load_model_file(made).spec == load_model_file(committed).spec
            assert _scores(made) == pytest.approx(_scores(committed), abs=1 / 255)


def _scores(path: Path) -> list[float]:
    import numpy as np

    from edge.inspection.inspector import Overrides, load_inspector

    _, *kind = path.stem.removesuffix("-grey").split("-", 2)
    scaling = cast(Scaling, kind[1]) if kind else None
    plain = Overrides(labels=("ok", "red"), scaling=scaling, reject_at=0.6)
    inspector = load_inspector(path, plain if path.stem != "redness" else None)
    solid = [np.full((16, 16, 3), (9, 99, red), np.uint8) for red in range(0, 256, 15)]
    return [inspector.judge(inspector.prepare(pixels)).score for pixels in solid]
