"""report.html has the right figures, loads nothing, and its slider counts correctly."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.core.errors import EdgeInspectError
from edge.inspection.decision import Thresholds
from edge.inspection.model_file import OutputSpec
from edge.inspection.preprocessing import InputSpec
from tests.trainer.conftest import Draw
from trainer.data.dataset import load_dataset
from trainer.evaluation.finalize import ScoredPicture, scored_pictures
from trainer.evaluation.metrics import evaluate
from trainer.networks.trained_model import TrainedSpec
from trainer.report.build import render
from trainer.report.gallery import choose_pictures
from trainer.report.occlusion_map import GRID, occlusion_map, overlaid
from trainer.report.run_data import RunData, read_run_data

pytestmark = pytest.mark.usefixtures("require_train")

SPEC = TrainedSpec(
    name="tiles <b>",
    version="1",
    labels=("ok", "scratch"),
    input=InputSpec(width=24, height=24),
    output=OutputSpec(kind="probabilities", temperature=1.3),
    thresholds=Thresholds(reject_at=0.6, review_from=0.3, chosen="manually"),
    training={"network": "baseline", "seed": 0},
    data={"counts": {"test": {"ok": 30, "scratch": 30}}, "fingerprint": "f00"},
)
HISTORY = [
    {
        "number": n,
        "loss": 1 / n,
        "validation_loss": 1.2 / n,
        "validation_auroc": 0.5 + n / 20,
        "best": n == 3,
    }
    for n in range(1, 5)
]


def _brightness(pictures: np.ndarray) -> np.ndarray:
    """A model that finds bright spots: P(defective), (n,)."""
    return np.asarray(1 / (1 + np.exp(-(pictures.max(axis=(1, 2, 3)).astype(float) - 160) / 10)))


def _run_data(run: Path, test: tuple[ScoredPicture, ...], spec: TrainedSpec = SPEC) -> RunData:
    evaluation = evaluate(
        [row.score for row in test],
        [row.label for row in test],
        [row.group for row in test],
        spec.thresholds,
        "ok",
    )
    return RunData(run, spec, evaluation, test, (), HISTORY, {}, {})


@pytest.fixture
def run_data(draw_dataset: Draw) -> RunData:
    """The data of a run with slightly overlapping scores."""
    root = draw_dataset(30)
    samples = load_dataset(root).of("test")
    rng = np.random.default_rng(2)
    odds = rng.normal([3.0 if sample.label != "ok" else -3.0 for sample in samples], 2.0)
    return _run_data(root, tuple(scored_pictures(samples, 1 / (1 + np.exp(-odds)))))


def test_the_page_loads_nothing(run_data: RunData) -> None:
    """The page has no address and no external resource, and its policy forbids requests."""
    page = render(run_data, run_data.run, _brightness)
    assert "http:" not in page
    assert "https:" not in page
    assert not re.search(r'(src|href)="(?!data:image/jpeg;base64,)', page)
    assert not re.search(r"@import|url\(|<link|<iframe|fetch\(|XMLHttpRequest", page)
    assert "default-src 'none'" in page


def test_the_page_has_the_figures_of_the_evaluation(run_data: RunData) -> None:
    """The page has the counts, the claim, the thresholds and the classes of the evaluation."""
    text = html.unescape(render(run_data, run_data.run, _brightness))
    evaluation = run_data.evaluation
    assert f"{evaluation.auroc:.3f}" in text
    assert evaluation.claims.escape.as_text() in text
    assert f"Escapes: {evaluation.escapes.k}" in text
    assert f"False rejects: {evaluation.false_rejects.k}" in text
    assert "0.6000" in text
    assert "manually" in text
    assert "tiles <b>, version 1" in text
    assert "tiles &lt;b&gt;" in render(run_data, run_data.run, _brightness)


def test_a_model_that_is_not_learned_gets_no_figures(run_data: RunData) -> None:
    """The page has no slider, no verdict table and no gallery: only the verdict and the reason."""
    shuffled = tuple(replace(row, score=0.5) for row in run_data.test)
    page = render(_run_data(run_data.run, shuffled), run_data.run, _brightness)
    assert "Not learned: do not use this model." in page
    assert 'id="slider"' not in page
    assert "Escapes" not in page
    assert "at most" not in page


def test_audit_and_comparison_are_shown(run_data: RunData) -> None:
    """The page shows the findings of the audit and the candidates, escaped."""
    audit = {
        "leaks": [{"file": "test/a<.png", "twin": "train/b.png", "how": "rotated"}],
        "unreadable": [],
        "suspected_mislabels": [{"file": "x.png"}],
    }
    one = {
        "title": "compact 128 px",
        "parameters": 185362,
        "multiply_adds": 47_000_000,
        "validation": {"auroc": 0.7, "recall": 0.5, "at_false_reject": 0.05},
        "milliseconds": 0.41,
        "recommended": True,
    }
    found = {"candidates": [one, {"title": "odd"}], "why": "compact: because"}
    plain = _run_data(
        run_data.run, tuple(replace(row, score=0.9 * row.score) for row in run_data.test)
    )
    page = render(
        replace(run_data, audit=audit, candidates=found, baseline=plain), run_data.run, _brightness
    )
    assert "test/a&lt;.png = train/b.png (rotated)" in page
    assert "compact: because" in page
    short = {"leaks": 3, "leaks_allowed": True, "giveaways": [{"what": "brightness", "auroc": 1}]}
    text = render(replace(run_data, audit=short), run_data.run, _brightness)
    assert "every figure here flatters" in text
    assert "brightness alone separates" in text
    assert "185,362" in page
    assert "by 0.000 (95 % interval 0.000 to 0.000)" in page


def test_the_gallery_shows_the_worst_pictures(run_data: RunData) -> None:
    """Escapes are sorted by score, at most eight; no picture is shown twice."""
    chosen = choose_pictures(run_data.test, SPEC.thresholds, "ok")
    assert chosen.all_escapes == run_data.evaluation.escapes.k
    assert chosen.all_false_rejects == run_data.evaluation.false_rejects.k
    assert list(chosen.escapes) == sorted(chosen.escapes, key=lambda row: row.score)
    files = [row.file for row in (*chosen.escapes, *chosen.false_rejects, *chosen.closest)]
    assert len(set(files)) == len(files)
    assert len(chosen.closest) <= 8


def test_the_heat_map_marks_the_defect() -> None:
    """Only covering the bright spot lowers the score."""
    picture = np.full((45, 45, 3), 60, np.uint8)
    picture[30:36, 5:11] = 250
    heat = occlusion_map(picture, _brightness)
    assert heat.shape == (GRID, GRID)
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    assert 5 <= row <= 7
    assert column <= 2
    assert abs(heat[0, 8]) < 1e-9
    drawn = overlaid(picture, heat)
    assert drawn.shape == (45, 45, 3)
    assert drawn[33, 8, 0] > drawn[33, 8, 2]


def test_a_run_without_scores_is_named(tmp_path: Path) -> None:
    """A folder that is no run gives an error with its path."""
    with pytest.raises(EdgeInspectError, match=re.escape(str(tmp_path))):
        read_run_data(tmp_path)


def _dom_after(page: str, folder: Path, act: str) -> str:
    """The DOM of the page in headless Chromium after the script `act` ran."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium; run: apt-get install chromium")
    file = folder / "page.html"
    file.write_text(page.replace("</main>", f"<script>{act}</script></main>"), encoding="utf-8")
    done = subprocess.run(
        [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.stdout


def test_the_slider_shows_the_counts_of_the_evaluation(run_data: RunData, tmp_path: Path) -> None:
    """At other thresholds the page shows the counts of an evaluation with these thresholds."""
    page = render(run_data, run_data.run, _brightness)
    data = json.loads(re.search(r"var d = (\{.*?\});", page)[1])  # type: ignore[index]
    review, reject = len(data["line"]) // 4, 3 * len(data["line"]) // 4
    act = (
        "var a=document.getElementById('s-review'),b=document.getElementById('s-reject');"
        f"b.value={reject};b.dispatchEvent(new Event('input'));"
        f"a.value={review};a.dispatchEvent(new Event('input'));"
    )
    dumped = _dom_after(page, tmp_path, act)
    at = Thresholds(reject_at=data["line"][reject], review_from=data["line"][review])
    again = _run_data(run_data.run, run_data.test, SPEC.replace(thresholds=at)).evaluation
    for name, rate in (
        ("s-escapes", again.escapes),
        ("s-failed", again.false_rejects),
        ("s-reviews", again.reviews),
    ):
        shown = re.search(rf'id="{name}">([^<]*)<', dumped)
        assert shown is not None
        assert shown[1].startswith(f"{rate.k} of {rate.n} ("), name
    assert f"at most {round(100 * again.escapes.at_most, 2):g} %" in dumped


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow")
def test_a_training_on_noise_is_refused_with_a_report(
    tmp_path: Path, draw_dataset: Draw, capsys: pytest.CaptureFixture[str]
) -> None:
    """Noise gives exit code 1 and a report; nothing passes, and the converter refuses."""
    import cv2

    from converter.cli.main import main as convert_main
    from trainer.cli.main import main
    from trainer.networks.trained_model import read_spec

    data, run = draw_dataset(14), tmp_path / "run"
    rng = np.random.default_rng(0)
    for path in data.rglob("*.png"):
        cv2.imwrite(str(path), rng.integers(0, 255, (24, 24, 3)).astype(np.uint8))
    assert main([str(data), "-o", str(run), "--network", "baseline", "--epochs", "1"]) == 1
    assert "not learned" in capsys.readouterr().err
    assert "Not learned" in (run / "report.html").read_text(encoding="utf-8")
    spec = read_spec(run / "model.keras")
    assert spec is not None
    assert (spec.thresholds.review_from, spec.thresholds.reject_at) == (0, 1)
    assert read_run_data(run).test[0].as_json()["part"] == "test"
    output = tmp_path / "m.tflite"
    assert convert_main([str(run / "model.keras"), "--data", str(data), "-o", str(output)]) == 1
    assert "not learned" in capsys.readouterr().err
    assert not output.exists()
    assert main([str(data), "-o", str(tmp_path / "r2"), "--max-escape", "0.1%"]) == 1
    assert "2,995 defects with 0 escapes" in capsys.readouterr().err
    assert not (tmp_path / "r2").exists()
