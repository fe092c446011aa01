"""--target-ms and --on: a model that is too slow for the box is refused, with networks that fit."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converter.cli.main import main
from converter.convert import Conversion
from converter.report.speed import speed_section
from converter.selection import latency_gate
from converter.selection import scheme_selection as selection_module
from converter.selection.latency_gate import suggest_networks, too_slow
from converter.tflite.runtimes import LocalRuntime
from edge.inspection.preprocessing import InputSpec
from trainer.device_latency import latency_budget as budget_module
from trainer.device_latency import measure
from trainer.device_latency.cost_table import CostTable, OperatorPrice, find_cost_table
from trainer.device_latency.estimate import estimate
from trainer.device_latency.latency_budget import LatencyBudget, network_options
from trainer.device_latency.network_work import network_work
from trainer.device_latency.operator_work import KINDS, operator_works
from trainer.networks import NETWORKS, input_of

Captured = pytest.CaptureFixture[str]


def _cost_table(multiply_add_ps: float, spread: float = 0.25) -> CostTable:
    price = OperatorPrice(call_us=1.0, multiply_add_ps=multiply_add_ps, value_ns=0.1)
    return CostTable(
        schema_="edge-inspect/figures/1",
        box="the box at line 3",
        origin="measured",
        made="2026-11-28",
        spread={"quickest": {"int8": spread, "float32": spread}},
        runtime="litert",
        invoke_us=5.0,
        prices={
            kernels: {"int8": dict.fromkeys(KINDS, price), "float32": dict.fromkeys(KINDS, price)}
            for kernels in ("quickest", "built-in")
        },
    )


def _write_table(tmp_path: Path, figures: CostTable) -> Path:
    path = tmp_path / "box.json"
    path.write_text(figures.as_json(), "utf-8")
    return path


def _run(*arguments: str | Path) -> int:
    return main([str(argument) for argument in arguments])


def _convert(trained: Path, data: Path, output: Path, *options: str | Path) -> int:
    usual = ("--scheme", "int8-float-head", "--without-tflite-runtime")
    return _run(trained, "--data", data, "-o", output, *usual, *options)


@pytest.mark.train
def test_a_model_that_is_quick_enough_is_converted(
    trained: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """The output has the estimate with its range, the box, and the source of its figures."""
    box = _write_table(tmp_path, _cost_table(10.0))
    output = tmp_path / "rust.tflite"
    assert _convert(trained, data, output, "--on", box, "--target-ms", "50") == 0
    out = capsys.readouterr().out
    assert "on the box at line 3, the limit is 50 ms (measured there on 2026-11-28)" in out
    assert "estimated 0." in out
    assert "on the box" in out.partition("worst layer")[0].splitlines()[-1]  # the table's heading
    page = output.with_suffix(".html").read_text("utf-8")
    assert "ms on the box, estimated" in page
    assert "the limit is 50 ms" in page


@pytest.mark.train
def test_a_model_that_is_too_slow_is_refused_before_it_is_converted(
    trained: Path, data: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 and one sentence with estimate, range, box, limit and networks that fit. No
    conversion runs and no file is written."""
    monkeypatch.setattr(selection_module, "build_model", _must_not_run)
    box = _write_table(tmp_path, _cost_table(1000.0))
    output = tmp_path / "rust.tflite"
    assert _convert(trained, data, output, "--on", box, "--target-ms", "0.01") == 1
    message = capsys.readouterr().err.strip()
    assert len(message.splitlines()) == 1
    assert "refused before the conversion, nothing was written: estimated" in message
    assert "on the box at line 3 in int8, the limit is 0.01 ms" in message
    assert "none of our networks does: the quickest, compact at 64 pixels" in message
    assert list(tmp_path.iterdir()) == [box]


def _must_not_run(*_arguments: Any) -> None:
    raise AssertionError("no conversion may run here")


@pytest.mark.train
def test_a_scheme_that_is_too_slow_gives_way_to_the_next(
    trained: Path, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    """The slower of two schemes is refused with its estimate, and the faster is chosen."""
    figures = _cost_table(10.0)
    slow_prices = {"float32": dict.fromkeys(KINDS, OperatorPrice(call_us=900.0))}
    prices = {kernels: {**of_type, **slow_prices} for kernels, of_type in figures.prices.items()}
    output = tmp_path / "rust.tflite"
    box = _write_table(tmp_path, figures.replace(prices=prices))
    called = ("--on", box, "--target-ms", "0.5", "--without-tflite-runtime")
    assert _run(trained, "--data", data, "-o", output, *called) == 0
    out = capsys.readouterr().out
    assert "int8-float-head: estimated" in out
    states = dict(line.split()[:2] for line in out.splitlines() if len(line.split()) > 8)
    assert states["int8-float-head"] == "refused"
    assert states["int8"] == "taken"


@pytest.mark.train
def test_a_refusal_for_time_alone_names_what_fits(conversion: Conversion) -> None:
    """When every scheme is too slow, the fix is another network, not another data set."""
    trials = [trial for trial in conversion.selection.trials if trial.scheme == "int8-float-head"]
    budget = LatencyBudget(_cost_table(100.0), 5.0, measured_here=False)
    assert trials[0].built_model is not None
    slow = [
        replace(t, estimate=budget.estimate(operator_works(t.built_model.tflite) * 400))
        for t in trials
        if t.built_model
    ]
    assert all(too_slow(trial, budget) for trial in slow)
    assert "compact at up to" in (suggest_networks(slow, budget) or "")
    quick = [replace(trial, estimate=budget.estimate(())) for trial in slow]
    assert suggest_networks([*slow, *quick], budget) is None
    assert suggest_networks(slow, None) is None


@pytest.mark.train
def test_on_this_machine_the_model_is_timed(
    trained: Path, data: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cost table is measured here; the output compares estimate and measurement."""
    monkeypatch.setattr(measure, "measure_cost_table", lambda: _cost_table(10.0))
    output = tmp_path / "rust.tflite"
    assert _convert(trained, data, output, "--target-ms", "500") == 0
    out = capsys.readouterr().out
    assert "timing operators on this machine" in out
    assert "on this machine from its operators, " in out
    assert " ms measured: " in out


@pytest.mark.train
def test_on_this_machine_the_clock_refuses(
    trained: Path, data: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose measured time is over the limit is refused, whatever the estimate."""
    monkeypatch.setattr(measure, "measure_cost_table", lambda: _cost_table(0.0))
    monkeypatch.setattr(latency_gate, "network_options", lambda *_: _free_network())
    monkeypatch.setattr(LocalRuntime, "rows", _with_1000_ms(LocalRuntime.rows))
    output = tmp_path / "rust.tflite"
    assert _convert(trained, data, output, "--target-ms", "20") == 1
    assert "it takes 1000 ms here, the limit is 20 ms" in capsys.readouterr().err
    assert not output.exists()


def _free_network() -> Any:
    """One network with an estimate of zero."""
    return (budget_module.NetworkOption("compact", 64, estimate((), _cost_table(0.0))),)


def _with_1000_ms(rows: Any) -> Any:
    def slow(self: LocalRuntime, tflite: bytes, pictures: Any, model: str) -> Any:
        return rows(self, tflite, pictures, model)[0], 1000.0

    return slow


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--target-ms", "0"), 2, "'0' is no number of milliseconds above 0"),
        (("--target-ms", "soon"), 2, "'soon' is no number of milliseconds"),
        (("--on", "pi6"), 2, "--on pi6: is none of pi4, pi5 and this"),
    ],
)
def test_a_bad_box_is_a_usage_error(
    options: tuple[str, ...], code: int, words: str, tmp_path: Path, capsys: Captured
) -> None:
    """A bad option gives exit code 2 and the value, before TensorFlow is imported."""
    assert _run("m.keras", "--data", tmp_path, "-o", tmp_path / "m.tflite", *options) == code
    assert words in capsys.readouterr().err


def test_figures_are_written_by_a_command(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command writes a file for --on and prints the next command."""
    monkeypatch.setattr(measure, "measure_cost_table", lambda _progress: _cost_table(10.0))
    output = tmp_path / "line3.json"
    assert _run("figures", "-o", output) == 0
    assert find_cost_table(str(output)) == _cost_table(10.0)
    out = capsys.readouterr().out
    assert "the box at line 3" in out
    assert "--on line3.json" in out
    assert _run("figures", "-o", tmp_path / "nowhere" / "x.json") == 2
    assert "no such folder" in capsys.readouterr().err


def test_figures_are_measured_here(tmp_path: Path) -> None:
    """The command with few rounds measures prices of every kind, without TensorFlow."""
    pytest.importorskip("ai_edge_litert", reason="pip install ai-edge-litert")
    output = tmp_path / "this.json"
    code = (
        "import sys\n"
        "from trainer.device_latency import measure\n"
        "measure.ROUNDS, measure.MIN_SECONDS = 1, 0.0\n"
        "from converter.cli.main import main\n"
        f"assert main(['figures', '-o', {str(output)!r}]) == 0\n"
        "assert not {'tensorflow', 'keras', 'scipy', 'rich'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text("utf-8"))
    assert found["origin"] == "measured"
    assert set(found["prices"]) == set(found["spread"]) == {"quickest", "built-in"}
    for of_type in found["prices"].values():
        assert {dtype: set(prices) for dtype, prices in of_type.items()} == {
            "int8": set(KINDS),
            "float32": set(KINDS),
        }


@pytest.mark.train
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize("name", ["baseline", "compact"])
def test_a_network_costs_before_conversion_what_its_file_does(name: str, tmp_path: Path) -> None:
    """Multiply-adds and estimate from Keras layers and from converted operators agree within 2 %.
    So the trainer refuses the same networks as the converter."""
    from converter.loading.source_model import SourceOverrides, load_source_model
    from converter.quantization.quantization_schemes import FLOAT_HEAD, build_model
    from edge.inspection.decision import Thresholds
    from edge.inspection.model_file import OutputSpec
    from trainer.networks.trained_model import TrainedSpec, save_trained

    spec: InputSpec = input_of(name, 64)
    model = NETWORKS[name].build(spec, 2)
    path = tmp_path / "m.keras"
    trained_spec = TrainedSpec(
        name=name,
        version="1",
        labels=("ok", "bad"),
        input=spec,
        output=OutputSpec(kind="probabilities"),
        thresholds=Thresholds(reject_at=0.5, review_from=0.5),
    )
    save_trained(model, trained_spec, path)
    noise = _noise((8, *spec.shape))
    built_model = build_model(
        FLOAT_HEAD, load_source_model(path, SourceOverrides()).frozen, noise, name
    )
    before, after = network_work(model), operator_works(built_model.tflite)
    figures = find_cost_table("pi4")
    assert estimate(after, figures).unknown == estimate(before, figures).unknown == ()
    counts = [sum(work.multiply_adds for work in works) for works in (before, after)]
    assert counts[0] == pytest.approx(counts[1], rel=0.02)
    chosen = [estimate(works, figures).milliseconds for works in (before, after)]
    assert chosen[0] == pytest.approx(chosen[1], rel=0.02)


def _noise(shape: tuple[int, ...]) -> Any:
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


@pytest.mark.train
@pytest.mark.usefixtures("tensorflow")
def test_every_network_is_an_option() -> None:
    """Each network is an option at every size; a larger size is never faster."""
    options_found = network_options(
        LatencyBudget(find_cost_table("pi5"), None, measured_here=False)
    )
    assert {one.network for one in options_found} == set(NETWORKS)
    for name in NETWORKS:
        chosen = [one.estimate.milliseconds for one in options_found if one.network == name]
        assert chosen == sorted(chosen, reverse=True)
        assert not any(one.estimate.unknown for one in options_found)


@pytest.mark.train
def test_the_report_has_a_line_for_each_operator(conversion: Conversion) -> None:
    """A row has layer, operator, multiply-adds, share, and milliseconds here and on the box."""
    budget = LatencyBudget(find_cost_table("pi4"), None, measured_here=False)
    assert conversion.chosen.built_model is not None
    works = operator_works(conversion.chosen.built_model.tflite)
    estimated = budget.estimate(works)
    page = speed_section(
        replace(conversion, budget=budget, chosen=replace(conversion.chosen, estimate=estimated))
    )
    body = page.partition("</table>")[0]
    assert body.count("<tr>") == len(works) + 1
    assert "a Raspberry Pi 4 are from published measurements, not from a box of ours" in page
    convolutions = [work for work in works if work.kind == "conv"]
    assert f"<td>{convolutions[0].multiply_adds:,}</td>" in body
