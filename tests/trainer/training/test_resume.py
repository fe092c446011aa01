"""Training that is stopped at any moment goes on as if it had not been."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.trainer.conftest import Draw
from trainer.core.progress import Epoch
from trainer.data.arrays import LabelledArrays
from trainer.training.checkpoint import Checkpoint, TrainingState
from trainer.training.fit import fit, learning_rate_factor
from trainer.training.settings import TrainingSettings, default_settings

needs_tensorflow = pytest.mark.usefixtures("require_tensorflow", "require_train")
RECIPE = replace(default_settings("compact"), epochs=3, batch=8, side=32, seed=5)


class Stop(BaseException):
    """The training is killed."""


class Killer:
    """Watches, and kills in the middle of one epoch, or never."""

    def __init__(self, in_epoch: int = 0) -> None:
        self._in_epoch = in_epoch
        self.trained: list[int] = []

    def start(self, parameters: int, epochs: int) -> None: ...

    def batch(self, epoch: int, done: int, total: int) -> None:
        if epoch not in self.trained:
            self.trained.append(epoch)
        if epoch == self._in_epoch and done == 2:
            raise Stop

    def epoch(self, epoch: Epoch) -> None: ...


def _part(seed: int, count: int = 24) -> LabelledArrays:
    """Noise; every second picture has a bright square."""
    rng = np.random.default_rng(seed)
    pictures = rng.integers(90, 160, (count, 32, 32, 1)).astype(np.uint8)
    pictures[1::2, 8:16, 8:16] = 250
    return LabelledArrays(pictures, np.arange(count) % 2)


def _weights(model: Any) -> bytes:
    return b"".join(np.asarray(array).tobytes() for array in model.get_weights())


@pytest.mark.train
@needs_tensorflow
def test_killed_and_resumed_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    """Killed amid an epoch, twice, and started again: same weights, same history, no epoch that
    was whole is done again."""
    parts = _part(0), _part(1)
    straight, history = fit(RECIPE, *parts, 2, Killer())
    kept = Checkpoint(tmp_path / "kept.npz", "recipe")
    with pytest.raises(Stop):
        fit(RECIPE, *parts, 2, Killer(2), checkpoint=kept)
    second = Killer(3)
    with pytest.raises(Stop):
        fit(RECIPE, *parts, 2, second, checkpoint=kept)
    third = Killer()
    resumed, told = fit(RECIPE, *parts, 2, third, checkpoint=kept)
    assert (second.trained, third.trained) == ([2, 3], [3])
    assert told == history
    assert _weights(resumed) == _weights(straight)


def test_a_checkpoint_of_another_training_is_passed_over(tmp_path: Path) -> None:
    """Another key, a damaged file and no file are all no checkpoint."""
    path = tmp_path / "kept.npz"
    mine = Checkpoint(path, "mine")
    assert mine.load() is None
    mine.save(TrainingState({"number": 1}, [np.arange(3)], [np.ones(2)]))
    found = mine.load()
    assert found is not None
    assert found.metadata == {"number": 1}
    assert (found.state[0] == np.arange(3)).all()
    assert Checkpoint(path, "other").load() is None
    path.write_bytes(path.read_bytes()[:100])
    assert mine.load() is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept.npz"]


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    """It rises to 1 over the warm-up, never rises after it, and ends near 0; without cosine it
    stays."""
    factors = [learning_rate_factor(step, 100, 10, cosine=True) for step in range(100)]
    assert factors[9] == factors[10] == 1
    assert all(a < b for a, b in pairwise(factors[:10]))
    assert all(a > b for a, b in pairwise(factors[10:]))
    assert factors[-1] < 0.001
    assert {learning_rate_factor(step, 100, 0, cosine=False) for step in range(100)} == {1.0}


COMMAND = [sys.executable, "-m", "trainer"]


@pytest.mark.train
@needs_tensorflow
def test_the_same_command_goes_on_after_a_kill(tmp_path: Path, draw_dataset: Draw) -> None:
    """SIGKILL after the first epoch and the same command again give the same model file's weights
    as a run that was left alone, and nothing unfinished stays."""
    data = draw_dataset(16)
    options = [
        "--network",
        "compact",
        "--side",
        "32",
        "--epochs",
        "3",
        "--batch",
        "8",
        "--no-baseline",
    ]

    def argv(run: Path) -> list[str]:
        return [*COMMAND, str(data), "-o", str(run), *options]

    running = subprocess.Popen(argv(tmp_path / "killed"), stdout=subprocess.PIPE, text=True)
    assert running.stdout is not None
    for line in running.stdout:
        if line.startswith("epoch   2"):
            break
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    assert running.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed/model.keras").exists()
    for run in ("killed", "alone"):
        done = subprocess.run(argv(tmp_path / run), capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1), done.stderr
    histories = [(tmp_path / run / "history.json").read_text() for run in ("killed", "alone")]
    assert histories[0] == histories[1]
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == sorted(
        path.name for path in (tmp_path / "alone").iterdir()
    )

    from trainer.networks.trained_model import load_trained

    models = [load_trained(tmp_path / run / "model.keras")[0] for run in ("killed", "alone")]
    assert _weights(models[0]) == _weights(models[1])


def test_a_recipe_changes_only_what_is_given() -> None:
    """None leaves a field as it suits the network."""
    settings = default_settings("compact").replace(epochs=None, batch=7)
    assert (settings.epochs, settings.batch) == (default_settings("compact").epochs, 7)
    assert default_settings("another") == TrainingSettings(network="another")
