"""Builds report.html from the folder of a run."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import EdgeInspectError
from edge.core.image import open_picture
from edge.inspection import model_input
from trainer.data.folder_layout import picture_path
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
    """Writes report.html into `run` from the files there, and returns its path.

    `root` is the data set, for the gallery; `tflite` is the converted model, if any. The heat maps
    need TensorFlow. Raises EdgeInspectError for an error that the user can fix.
    """
    run_data = read_run_data(run)
    model, spec = load_trained(run / MODEL)

    def judge(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        return scores(model, spec, pictures)

    say("report         drawing, with heat maps of the most informative pictures")
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
    """The page as HTML. `judge` gives P(defective), (n,), of preprocessed pictures."""
    spec, evaluation = run_data.spec, run_data.evaluation
    found = [sections.verdict_section(run_data)]
    if evaluation.learned:
        found.append(
            section(
                "When a threshold moves",
                paragraph(
                    "The verdicts on these test pictures with other thresholds. Choose by the "
                    "costs of an escape and of a false reject, then set decision.review_from and "
                    "decision.reject_at in config.yaml. Figures of thresholds chosen here prove "
                    "less than those of thresholds chosen before."
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
        pictures = [
            model_input(open_picture(picture_path(root, row.file)), spec.input)
            for row in run_data.test[:8]
        ]
        found.append(conversion_section(tflite, np.stack(pictures)))
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
        "Pictures to check",
        paragraph(
            "Each picture twice, the second time with a heat map: covering a red region lowers the "
            "score more than covering other regions; covering a blue one raises it. A red region "
            "beside the part means that the network does not judge by the part."
        ),
        *shown,
    )
