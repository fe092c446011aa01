"""A model ready to judge: file, recipe, thresholds and runtime checked against each other once."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.core.errors import ModelError, RefusedError
from edge.core.image import EncodedPicture, decode_picture, examine_picture
from edge.core.terms import Decoding, OutputKind, Runtime
from edge.core.validation import ValidationError
from edge.core.verdict import ModelIdentity
from edge.core.view import ViewConfig
from edge.inspection.decision import Judgement, Thresholds, judge, row_to_probabilities
from edge.inspection.interpreter import Classifier, TFLiteClassifier
from edge.inspection.model_file import InspectionSpec, ModelFile, load_model_file
from edge.inspection.preprocess import InputSpec, preprocess, to_model_input
from edge.inspection.scaled_decode import reduction
from edge.inspection.view_crop import ViewCrop

GOLDEN_TOLERANCE = 1 / 255
# Of a golden picture's values, so many may be another grey level than on other processors. Between
# aarch64 and x86-64 up to 0.4 % were (averages half way between two levels).
GOLDEN_DIFFER = 0.05


@dataclass(frozen=True, slots=True)
class Overrides:
    """What config.yaml may say of a model: all of it for a plain .tflite, else a part."""

    labels: tuple[str, ...] | None = None
    ok_label: str | None = None
    output: OutputKind | None = None
    reject_at: float | None = None
    review_from: float | None = None


@dataclass(frozen=True, slots=True)
class Inspector:
    """Judges one picture at a time. Not for use by two threads at once."""

    identity: ModelIdentity
    runtime: str
    input: InputSpec
    output: OutputKind
    temperature: float
    labels: tuple[str, ...]
    ok_label: str
    thresholds: Thresholds
    classify: Classifier
    file: ModelFile
    decoding: Decoding = "whole"

    def clone(self) -> "Inspector":
        """The same, to judge in another thread. Raises ModelError."""
        return replace(self, classify=self.classify.clone())

    def reduction(self, width: int, height: int, framing: ViewCrop) -> int:
        """By what both sides of a JPEG of this size in pixels are to be divided when it is decoded
        for this model; 1: the model's file does not allow it, or the rule does not."""
        if self.decoding == "whole":
            return 1
        return reduction(width, height, framing, self.input)

    def decode(self, picture: EncodedPicture, framing: ViewCrop) -> tuple[NDArray[np.uint8], int]:
        """As much of a picture as this model needs: uint8, (height, width, 3), BGR, and by what
        both sides were divided. Raises PictureError when it is damaged."""
        header = picture.header
        return picture.decode(self.reduction(header.width, header.height, framing))

    def prepare(self, pixels: NDArray[np.uint8], reduced: int = 1) -> NDArray[np.uint8]:
        """The model's input from what a camera's view left of a frame: uint8, (height, width, 3),
        BGR in; `input.shape` out. The model's own view is not applied: that is the caller's, see
        `edge.pipeline.view_selection`. `reduced` as `decode` returned it."""
        return to_model_input(pixels, self.input, reduced=reduced)

    def judge(self, picture: NDArray[np.uint8]) -> Judgement:
        """Judges what `prepare` returned. Raises ModelError when the model talks nonsense."""
        outputs = self.classify(picture).tolist()
        probabilities = row_to_probabilities(outputs, self.output, self.temperature)
        return judge(probabilities, self.labels, self.ok_label, self.thresholds)

    def check_golden(self) -> int:
        """Judges the golden pictures in the model file; returns how many there are.

        Prepared the pinned way, which is alike on every processor; the quick way must give the same
        but for a few values that round otherwise. Raises RefusedError when one gives another score
        than it gave where it was tested, or is prepared otherwise.
        """
        golden = self.file.spec.golden if self.file.spec is not None else ()
        for picture in golden:
            if picture.file not in self.file.golden:
                raise ModelError(f"{self.file.path}: {picture.file} is missing; copy it again")
            pixels = decode_picture(self.file.golden[picture.file], picture.file)
            pinned = preprocess(pixels, self.input, pinned=True)
            differ = float(np.mean(preprocess(pixels, self.input) != pinned))
            if differ > GOLDEN_DIFFER:
                raise RefusedError(
                    f"{self.file.path}: {picture.file}: {differ:.0%} of its values are prepared "
                    "otherwise on this box than where the model was tested; install edge-inspect "
                    "again, with the OpenCV that constraints.txt names"
                )
            score = self.judge(pinned).score
            if abs(score - picture.score) > GOLDEN_TOLERANCE:
                raise RefusedError(
                    f"{self.file.path}: {picture.file} scores {score:.4f} on this box and "
                    f"{picture.score:.4f} where the model was tested, with {self.runtime}; "
                    "convert the model again, or set model.interpreter to the other runtime"
                )
        return len(golden)

    def reduced_decode_conflict(self) -> str | None:
        """Which golden picture would get another verdict if it were decoded at the scale that the
        model needs; None when none would."""
        golden = self.file.spec.golden if self.file.spec is not None else ()
        framing = ViewCrop(self.input.view or ViewConfig())
        for one in golden:
            picture = examine_picture(self.file.golden[one.file], one.file)
            pixels, reduced = self.decode(picture, framing)
            if reduced == 1:
                continue
            (cut,) = framing.cut(pixels, reduced).values()
            quick = self.judge(self.prepare(cut, reduced))
            whole = self.judge(preprocess(picture.decode()[0], self.input))
            if quick.outcome != whole.outcome:
                return (
                    f"{one.file}: {quick.outcome} ({quick.score:.4f}) at reduced scale, "
                    f"{whole.outcome} ({whole.score:.4f}) whole"
                )
        return None


def load_inspector(
    path: Path,
    overrides: Overrides | None = None,
    runtime: Runtime = "auto",
    threads: int = 1,
) -> Inspector:
    """A model file, loaded and checked. Raises ModelError or MissingPartError."""
    file = load_model_file(path)
    said = overrides if overrides is not None else Overrides()
    labels = file.labels or said.labels
    if file.labels and said.labels and file.labels != said.labels:
        raise ModelError(
            f"{path}: model.labels says {list(said.labels)}, the file says {list(file.labels)}; "
            "remove model.labels from config.yaml"
        )
    if labels is None:
        raise ModelError(
            f"{path}: a plain .tflite names no labels; list them in config.yaml as model.labels, "
            "in the order of the outputs"
        )
    if file.spec is not None:
        _refuse_contradictions(path, file.spec, said)
    ok_label = (file.spec.ok_label if file.spec else None) or said.ok_label or "ok"
    if ok_label not in labels:
        raise ModelError(
            f"{path}: the good class {ok_label!r} is not among the labels {list(labels)}; "
            "set model.ok_label"
        )
    kernels = file.spec.kernels if file.spec else "quickest"
    classifier = TFLiteClassifier(file.content, str(path), runtime, threads, kernels)
    if classifier.outputs != len(labels):
        raise ModelError(
            f"{path}: the model has {classifier.outputs} outputs but {len(labels)} labels "
            f"{list(labels)}; one label an output: "
            + ("convert the model again" if file.labels else "correct model.labels in config.yaml")
        )
    spec = file.spec.input if file.spec else _plain_input(path, classifier.shape)
    if spec.shape != classifier.shape:
        raise ModelError(
            f"{path}: its recipe makes pictures of {list(spec.shape)} but its input takes "
            f"{list(classifier.shape)} (height, width, channels); convert the model again"
        )
    kind: OutputKind = file.spec.output.kind if file.spec else said.output or "probabilities"
    return Inspector(
        identity=file.identity,
        runtime=classifier.runtime,
        input=spec,
        output=kind,
        temperature=file.spec.output.temperature if file.spec else 1.0,
        labels=labels,
        ok_label=ok_label,
        thresholds=_thresholds(path, file, said),
        classify=classifier,
        file=file,
        decoding=file.spec.decoding if file.spec else "whole",
    )


def _plain_input(path: Path, shape: tuple[int, int, int]) -> InputSpec:
    height, width, channels = shape
    try:
        return InputSpec.read(
            {
                "width": width,
                "height": height,
                "channels": 3 if channels == 3 else 1,
                "colour": "rgb" if channels == 3 else "grey",
            }
        )
    except ValidationError as error:
        raise ModelError(
            f"{path}: its input takes pictures of {width}×{height}; only 8 to 1024 pixels a side "
            "are supported, train it with another input size"
        ) from error


def _refuse_contradictions(path: Path, spec: InspectionSpec, said: Overrides) -> None:
    for key, own, other in (
        ("ok_label", spec.ok_label, said.ok_label),
        ("output", spec.output.kind, said.output),
    ):
        if other is not None and other != own:
            raise ModelError(
                f"{path}: model.{key} says {other!r}, the file says {own!r}; "
                f"remove model.{key} from config.yaml"
            )


def _thresholds(path: Path, file: ModelFile, said: Overrides) -> Thresholds:
    own = file.spec.thresholds if file.spec else None
    reject_at, review_from = said.reject_at, said.review_from
    if own is not None:
        reject_at = own.reject_at if reject_at is None else reject_at
        review_from = own.review_from if review_from is None else review_from
    if reject_at is None:
        raise ModelError(
            f"{path}: a plain .tflite has no thresholds; set decision.reject_at in config.yaml"
        )
    if review_from is None:
        review_from = reject_at
    if review_from > reject_at:
        raise ModelError(
            f"{path}: review_from {review_from} is above reject_at {reject_at}; "
            "set both in config.yaml under decision"
        )
    overridden = said.reject_at is not None or said.review_from is not None
    chosen = "config.yaml" if overridden or own is None else own.chosen
    return Thresholds(reject_at=reject_at, review_from=review_from, chosen=chosen)
