"""The section about the converted model file: its figures and its speed."""

import statistics
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.inspection import Inspector, load_inspector
from trainer.report.page import paragraph, section, table

WARM_UP_CALLS, TIMED_CALLS = 3, 30


def conversion_section(tflite: Path, pictures: NDArray[np.uint8]) -> str:
    """The figures in the file, and the time of a picture on this machine.

    `pictures` is uint8, (n, height, width, channels), preprocessed. Raises ModelError when the
    file cannot be read.
    """
    inspector = load_inspector(tflite)
    spec = inspector.file.spec
    rows = [["size", f"{len(inspector.file.content) / 1024:,.0f} KB"]]
    rows.append(["one picture, here", f"{_milliseconds(inspector, pictures):.2f} ms (median)"])
    if spec is not None:
        rows += _recorded_figures(spec.quantisation, spec.metrics)
        rows.append(["version", spec.version])
    return section(
        "The model file",
        table(["", ""], rows),
        paragraph(
            f"{tflite.name}; times are of this machine, one thread. edge-inspect bench measures "
            "the box.",
            "hint",
        ),
    )


def _recorded_figures(
    quantisation: dict[str, object], metrics: dict[str, object]
) -> list[list[str]]:
    # Free-form dictionaries: a file of another version may lack keys.
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


def _milliseconds(inspector: Inspector, pictures: NDArray[np.uint8]) -> float:
    for at in range(WARM_UP_CALLS):
        inspector.judge(pictures[at % len(pictures)])
    taken = []
    for at in range(TIMED_CALLS):
        start = time.perf_counter()
        inspector.judge(pictures[at % len(pictures)])
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000
