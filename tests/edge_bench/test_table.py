"""The tables and the chart of a report, and its schema."""

import copy
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from edge_bench.plan import SECTIONS
from edge_bench.stage_chart import bars, draw
from edge_bench.table import table
from tests.edge_bench.samples import bench_validator, report


def without_runs() -> dict[str, Any]:
    """A report in which no run was valid."""
    empty = report(("throughput 1080p, round 1: 2 verdicts were errors",))
    for cell in empty["throughput"]:
        cell.update({"bare": None, "by_hand": None, "side_by_side": [], "daemon": [], "rounds": []})
    empty["latency"][0].update(
        {"frames": 0, "ms": None, "over_bare_ms": None, "over_bare_paced_ms": None, "rounds": []}
    )
    for section, keys in (
        ("start", ("ready_s", "first_verdict_s")),
        ("memory", ("steady_mb", "steady_alone_mb", "peak_mb")),
        ("rates", ("cpu_percent", "frames_s")),
    ):
        for cell in empty[section]:
            cell.update(dict.fromkeys(keys), rounds=[])
    for key in ("cpu_percent", "wakeups_s", "daemon_cpu_percent", "daemon_wakeups_s"):
        empty["idle"][0][key] = None
    return empty


@pytest.mark.parametrize("sample", [report(), without_runs()], ids=["valid", "nothing valid"])
def test_samples_match_the_schema(sample: dict[str, Any]) -> None:
    """The sample reports match docs/schema/bench.schema.json."""
    bench_validator().validate(sample)


def test_every_figure_is_shown() -> None:
    """The tables have all measurements, ratios and missing interpreters."""
    text = table(report())
    for figure in (
        "× bare",
        "0.96",
        "1.10",
        "4.00",
        "1.85",
        "1.95",
        "takes 0.70 ms to flush one page (p95 1.40, p99 2.10)",
        "p99 − bare",
        "READY",
        "12.50",
        "at 1/8",
    ):
        assert figure in text
    assert "tflite-runtime is not installed" in text
    assert "per extra camera" in text
    assert "20.0" in text  # (130 − 90) / 2 cameras
    assert "no errors, no missing verdicts" in text


@pytest.mark.parametrize(("slowest", "is_reported"), [(90.0, False), (80.0, True)])
def test_a_machine_with_changing_speed_is_reported(slowest: float, is_reported: bool) -> None:
    """A bare loop with different speeds per round gives a warning."""
    unsteady = report()
    runs = unsteady["throughput"][0]["rounds"]
    runs += [copy.deepcopy(runs[0]) for _ in range(2)]
    for run, fps in zip(runs, (100.0, 95.0, slowest)):
        run["bare"]["fps"] = fps
    assert ("ran at 80 to 100 frames/s" in table(unsteady)) is is_reported
    assert ("changes its speed" in table(unsteady)) is is_reported


def test_columns_are_aligned_and_lines_end_with_text() -> None:
    """Numbers of a column end at one place; no line has trailing spaces."""
    lines = table(report()).splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("source  READY"))
    assert len(lines[at]) == len(lines[at + 1])
    assert not any(line != line.rstrip() for line in lines)


def test_invalid_runs_are_reported() -> None:
    """A report without a valid run has its problems and no figures."""
    text = table(without_runs())
    assert "no valid run" in text
    assert "round 1: 2 verdicts were errors" in text
    assert "no missing verdicts" not in text


_TITLES = {
    "throughput": "Throughput: ",
    "latency": "Frame available ",
    "start": "Start, s ",
    "memory": "Memory, MB ",
    "rates": "CPU, per cent ",
    "idle": "Idle, ",
}


@pytest.mark.parametrize("section", SECTIONS)
def test_sections_that_were_not_measured_are_left_out(section: str) -> None:
    """Each section alone is a valid report with one table."""
    alone = {key: value for key, value in report().items() if key == section or key not in SECTIONS}
    bench_validator().validate(alone)
    lines = table(alone).splitlines()
    found_titles = {
        name for name, title in _TITLES.items() if any(one.startswith(title) for one in lines)
    }
    assert found_titles == {section}


@pytest.mark.parametrize("sample", [report(), without_runs()], ids=["valid", "nothing valid"])
def test_the_chart_is_well_formed(sample: dict[str, Any]) -> None:
    """The chart is one SVG element with escaped texts."""
    root = ET.fromstring(draw(sample))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [element.text for element in root.iter() if element.text]
    assert any("A <processor> & more" in text for text in texts)


def test_bars_are_inside_the_chart_and_as_long_as_the_cpu_time() -> None:
    """The length of each bar is its CPU milliseconds."""
    found = bars(report()["throughput"][0])
    assert [bar.name for bar in found] == [
        "bare loop",
        "daemon, 1 worker",
        "daemon, 2 workers",
        "plain script",
    ]
    assert [bar.total for bar in found] == pytest.approx([4.0, 4.4, 4.4, 16.0])
    assert found[1].stages == pytest.approx((2.5, 1.0, 0.5, 0.4))
    root = ET.fromstring(draw(report()))
    width = float(root.attrib["viewBox"].split()[2])
    for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
        if "x" in rect.attrib:
            assert 0 <= float(rect.attrib["x"]) + float(rect.attrib["width"]) <= width


def test_stages_are_limited_to_the_cpu_time() -> None:
    """Wall-clock stages may be longer than the CPU time; no stage becomes negative."""
    cell = copy.deepcopy(report()["throughput"][0])
    cell["daemon"][0]["cpu_ms"] = 2.0
    bar = bars(cell)[1]
    assert bar.total == pytest.approx(2.0)
    assert min(bar.stages) >= 0
