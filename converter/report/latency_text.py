"""Texts on latency and JPEG decoding on the box."""

from pathlib import Path

from converter.convert import Conversion
from edge.inspection import InspectionSpec
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


def decoding_text(spec: InspectionSpec) -> str:
    """How a box decodes JPEGs for this model."""
    if spec.decoding == "reduced":
        return "at the scale that the model needs, as model/1 permits it"
    rule = spec.input.decoding
    words = "whole"
    if rule is not None and rule.smallest_multiple is not None:
        words = f"at the smallest scale that leaves {rule.smallest_multiple:g} × the input's sides"
    return f"{words}, grey levels only" if rule is not None and rule.luma else words


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
