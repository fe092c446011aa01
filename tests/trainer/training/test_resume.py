"""A stopped training resumes with the same result."""

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
SETTINGS = replace(default_settings("compact"), epochs=3, batch=8, side=32, seed=5)


class TrainingKilled(BaseException):
    """Ends a training at once."""


class KillingObserver:
    """Kills the training in the middle of epoch `in_epoch`; never for 0."""

    def __init__(self, in_epoch: int = 0) -> None:
        self._in_epoch = in_epoch
        self.trained: list[int] = []

    def start(self, parameters: int, epochs: int) -> None: ...

    def batch(self, epoch: int, done: int, total: int) -> None:
        if epoch not in self.trained:
            self.trained.append(epoch)
        if epoch == self._in_epoch and done == 2:
            raise TrainingKilled

    def epoch(self, epoch: Epoch) -> None: ...


def _arrays(seed: int, count: int = 24) -> LabelledArrays:
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
    """A training that is killed twice in an epoch resumes to the same weights and history.

    It repeats no completed epoch.
    """
    sets = _arrays(0), _arrays(1)
    straight, history = fit(SETTINGS, *sets, 2, KillingObserver())
    kept = Checkpoint(tmp_path / "kept.npz", "recipe")
    with pytest.raises(TrainingKilled):
        fit(SETTINGS, *sets, 2, KillingObserver(2), checkpoint=kept)
    second = KillingObserver(3)
    with pytest.raises(TrainingKilled):
        fit(SETTINGS, *sets, 2, second, checkpoint=kept)
    third = KillingObserver()
    resumed, resumed_history = fit(SETTINGS, *sets, 2, third, checkpoint=kept)
    assert (second.trained, third.trained) == ([2, 3], [3])
    assert resumed_history == history
    assert _weights(resumed) == _weights(straight)


def test_a_checkpoint_of_another_training_is_ignored(tmp_path: Path) -> None:
    """A checkpoint with another key, a damaged file and a missing file are ignored."""
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
    """The factor rises to 1 over the warm-up and falls to 0; without cosine it stays 1."""
    factors = [learning_rate_factor(step, 100, 10, cosine=True) for step in range(100)]
    assert factors[9] == factors[10] == 1
    assert all(a < b for a, b in pairwise(factors[:10]))
    assert all(a > b for a, b in pairwise(factors[10:]))
    assert factors[-1] < 0.001
    assert {learning_rate_factor(step, 100, 0, cosine=False) for step in range(100)} == {1.0}


COMMAND = [sys.executable, "-m", "trainer"]


@pytest.mark.train
@needs_tensorflow
def test_the_same_command_resumes_after_a_kill(tmp_path: Path, draw_dataset: Draw) -> None:
    """After SIGKILL in epoch 2 the same command gives the weights of an undisturbed run.

    It leaves no unfinished files.
    """
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


def test_replace_ignores_none() -> None:
    """None leaves a field at the default of the network."""
    settings = default_settings("compact").replace(epochs=None, batch=7)
    assert (settings.epochs, settings.batch) == (default_settings("compact").epochs, 7)
    assert default_settings("another") == TrainingSettings(network="another")
