"""Texts on latency and JPEG decoding on the box."""

from pathlib import Path
from typing import Any

from converter.convert import Conversion
from converter.selection.decode_parity import MIN_CONCERNED
from trainer.device_latency import CostTable, format_ms


def latency_lines(conversion: Conversion) -> list[str]:
    """The latency of the file on the named box, or no line without a box."""
    estimated, budget = conversion.chosen.estimate, conversion.budget
    if estimated is None or budget is None:
        return []
    if not budget.measured_here:
        return [f"estimated {estimated}, {estimated.provenance}"]
    measured = conversion.chosen.runtime_results[0].milliseconds
    deviation = "" if estimated.unknown else f": {estimated.milliseconds / measured - 1:+.0%}"
    return [
        f"estimated {estimated} from its operators, {format_ms(measured)} ms measured{deviation}"
    ]


def parity_text(parity: dict[str, Any]) -> str:
    """The effect of JPEG decoding at reduced scale on the test verdicts."""
    pictures, concerned, flips = parity["pictures"], parity["concerned"], parity["flips"]
    if not concerned:
        return (
            f"not allowed: none of {pictures} test pictures is large enough to be reduced, so "
            "the effect is unknown"
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
        text += f"; {parity['encoded']} are no JPEGs and were encoded with quality 95"
    if concerned < MIN_CONCERNED:
        text += f"; at least {MIN_CONCERNED} large enough pictures are needed"
    allowed = "allowed" if parity["decoding"] == "reduced" else "not allowed"
    return f"{allowed}: {text}"


def figures_text(figures: CostTable, output: Path) -> str:
    """The measured cost table, and the next command."""
    lines = [f"{output}: {figures.box}, {figures.runtime}, one thread"]
    for kernels, of_type in figures.spread.items():
        spreads = ", ".join(f"{dtype} within {share:.0%}" for dtype, share in of_type.items())
        lines.append(
            f"{kernels} kernels: estimates of small networks against measurement: {spreads}"
        )
    lines.append(f"next: edge-convert MODEL --data DATASET -o NAME.tflite --on {output.name}")
    return "\n".join(lines)
