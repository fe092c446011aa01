"""The report's section on time: every operator, its work, its milliseconds here and on the box."""

from collections.abc import Sequence
from html import escape

from converter.convert import Conversion
from converter.report.page import bar_table
from converter.tflite.operator_profile import Timed, operator_times
from trainer.device_latency.estimate import Estimate, ms
from trainer.device_latency.operator_work import Work, work_of
from trainer.report.page import section, words


def speed(done: Conversion) -> str:
    """The profile of the model by operator, as HTML."""
    assert done.taken.made is not None
    tflite = done.taken.made.tflite
    times = operator_times(tflite, done.source.frozen)
    works = work_of(tflite)
    said = done.taken.said
    head = ["layer", "operator", "multiply-adds", "of all", "ms here"]
    if said is not None:
        head.append("ms on the box, estimated")
    return section(
        "Speed by layer",
        *_box(done, said),
        bar_table(head, _rows(times, works, said), bars=range(4, len(head))),
        words(
            "Each operator run alone on this machine, one thread. Together "
            f"{sum(timed.milliseconds for timed in times):.2f} ms; the whole model takes "
            f"{done.taken.ran[0].milliseconds:.2f} ms, because the runtime saves the ways between. "
            f"{sum(work.multiply_adds for work in works) / 1e6:,.1f} million multiply-adds a "
            "picture.",
            "hint",
        ),
    )


def _box(done: Conversion, said: Estimate | None) -> list[str]:
    bound = done.bound
    if said is None or bound is None:
        return []
    kept = "" if bound.target is None else f"; it may take {bound.target:g} ms"
    lines = [words(f"Estimated: {said}{kept}.", "answer")]
    if bound.here:
        lines.append(
            words(f"Timed on the same machine: {ms(done.taken.ran[0].milliseconds)} ms.", "hint")
        )
    else:
        sources = "; ".join(
            f"{source.title} ({source.year}): {source.used}" for source in bound.figures.sources
        )
        told = f"The figures of {bound.figures.box} are {bound.figures.whence}."
        lines.append(words(f"{told} {sources}".strip(), "hint"))
    return lines


def _rows(
    times: Sequence[Timed], works: Sequence[Work], said: Estimate | None
) -> list[list[tuple[str, float]]]:
    """For each operator its cells: what is read, and a length for those that are bars."""
    total = sum(work.multiply_adds for work in works) or 1
    there = [None] * len(works) if said is None else [part.milliseconds for part in said.parts]
    by_output = {work.output: (work, taken) for work, taken in zip(works, there)}
    rows = []
    for timed in times:
        work, taken = by_output[timed.output]
        count = work.multiply_adds
        row = [
            (timed.layer, 0.0),
            (timed.operator.lower(), 0.0),
            (f"{count:,}" if count else "–", 0.0),
            (f"{count / total:.1%}" if count else "–", 0.0),
            (f"{timed.milliseconds:.3f}", timed.milliseconds),
        ]
        if said is not None:
            row.append(("no figure", 0.0) if taken is None else (f"{taken:.3f}", taken))
        rows.append([(escape(text), length) for text, length in row])
    return rows
