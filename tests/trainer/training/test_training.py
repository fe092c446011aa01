"""Training with TensorFlow: it is repeatable, and a saved model is complete."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.core.errors import ModelError
from edge.inspection.decision import Thresholds
from edge.inspection.model_file import InspectionSpec, OutputSpec, pack_model_file
from edge.inspection.preprocessing import InputSpec
from tests.trainer.conftest import Draw
from trainer.core.progress import Epoch
from trainer.data.arrays import LabelledArrays
from trainer.data.dataset import load_dataset
from trainer.data.pictures import load_pictures
from trainer.evaluation.metrics import auroc
from trainer.networks import build_network
from trainer.networks.trained_model import (
    TrainedSpec,
    load_trained,
    probabilities,
    read_spec,
    save_trained,
    scores,
)
from trainer.training.fit import class_weights, fit
from trainer.training.settings import TrainingSettings

pytestmark = [
    pytest.mark.train,
    pytest.mark.usefixtures("require_tensorflow", "require_train"),
]

SPEC = TrainedSpec(
    name="tiles",
    version="1",
    labels=("ok", "scratch"),
    input=InputSpec(width=64, height=64),
    output=OutputSpec(kind="probabilities"),
    thresholds=Thresholds(reject_at=0.5, review_from=0.4),
)


class SilentObserver:
    """Checks the progress and prints nothing."""

    def start(self, parameters: int, epochs: int) -> None:
        assert parameters > 0

    def batch(self, epoch: int, done: int, total: int) -> None:
        assert 1 <= done <= total

    def epoch(self, epoch: Epoch) -> None:
        assert np.isfinite(epoch.loss)


def _train_and_validation(root: Path) -> tuple[LabelledArrays, LabelledArrays]:
    data = load_dataset(root)
    arrays = []
    for samples in (data.of("train"), data.of("validation")):
        classes = np.array([sample.label != "ok" for sample in samples], np.int64)
        arrays.append(LabelledArrays(load_pictures(samples, SPEC.input), classes))
    return arrays[0], arrays[1]


def _weights(model: Any) -> bytes:
    return b"".join(np.asarray(array).tobytes() for array in model.get_weights())


def test_the_same_seed_gives_the_same_weights(draw_dataset: Draw) -> None:
    """The same seed and pictures give the same weights bit for bit; another seed does not."""
    train, validation = _train_and_validation(draw_dataset(10))
    settings = TrainingSettings(epochs=2, batch=8, seed=1)
    first, history = fit(settings, train, validation, 2, SilentObserver())
    second, again = fit(settings, train, validation, 2, SilentObserver())
    other, _ = fit(
        TrainingSettings(epochs=2, batch=8, seed=2), train, validation, 2, SilentObserver()
    )
    assert _weights(first) == _weights(second) != _weights(other)
    assert history == again


def test_the_best_weights_are_kept(draw_dataset: Draw) -> None:
    """The model has the weights of the epoch of highest validation AUROC, then of lowest loss.

    Training stops after `patience` epochs, and it learns a simple task.
    """
    train, validation = _train_and_validation(draw_dataset(30))
    model, history = fit(
        TrainingSettings(epochs=8, batch=8, patience=2), train, validation, 2, SilentObserver()
    )
    best = max(history, key=lambda epoch: (epoch.validation_auroc, -epoch.validation_loss))
    found = probabilities(model, SPEC, validation.pictures)
    loss = -np.log(found[np.arange(len(found)), validation.classes] + 1e-9).mean()
    assert loss == pytest.approx(best.validation_loss, rel=1e-3)
    assert [epoch.number for epoch in history if epoch.best][-1] == best.number
    assert len(history) in (8, best.number + 2)
    assert auroc(scores(model, SPEC, validation.pictures), validation.classes > 0) > 0.9


def test_class_weights_balance_the_classes() -> None:
    """Each class has the same sum of weights; the mean weight is 1."""
    classes = np.array([0] * 90 + [1] * 10)
    weights = class_weights(classes, 2)
    assert weights[classes].mean() == pytest.approx(1)
    assert weights[0] * 90 == pytest.approx(weights[1] * 10)


def test_the_baseline_has_the_specified_layers() -> None:
    """Types, filters and units of the baseline are as specified."""
    layers = build_network("baseline", 3).layers
    assert [type(layer).__name__ for layer in layers] == [
        "Rescaling",
        "Conv2D",
        "MaxPooling2D",
        "Conv2D",
        "MaxPooling2D",
        "Flatten",
        "Dense",
        "Dense",
    ]
    assert [layer.filters for layer in layers if hasattr(layer, "filters")] == [32, 64]
    assert [layer.units for layer in layers if hasattr(layer, "units")] == [64, 3]
    assert layers[-1].name == "head"


def test_a_saved_model_comes_back_with_its_spec(tmp_path: Path) -> None:
    """A saved model gives the same probabilities; its spec is read without Keras."""
    path = tmp_path / "model.keras"
    model = build_network("baseline", 2)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)
    save_trained(model, SPEC, path)
    loaded, spec = load_trained(path)
    assert spec == SPEC == read_spec(path)
    found = probabilities(loaded, spec, pictures, batch=2)
    assert found.dtype == np.float64
    assert found == pytest.approx(probabilities(model, SPEC, pictures), abs=1e-6)
    assert scores(loaded, spec, pictures) == pytest.approx(1 - found[:, 0])
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.keras"]


def test_a_foreign_model_has_no_spec(tmp_path: Path) -> None:
    """A .keras file that edge-train did not make loads without a spec."""
    path = tmp_path / "foreign.keras"
    build_network("baseline", 2).save(path)
    model, spec = load_trained(path)
    assert spec is None
    assert scores(model, None, np.zeros((1, 64, 64, 3), np.uint8)).shape == (1,)


def test_a_model_of_other_labels_is_refused(tmp_path: Path) -> None:
    """A model with another number of outputs than labels is refused."""
    path = tmp_path / "model.keras"
    save_trained(build_network("baseline", 3), SPEC, path)
    with pytest.raises(ModelError, match="3 outputs but 2 labels"):
        load_trained(path)


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    """A truncated file is refused with the fix."""
    path = tmp_path / "model.keras"
    save_trained(build_network("baseline", 2), SPEC, path)
    path.write_bytes(path.read_bytes()[:10_000])
    with pytest.raises(ModelError, match=r"not a whole \.keras file"):
        load_trained(path)


EVALUATE = """
import sys
from trainer.cli.main import main
assert main(["evaluate", sys.argv[1], sys.argv[2], "--json", sys.argv[3]]) == 1  # not learned
assert not {"tensorflow", "keras"} & set(sys.modules)
"""


def test_a_tflite_file_has_the_same_figures_without_tensorflow(
    tmp_path: Path, draw_dataset: Draw
) -> None:
    """A .tflite and its .keras give the same figures; the .tflite does not import TensorFlow."""
    import tensorflow as tf

    from trainer.cli.main import main

    data = draw_dataset(10)
    model = build_network("baseline", 2)
    save_trained(model, SPEC, tmp_path / "model.keras")
    tflite = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    shared = {
        key: SPEC.to_dict()[key] for key in ("name", "version", "input", "output", "thresholds")
    }
    packed = pack_model_file(tflite, SPEC.labels, InspectionSpec.read(shared), {})
    (tmp_path / "model.tflite").write_bytes(packed)
    assert (
        main(
            [
                "evaluate",
                str(tmp_path / "model.keras"),
                str(data),
                "--json",
                str(tmp_path / "k.json"),
            ]
        )
        == 1  # untrained: not learned
    )
    done = subprocess.run(
        [sys.executable, "-c", EVALUATE, tmp_path / "model.tflite", data, tmp_path / "t.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "t.json").read_text() == (tmp_path / "k.json").read_text()
