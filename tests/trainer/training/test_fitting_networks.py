"""edge-train --target-ms: only networks that meet the budget of the box are trained."""

from pathlib import Path

import pytest

from edge.core.errors import RefusedError
from tests.trainer.conftest import Draw
from trainer.cli.main import main
from trainer.device_latency.cost_table import CostTable, OperatorPrice
from trainer.device_latency.estimate import estimate
from trainer.device_latency.latency_budget import LatencyBudget, NetworkOption
from trainer.device_latency.operator_work import OperatorWork
from trainer.training import fitting_networks
from trainer.training.fitting_networks import LatencyConstraint, latency_constraint
from trainer.training.settings import TrainingRequest, TrainingSettings, default_settings

Captured = pytest.CaptureFixture[str]
# Each operator takes a millisecond on this box.
FIGURES = CostTable(
    schema_="edge-inspect/figures/1",
    box="a box",
    origin="measured",
    made="2026-11-28",
    runtime="litert",
    spread={"quickest": {"int8": 0.25}},
    invoke_us=0,
    prices={"quickest": {"int8": {"pool": OperatorPrice(call_us=1000)}}},
)
MILLISECONDS = {
    ("pretrained", 192): 9,
    ("pretrained", 128): 4,
    ("compact", 128): 2,
    ("compact", 64): 1,
}


def _works(milliseconds: int) -> tuple[OperatorWork, ...]:
    return (OperatorWork("pool", "int8", 1, 0, 0, 1, 1),) * milliseconds


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks with the times of MILLISECONDS, which are not built."""

    def work(settings: TrainingSettings, _classes: int) -> tuple[OperatorWork, ...]:
        name, spec = fitting_networks.network_and_input(settings)
        return _works(MILLISECONDS[name, spec.width])

    monkeypatch.setattr(fitting_networks, "settings_work", work)
    monkeypatch.setattr(fitting_networks, "network_options", lambda _budget, _classes: _options())


def _options() -> tuple[NetworkOption, ...]:
    return tuple(
        NetworkOption(name, side, estimate(_works(taken), FIGURES))
        for (name, side), taken in MILLISECONDS.items()
    )


def _constraint(target: float) -> LatencyConstraint:
    return LatencyConstraint(LatencyBudget(FIGURES, target, measured_here=False), _options(), 2)


CANDIDATES = (
    default_settings("pretrained"),
    default_settings("compact"),
    default_settings("pretrained").replace(side=128),
)


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        (20, [("pretrained", None), ("compact", None), ("pretrained", 128)]),
        (5, [("compact", None), ("pretrained", 128)]),
        (2, [("compact", None)]),
        (1, [("compact", 64)]),
    ],
)
def test_candidates_that_fit_are_tried(target: float, kept: list[tuple[str, int | None]]) -> None:
    """Candidates keep their order; where none fits, another network that fits is tried."""
    lines: list[str] = []
    found = _constraint(target).within_budget(CANDIDATES, lines.append)
    assert [(settings.network, settings.side) for settings in found] == kept
    left_out = [line for line in lines if "is not tried: estimated" in line]
    assert len(left_out) == 3 - sum(settings in CANDIDATES for settings in found)
    assert ("compact at 64 pixels fits, and is tried instead" in lines) == (target == 1)


def test_the_replacement_keeps_the_requested_settings() -> None:
    """Seed, region and variations stay; only pretrained features stay frozen."""
    requested = tuple(
        settings.replace(seed=7, region=(0.1, 0.0, 0.8, 1.0), tune=False)
        for settings in CANDIDATES[:1]
    )
    (compact,) = _constraint(1).within_budget(requested, lambda _line: None)
    assert (compact.seed, compact.region, compact.tune) == (7, (0.1, 0.0, 0.8, 1.0), True)
    (smaller,) = _constraint(5).within_budget(requested, lambda _line: None)
    assert (smaller.network, smaller.side, smaller.tune) == ("pretrained", 128, False)


def test_without_a_target_there_is_no_constraint() -> None:
    """Without --target-ms no cost table is read and no line printed."""
    assert latency_constraint(TrainingRequest(default_settings("compact")), 2, pytest.fail) is None


def _set_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        fitting_networks,
        "latency_budget",
        lambda target, _on, _say: LatencyBudget(FIGURES, target, measured_here=False),
    )


def test_a_named_network_that_is_too_slow_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names the estimate, the range and the networks that fit, after the table."""
    _set_budget(monkeypatch)
    lines: list[str] = []
    with pytest.raises(RefusedError) as caught:
        latency_constraint(
            TrainingRequest(default_settings("pretrained"), latency_target=(5.0, "pi4")),
            2,
            lines.append,
        )
    assert str(caught.value) == (
        "--network pretrained at 192 pixels: estimated 9.00 ms (7.20 to 11.2) on a box, the "
        "limit is 5 ms (measured there on 2026-11-28); there pretrained at up to 128 pixels, "
        "compact at up to 128 pixels would fit (edge-train --network NAME --side PIXELS)"
    )
    assert "(9.00)" in lines[0]


def test_a_budget_that_no_network_meets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal comes before the audit and names the fastest network."""
    _set_budget(monkeypatch)
    with pytest.raises(
        RefusedError, match=r"--target-ms 0\.5: none of our networks does"
    ) as caught:
        latency_constraint(
            TrainingRequest(default_settings("pretrained"), auto=True, latency_target=(0.5, "pi4")),
            2,
            lambda _line: None,
        )
    assert "compact at 64 pixels, takes 1.00 ms" in str(caught.value)


def test_a_box_without_a_time_is_a_usage_error(tmp_path: Path, capsys: Captured) -> None:
    """--on without --target-ms is a usage error of a training."""
    assert main([str(tmp_path), "-o", str(tmp_path / "run"), "--on", "pi4"]) == 2
    assert "give --target-ms with it" in capsys.readouterr().err


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow", "require_train")
def test_the_command_refuses_with_exit_code_1(
    draw_dataset: Draw, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real network and a published box: one sentence on stderr, and no training."""
    monkeypatch.undo()
    data, run = draw_dataset(), tmp_path / "run"
    options = ["--network", "compact", "--on", "pi5", "--target-ms", "0.5"]
    assert main([str(data), "-o", str(run), *options]) == 1
    out, err = capsys.readouterr()
    assert "int8, ms" in out
    assert len(err.strip().splitlines()) == 1
    assert "--network compact at 128 pixels: estimated 0.9" in err
    assert "on a Raspberry Pi 5" in err
    assert "from published measurements, not from a box of ours" in err
    assert not (run / "model.keras").exists()
