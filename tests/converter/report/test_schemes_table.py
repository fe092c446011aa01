"""The table of schemes never compares figures of different pictures."""

import re

import numpy as np

from converter.evaluation import compare_scores
from converter.quantization import BuiltModel
from converter.report.text import schemes_text
from converter.selection import SchemeSelection, SchemeTrial
from converter.selection.scheme_trial import RuntimeResult
from edge.inspection import Thresholds

THRESHOLDS = Thresholds(reject_at=0.5, review_from=0.4, chosen="by a test")


def _trial(scheme: str, pictures: int) -> SchemeTrial:
    scores = np.linspace(0, 1, pictures)
    files = [f"{at}.png" for at in range(pictures)]
    diff = compare_scores(files, scores, scores, scores > 0.45, THRESHOLDS)
    return SchemeTrial(
        scheme, (), BuiltModel(scheme, b"x" * 2048), THRESHOLDS, diff, (RuntimeResult("a", 0, 1),)
    )


def test_each_picture_set_has_a_table_of_its_own() -> None:
    """A quick look on 100 pictures stands in another table than 507 pictures."""
    chosen = _trial("int8", 507)
    failed = SchemeTrial("float16", ("cannot be built",))
    trials = (_trial("int8-float-head", 507), chosen, failed, _trial("float32", 100))
    text = schemes_text(SchemeSelection(trials, chosen))
    whole, quick = text.split("a quick look on 100 of the 507 test pictures")
    assert whole.startswith("on all 507 test pictures")
    assert set(re.findall(r"0/(\d+)", whole)) == {"507"}
    assert set(re.findall(r"0/(\d+)", quick)) == {"100"}
    assert "float16" in whole
    assert "not possible" in whole
    assert "float32" in quick
    for part in (whole, quick):
        assert "AUROC" in part


def test_one_picture_set_gives_one_table() -> None:
    """No quick look, no second table."""
    chosen = _trial("int8", 60)
    text = schemes_text(SchemeSelection((chosen, _trial("float32", 60)), chosen))
    assert "quick look" not in text
    assert text.count("AUROC") == 1
