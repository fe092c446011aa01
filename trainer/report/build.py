"""From the folder of a run to report.html."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import EdgeInspectError
from edge.core.image import read_picture
from edge.inspection import preprocess
from trainer.networks import load_trained, scores
from trainer.report import sections
from trainer.report.audit_section import audit_section
from trainer.report.comparison import comparison_section
from trainer.report.conversion import conversion_section
from trainer.report.gallery import cards, choose_pictures
from trainer.report.occlusion_map import ScoreFunction
from trainer.report.page import page, paragraph, section
from trainer.report.run_data import RunData, read_run_data
from trainer.report.threshold_slider import threshold_slider
from trainer.training.run_folder import MODEL

REPORT = "report.html"


def build_report(
    run: Path,
    root: Path,
    tflite: Path | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Path:
    """Writes report.html into `run` from what stands there, and returns its path.

    `root` is the data set, for the gallery; `tflite` the converted model, if there is one. Needs
    TensorFlow for the heat maps. Raises EdgeInspectError for an error that the user can fix.
    """
    run_data = read_run_data(run)
    model, spec = load_trained(run / MODEL)

    def judge(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        return scores(model, spec, pictures)

    say("report         drawing, with heat maps of the pictures worth a look")
    text = render(run_data, root, judge, tflite)
    target = run / REPORT
    half = target.with_name(f".{REPORT}.{os.getpid()}")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(target)
    except OSError as error:
        raise EdgeInspectError(
            f"{target}: cannot be written ({error.strerror}); check the disk and the folder's "
            "permissions"
        ) from error
    finally:
        half.unlink(missing_ok=True)
    return target


def render(run_data: RunData, root: Path, judge: ScoreFunction, tflite: Path | None = None) -> str:
    """The page. `judge` gives P(defective), (n,), of pictures as the model takes them."""
    spec, evaluation = run_data.spec, run_data.evaluation
    found = [sections.verdict_section(run_data)]
    if evaluation.learned:
        found.append(
            section(
                "When a threshold moves",
                paragraph(
                    "What these test pictures would have got with other thresholds. Choose by what "
                    "an escape and a false reject cost you, then set decision.review_from and "
                    "decision.reject_at in config.yaml; what was seen while choosing proves less "
                    "than what was chosen before."
                ),
                threshold_slider(evaluation, run_data.scores, run_data.defective),
            )
        )
    found += [sections.ranking_section(run_data), sections.scores_section(run_data)]
    if evaluation.learned:
        found += [_gallery(run_data, root, judge), sections.calibration_section(run_data)]
    found += [
        comparison_section(run_data),
        sections.data_section(run_data),
        audit_section(run_data),
        sections.training_section(run_data),
    ]
    if tflite is not None:
        some = [preprocess(read_picture(root / row.file), spec.input) for row in run_data.test[:8]]
        found.append(conversion_section(tflite, np.stack(some)))
    tools = ", ".join(f"{name} {version}" for name, version in sorted(spec.tools.items()))
    return page(
        f"{spec.name}, version {spec.version}",
        sections.summary(evaluation),
        found,
        f"made with {tools}",
        scripts=True,
    )


def _gallery(run_data: RunData, root: Path, judge: ScoreFunction) -> str:
    spec = run_data.spec
    chosen = choose_pictures(run_data.test, spec.thresholds, spec.ok_label)
    shown = [
        sections.gallery_section(title, meaning, cards(rows, root, spec.input, judge))
        for title, meaning, rows in (
            (
                f"Escapes: {chosen.all_escapes}",
                "Defects that pass, the surest mistakes first.",
                chosen.escapes,
            ),
            (
                f"False rejects: {chosen.all_false_rejects}",
                "Good parts that fail, the surest mistakes first.",
                chosen.false_rejects,
            ),
            (
                "Closest calls",
                "Judged rightly or sent to a person, but nearest to a threshold.",
                chosen.closest,
            ),
        )
    ]
    return section(
        "Pictures worth a look",
        paragraph(
            "Each picture twice, the second time with what the network looked at: covering a red "
            "region lowers the score more than covering others does, covering a blue one raises "
            "it. A red region beside the part means that it judges by something else than the part."
        ),
        *shown,
    )
