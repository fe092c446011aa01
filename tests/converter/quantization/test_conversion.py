"""A valid conversion: int8 operators, fine scores, unchanged verdicts, reproducible bytes."""

import dataclasses
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from converter.convert import Conversion, ConversionRequest, convert
from converter.loading.source_model import SourceModel
from converter.quantization.multi_range_head import WIDTHS, with_bands
from converter.quantization.quantization_schemes import FLOAT_HEAD, build_model
from converter.tflite.runtimes import find_runners
from converter.tflite.tflite_graph import input_scale, operators
from edge.inspection.inspector import load_inspector
from edge.inspection.interpreter import TFLiteClassifier
from edge.inspection.model_file import load_model_file
from trainer.data.dataset import load_dataset
from trainer.data.pictures import load_pictures

pytestmark = pytest.mark.train


def test_only_the_head_computes_in_float(conversion: Conversion) -> None:
    """Between the first QUANTIZE and the last DEQUANTIZE every operator is int8."""
    assert conversion.chosen.scheme == FLOAT_HEAD
    assert conversion.chosen.built_model is not None
    found = operators(conversion.chosen.built_model.tflite)
    names = [op.name for op in found]
    assert names[0] == "QUANTIZE"
    assert names[-2:] == ["DEQUANTIZE", "FULLY_CONNECTED"]
    assert names.count("CONV_2D") == 2
    assert names.count("FULLY_CONNECTED") == len(WIDTHS) + 1
    assert not any(op.is_float for op in found[:-2])


def test_the_bands_of_a_feature_add_up_to_it(source: SourceModel, data: Path) -> None:
    """The sum of the bands is the feature, within a step of int8. The lowest band, where most
    features are, has a finer grid in proportion to its width."""
    pictures = load_pictures(load_dataset(data).of("train"), source.input)
    without_head = dataclasses.replace(source.frozen, logits=source.frozen.features[0], head=None)
    coarse = build_model("int8", without_head, pictures, "rust").tflite
    fine, bands = with_bands(coarse)
    rows = [
        np.stack([classify(picture) for picture in pictures])
        for classify in (TFLiteClassifier(coarse, "coarse"), TFLiteClassifier(fine, "fine"))
    ]
    banded = rows[1].reshape(len(pictures), len(bands), -1)
    summed = np.einsum("pbf,b->pf", banded, bands)
    step = np.unique(rows[0])[1]
    finest = np.unique(banded)[1]
    assert bands == tuple(width / WIDTHS[0] for width in WIDTHS)
    assert step > 0
    assert finest == pytest.approx(step / sum(WIDTHS))
    # each band rounds by half of its step
    assert np.abs(summed - rows[0]).max() < (0.51 + 0.51 * WIDTHS[-1] / sum(WIDTHS)) * step
    assert np.unique(np.round(summed / finest)).size > 2 * np.unique(rows[0]).size
    assert len(fine) < len(coarse) + 10_000


def test_other_features_keep_one_band(conversion: Conversion) -> None:
    """A graph that does not end in a dense layer with ReLU stays unchanged."""
    assert conversion.chosen.built_model is not None
    tflite = conversion.chosen.built_model.tflite
    assert with_bands(tflite) == (tflite, (1.0,))


def test_the_input_takes_raw_pixels(conversion: Conversion, source: SourceModel) -> None:
    """The input is uint8, 0 to 255, though no calibration picture has all values. The scaling by
    1/255 is folded into the first convolution and is no operator."""
    scale, zero_point = input_scale(conversion.path.read_bytes())
    assert scale == pytest.approx(1)
    assert zero_point == 0
    names = [op.name for op in operators(conversion.path.read_bytes())]
    assert names[:2] == ["QUANTIZE", "CONV_2D"]
    classifier = TFLiteClassifier(conversion.path.read_bytes(), "rust")
    assert classifier.shape == source.input.shape
    assert classifier(np.full(classifier.shape, 255, np.uint8)).dtype == np.float32


def test_scores_are_finer_than_an_int8_softmax(conversion: Conversion) -> None:
    """Scores are distinct and not on the 1/256 grid of an int8 softmax."""
    scores = conversion.chosen.scores
    assert scores is not None
    assert len(np.unique(scores)) > 0.95 * len(scores)
    assert np.abs(scores * 256 - np.round(scores * 256)).max() > 0.1


def test_scores_stay_close_to_float(conversion: Conversion) -> None:
    """int8 changes almost nothing on a good network, and the gate's figures show it."""
    score_diff = conversion.chosen.score_diff
    assert score_diff is not None
    assert score_diff.auroc_float > 0.9, "the network of the test must have learned"
    assert abs(score_diff.auroc_loss) < 0.005
    assert score_diff.largest_change < 0.1


def test_runtimes_agree(conversion: Conversion) -> None:
    """All installed runtimes agree within 1/255, and the file names them."""
    assert all(result.difference <= 1 / 255 for result in conversion.chosen.runtime_results)
    assert [result.runtime for result in conversion.chosen.runtime_results] == [
        r.name for r in find_runners()
    ]
    recorded = conversion.spec.quantisation
    assert recorded["oldest_runtime"] == recorded["runtimes"][-1]


def test_golden_pictures_check_out_in_the_daemon(conversion: Conversion) -> None:
    """The daemon's inspector gives the recorded scores on the golden pictures."""
    inspector = load_inspector(conversion.path)
    assert inspector.check_golden() == 8
    assert {picture.label for picture in conversion.spec.golden} == {"ok", "rust"}
    assert inspector.thresholds == conversion.chosen.thresholds
    assert inspector.output == "logits"


def test_the_file_says_what_it_is(conversion: Conversion, source: SourceModel) -> None:
    """labels.txt and inspection.json contain labels, figures and tool versions."""
    with zipfile.ZipFile(conversion.path) as archive:
        assert archive.read("labels.txt") == b"ok\nrust\n"
        recorded = json.loads(archive.read("inspection.json"))
    assert recorded["schema"] == "edge-inspect/model/1"
    assert recorded["name"] == "rust finder"
    assert len(recorded["version"]) == 12
    assert recorded["metrics"]["auroc_interval"][0] <= recorded["metrics"]["auroc"]
    assert recorded["metrics"] == json.loads(json.dumps(conversion.figures.converted.as_json()))
    assert recorded["quantisation"]["float_operators"] == {"FULLY_CONNECTED": 1}
    assert recorded["quantisation"]["compared"]["pass_fail_flips"] == 0
    assert recorded["data"]["fingerprint"] == source.spec.data["fingerprint"]
    assert {"tensorflow", "keras", "numpy", "opencv", "edge-inspect"} <= set(recorded["tools"])


def test_same_input_same_bytes(
    conversion: Conversion, trained: Path, data: Path, tmp_path: Path
) -> None:
    """The same model and pictures give the same file, at every path."""
    again = convert(ConversionRequest(trained, data, tmp_path / "elsewhere.tflite"))
    assert again.path.read_bytes() == conversion.path.read_bytes()
    assert b"elsewhere" not in again.path.read_bytes()
    assert str(data).encode() not in again.path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["elsewhere.tflite"]


def test_the_file_keeps_name_and_version(conversion: Conversion) -> None:
    """The default version is the hash of the network, so two networks never share it."""
    file = load_model_file(conversion.path)
    assert file.spec is not None
    assert (file.spec.name, file.spec.version) == ("rust finder", conversion.spec.version)
