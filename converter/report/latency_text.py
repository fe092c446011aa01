"""What people read of a box: what a file takes there, and how it may decode its pictures."""

from pathlib import Path
from typing import Any

from converter.convert import Conversion
from converter.selection.decode_parity import LEAST_CONCERNED
from trainer.device_latency import CostTable, format_ms


def latency_lines(done: Conversion) -> list[str]:
    """What the file takes on the box that was named; nothing where none was."""
    estimated, budget = done.chosen.estimate, done.budget
    if estimated is None or budget is None:
        return []
    if not budget.measured_here:
        return [f"estimated {estimated}, {estimated.provenance}"]
    measured = done.chosen.runtime_results[0].milliseconds
    off = "" if estimated.unknown else f": {estimated.milliseconds / measured - 1:+.0%}"
    return [f"estimated {estimated} from its operators, {format_ms(measured)} ms timed{off}"]


def parity_text(parity: dict[str, Any]) -> str:
    """What decoding JPEGs at the scale that the model needs was seen to change."""
    pictures, concerned, flips = parity["pictures"], parity["concerned"], parity["flips"]
    if not concerned:
        return (
            f"not allowed: none of {pictures} test pictures is large enough to be reduced, so "
            "nothing is known"
        )
    golden = parity["golden_flips"]
    text = (
        f"{flips} of {concerned} verdicts change ({pictures} test pictures), the largest change "
        f"of a score is {parity['largest_score_change']:.4f}, the mean "
        f"{parity['mean_score_change']:.4f}"
    )
    if golden:
        text += f"; golden pictures change: {', '.join(golden)}"
    if parity["encoded"]:
        text += f"; {parity['encoded']} are no JPEGs and were made into some of quality 95"
    if concerned < LEAST_CONCERNED:
        text += f"; {LEAST_CONCERNED} that are large enough are needed to know"
    allowed = "allowed" if parity["decoding"] == "reduced" else "not allowed"
    return f"{allowed}: {text}"


def figures_text(figures: CostTable, output: Path) -> str:
    """What was measured, and what to do with it."""
    lines = [f"{output}: {figures.box}, {figures.runtime}, one thread"]
    for kernels, of_type in figures.spread.items():
        spreads = ", ".join(f"{dtype} within {share:.0%}" for dtype, share in of_type.items())
        lines.append(f"{kernels} kernels: little networks, timed and estimated: {spreads}")
    lines.append(f"next: edge-convert MODEL --data DATASET -o NAME.tflite --on {output.name}")
    return "\n".join(lines)
