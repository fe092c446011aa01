"""The report's section on time: every operator, its work, its milliseconds here and on the box."""

from collections.abc import Sequence
from html import escape

from converter.convert import Conversion
from converter.report.bar_chart import bar_table
from converter.tflite import OperatorTime, operator_times
from trainer.device_latency import Estimate, OperatorWork, format_ms, operator_works
from trainer.report.page import paragraph, section


def speed_section(done: Conversion) -> str:
    """The profile of the model by operator, as HTML."""
    assert done.chosen.built_model is not None
    tflite = done.chosen.built_model.tflite
    times = operator_times(tflite, done.source.frozen)
    works = operator_works(tflite)
    estimated = done.chosen.estimate
    head = ["layer", "operator", "multiply-adds", "of all", "ms here"]
    if estimated is not None:
        head.append("ms on the box, estimated")
    return section(
        "Speed by layer",
        *_box(done, estimated),
        bar_table(head, _rows(times, works, estimated), bars=range(4, len(head))),
        paragraph(
            "Each operator run alone on this machine, one thread. Together "
            f"{sum(timed.milliseconds for timed in times):.2f} ms; the whole model takes "
            f"{done.chosen.runtime_results[0].milliseconds:.2f} ms, because the runtime "
            "saves the ways between. "
            f"{sum(work.multiply_adds for work in works) / 1e6:,.1f} million multiply-adds a "
            "picture.",
            "hint",
        ),
    )


def _box(done: Conversion, estimated: Estimate | None) -> list[str]:
    budget = done.budget
    if estimated is None or budget is None:
        return []
    limit = "" if budget.target is None else f"; the limit is {budget.target:g} ms"
    lines = [paragraph(f"Estimated: {estimated}{limit}.", "answer")]
    if budget.measured_here:
        timed = done.chosen.runtime_results[0].milliseconds
        lines.append(
            paragraph(
                f"Timed on the same machine: {format_ms(timed)} ms.",
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
    """For each operator its cells: what is read, and a length for those that are bars."""
    total = sum(work.multiply_adds for work in works) or 1
    there = (
        [None] * len(works)
        if estimated is None
        else [operator.milliseconds for operator in estimated.operators]
    )
    by_output = {work.output: (work, chosen) for work, chosen in zip(works, there)}
    rows = []
    for timed in times:
        work, chosen = by_output[timed.output]
        count = work.multiply_adds
        row = [
            (timed.layer, 0.0),
            (timed.operator.lower(), 0.0),
            (f"{count:,}" if count else "–", 0.0),
            (f"{count / total:.1%}" if count else "–", 0.0),
            (f"{timed.milliseconds:.3f}", timed.milliseconds),
        ]
        if estimated is not None:
            row.append(("no figure", 0.0) if chosen is None else (f"{chosen:.3f}", chosen))
        rows.append([(escape(text), length) for text, length in row])
    return rows
