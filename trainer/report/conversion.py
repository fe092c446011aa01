"""What became of the network in the model file: its figures, and its speed."""

import statistics
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.inspection import load_inspector
from trainer.report.page import paragraph, section, table

WARM, TIMED = 3, 30


def conversion_section(tflite: Path, pictures: NDArray[np.uint8]) -> str:
    """Figures that the file carries, and the time a picture takes here.

    `pictures` is uint8, (n, height, width, channels), as the model takes them. Raises ModelError
    when the file cannot be read.
    """
    inspector = load_inspector(tflite)
    spec = inspector.file.spec
    rows = [["size", f"{len(inspector.file.content) / 1024:,.0f} KB"]]
    rows.append(["one picture, here", f"{_milliseconds(inspector, pictures):.2f} ms (median)"])
    if spec is not None:
        rows += _said(spec.quantisation, spec.metrics)
        rows.append(["version", spec.version])
    return section(
        "The model file",
        table(["", ""], rows),
        paragraph(
            f"{tflite.name}; times are of this machine, one thread. edge-inspect bench says what "
            "the box does.",
            "hint",
        ),
    )


def _said(quantisation: dict[str, object], metrics: dict[str, object]) -> list[list[str]]:
    # Free-form dictionaries: a file of another version may say less.
    rows = []
    compared = quantisation.get("compared")
    if isinstance(compared, dict):
        before, after = compared.get("auroc_float"), compared.get("auroc_int8")
        if isinstance(before, float) and isinstance(after, float):
            rows.append(["AUROC, float to file", f"{before:.4f} to {after:.4f}"])
        flips, total = compared.get("pass_fail_flips"), compared.get("pictures")
        rows.append(["verdicts that flip between pass and fail", f"{flips} of {total}"])
    for name, key in (("escapes", "escapes"), ("false rejects", "false_rejects")):
        rate = metrics.get(key)
        if isinstance(rate, dict):
            rows.append([f"{name} in the file", f"{rate.get('k')} of {rate.get('n')}"])
    return rows


def _milliseconds(inspector: object, pictures: NDArray[np.uint8]) -> float:
    judge = inspector.judge  # type: ignore[attr-defined]
    for at in range(WARM):
        judge(pictures[at % len(pictures)])
    taken = []
    for at in range(TIMED):
        start = time.perf_counter()
        judge(pictures[at % len(pictures)])
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000
