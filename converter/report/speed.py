"""The report's section on time: the work and the milliseconds of every operator."""

from collections.abc import Sequence
from html import escape

from converter.convert import Conversion
from converter.report.bar_chart import bar_table
from converter.tflite import OperatorTime, operator_times
from trainer.device_latency import Estimate, OperatorWork, format_ms, operator_works
from trainer.report.page import paragraph, section


def speed_section(conversion: Conversion) -> str:
    """The profile by operator, as HTML: work, time on this machine, estimate for the box."""
    assert conversion.chosen.built_model is not None
    tflite = conversion.chosen.built_model.tflite
    times = operator_times(tflite, conversion.source.frozen)
    works = operator_works(tflite)
    estimated = conversion.chosen.estimate
    head = ["layer", "operator", "multiply-adds", "of all", "ms here"]
    if estimated is not None:
        head.append("ms on the box, estimated")
    return section(
        "Speed by layer",
        *_box_lines(conversion, estimated),
        bar_table(head, _rows(times, works, estimated), bar_columns=range(4, len(head))),
        paragraph(
            "Each operator runs alone on this machine, on one thread. The sum is "
            f"{sum(timed.milliseconds for timed in times):.2f} ms. The whole model takes "
            f"{conversion.chosen.runtime_results[0].milliseconds:.2f} ms, because the runtime "
            "saves copies between operators. It has "
            f"{sum(work.multiply_adds for work in works) / 1e6:,.1f} million multiply-adds per "
            "picture.",
            "hint",
        ),
    )


def _box_lines(conversion: Conversion, estimated: Estimate | None) -> list[str]:
    budget = conversion.budget
    if estimated is None or budget is None:
        return []
    limit = "" if budget.target is None else f"; the limit is {budget.target:g} ms"
    lines = [paragraph(f"Estimated: {estimated}{limit}.", "answer")]
    if budget.measured_here:
        timed = conversion.chosen.runtime_results[0].milliseconds
        lines.append(
            paragraph(
                f"Measured on this machine: {format_ms(timed)} ms.",
                "hint",
            )
        )
    else:
        sources = "; ".join(
            f"{source.title} ({source.year}): {source.used}" for source in budget.costs.sources
        )
        text = f"The figures of {budget.costs.box} are {budget.costs.provenance}."
        lines.append(paragraph(f"{text} {sources}".strip(), "hint"))
    return lines


def _rows(
    times: Sequence[OperatorTime], works: Sequence[OperatorWork], estimated: Estimate | None
) -> list[list[tuple[str, float]]]:
    """The cells of each operator: (text, length of the bar or 0)."""
    total = sum(work.multiply_adds for work in works) or 1
    on_box: list[float | None] = [None] * len(works)
    if estimated is not None:
        on_box = [operator.milliseconds for operator in estimated.operators]
    by_output = {work.output: (work, box_ms) for work, box_ms in zip(works, on_box)}
    rows = []
    for timed in times:
        work, box_ms = by_output[timed.output]
        count = work.multiply_adds
        row = [
            (timed.layer, 0.0),
            (timed.operator.lower(), 0.0),
            (f"{count:,}" if count else "–", 0.0),
            (f"{count / total:.1%}" if count else "–", 0.0),
            (f"{timed.milliseconds:.3f}", timed.milliseconds),
        ]
        if estimated is not None:
            row.append(("no figure", 0.0) if box_ms is None else (f"{box_ms:.3f}", box_ms))
        rows.append([(escape(text), length) for text, length in row])
    return rows
