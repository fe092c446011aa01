"""A model ready to judge: its file, preprocessing, thresholds and runtime fit each other."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.core.errors import ModelError, RefusedError
from edge.core.image import EncodedPicture, examine_picture
from edge.core.jpeg import JPEGDecoding
from edge.core.terms import OutputKind, Pixels, Runtime, Scaling
from edge.core.text import typed
from edge.core.validation import ValidationError
from edge.core.verdict import ModelIdentity
from edge.inspection.decision import (
    Judgement,
    Thresholds,
    judge,
    row_to_probabilities,
    to_probabilities,
)
from edge.inspection.decoding import decode, jpeg_decoding, model_input
from edge.inspection.interpreter import Classifier, TFLiteClassifier
from edge.inspection.model_file import InspectionSpec, ModelFile, load_model_file
from edge.inspection.preprocessing import DecodingRule, InputSpec, to_model_input
from edge.inspection.view_crop import ViewCrop

GOLDEN_TOLERANCE = 1 / 255
# The share of a golden picture's values that may round otherwise than on another processor.
# Measured between aarch64 and x86-64: up to 0.4 % (averages halfway between two levels).
GOLDEN_DIFFER = 0.05
_SUM_TOLERANCE = 0.02  # an int8 softmax has steps of 1/256


@dataclass(frozen=True, slots=True)
class Overrides:
    """The model settings of config.yaml. A plain .tflite needs labels and `reject_at`."""

    labels: tuple[str, ...] | None = None
    ok_label: str | None = None
    output: OutputKind | None = None
    scaling: Scaling | None = None
    reject_at: float | None = None
    review_from: float | None = None


@dataclass(frozen=True, slots=True)
class Inspector:
    """Judges one picture at a time. Not thread-safe: one per thread.

    `scaling`: how the pixels of a plain model are scaled; None for a file of edge-convert.
    """

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
    scaling: Scaling | None = None

    def clone(self) -> "Inspector":
        """A copy with its own interpreter, for another thread. Raises ModelError."""
        return replace(self, classify=self.classify.clone())

    def with_thresholds(self, reject_at: float | None, review_from: float | None) -> "Inspector":
        """The same model with the thresholds of another config.yaml; None: those of the model file.
        Raises ModelError when there are none."""
        settings = Overrides(reject_at=reject_at, review_from=review_from)
        thresholds = _thresholds(Path(self.file.path), self.file, settings)
        return replace(self, thresholds=thresholds)

    @property
    def memory_bytes(self) -> int:
        """About how much memory the model takes: its file, and what its runtime keeps."""
        return len(self.file.content) + self.classify.memory_bytes

    def jpeg_decoding(self, width: int, height: int, crop: ViewCrop) -> JPEGDecoding:
        """How a JPEG of this size in pixels is decoded for this model."""
        return jpeg_decoding(width, height, crop, self.input)

    def decode(self, picture: EncodedPicture, crop: ViewCrop) -> tuple[Pixels, int]:
        """As `decode` of edge/inspection/decoding.py, by the rule of this model."""
        return decode(picture, crop, self.input)

    def prepare(self, pixels: Pixels) -> Pixels:
        """The model's input, `input.shape`, from a region that the caller has cut, by the camera's
        view, from the pixels of `decode` or of a camera."""
        return to_model_input(pixels, self.input)

    def judge(self, picture: Pixels) -> Judgement:
        """Judges what `prepare` returns. Raises ModelError for invalid model outputs."""
        outputs = self.classify(picture).tolist()
        probabilities = row_to_probabilities(outputs, self.output, self.temperature)
        return judge(probabilities, self.labels, self.ok_label, self.thresholds)

    def check_golden(self) -> int:
        """Judges the golden pictures in the model file. Returns their number.

        The preprocessing with fixed rounding is the same on every processor; the quick one may
        differ in few values. Raises RefusedError when a score or the preprocessing differs from
        the machine where the model was tested.
        """
        if self.file.spec is None:
            return 0
        spec = self.file.spec.input  # without the permission of model/1: its scores are of whole
        for picture in self.file.spec.golden:
            if picture.file not in self.file.golden:
                raise ModelError(f"{self.file.path}: {picture.file} is missing; copy it again")
            encoded = examine_picture(self.file.golden[picture.file], picture.file)
            pinned = model_input(encoded, spec, pinned=True)
            differ = float(np.mean(model_input(encoded, spec) != pinned))
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
        return len(self.file.spec.golden)


def load_inspector(
    model: Path | ModelFile,
    overrides: Overrides | None = None,
    runtime: Runtime = "auto",
    threads: int = 1,
) -> Inspector:
    """Loads and checks a model file. Raises ModelError or MissingPartError."""
    file = load_model_file(model) if isinstance(model, Path) else model
    path = Path(file.path)
    settings = overrides if overrides is not None else Overrides()
    if file.spec is not None:
        _refuse_contradictions(path, file.spec, settings)
    labels, ok_label = _labels(path, file, settings)
    kernels = file.spec.kernels if file.spec else "quickest"
    classifier = TFLiteClassifier(
        file.content,
        str(path),
        runtime,
        threads,
        kernels,
        plain=file.spec is None,
        scaling=settings.scaling,
    )
    if classifier.outputs != len(labels):
        raise ModelError(
            f"{path}: the model has {classifier.outputs} outputs but {len(labels)} labels "
            f"{list(labels)}; one label an output: "
            + ("convert the model again" if file.labels else "correct model.labels in config.yaml")
        )
    spec = file.spec.input if file.spec else _plain_input(path, classifier.shape)
    if file.spec is not None and file.spec.decoding == "reduced":  # the permission of model/1
        spec = spec.replace(decoding=DecodingRule(smallest_multiple=1.0, whole_pixels=True))
    if spec.shape != classifier.shape:
        raise ModelError(
            f"{path}: its preprocessing makes pictures of {list(spec.shape)} but its input takes "
            f"{list(classifier.shape)} (height, width, channels); convert the model again"
        )
    kind: OutputKind = file.spec.output.kind if file.spec else settings.output or "probabilities"
    if file.spec is None:
        _check_output_kind(path, classifier, kind)
    return Inspector(
        identity=file.identity,
        runtime=classifier.runtime,
        input=spec,
        output=kind,
        temperature=file.spec.output.temperature if file.spec else 1.0,
        labels=labels,
        ok_label=ok_label,
        thresholds=_thresholds(path, file, settings),
        classify=classifier,
        file=file,
        scaling=classifier.filling.scaling if classifier.filling else None,
    )


def _labels(path: Path, file: ModelFile, settings: Overrides) -> tuple[tuple[str, ...], str]:
    """All labels, and that of the good class. Raises ModelError."""
    labels = file.labels or settings.labels
    named = tuple(map(typed, file.labels or ()))
    if file.labels and settings.labels and named != settings.labels:
        raise ModelError(
            f"{path}: model.labels says {list(settings.labels)}, "
            f"the file says {list(file.labels)}; remove model.labels from config.yaml"
        )
    if labels is None:
        raise ModelError(
            f"{path}: a plain .tflite names no labels; list them in config.yaml as model.labels, "
            "in the order of the outputs"
        )
    ok_label = (file.spec.ok_label if file.spec else None) or settings.ok_label or "ok"
    if ok_label not in labels:
        raise ModelError(
            f"{path}: the good class {ok_label!r} is not among the labels {list(labels)}; "
            "set model.ok_label"
        )
    return labels, ok_label


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


def _check_output_kind(path: Path, classifier: TFLiteClassifier, kind: OutputKind) -> None:
    """Raises ModelError when a plain model's outputs for test pictures are of another kind.

    A softmax over probabilities would move every score towards the middle, and defects pass.
    """
    noise = np.random.default_rng(0).integers(0, 256, classifier.shape, np.uint8)
    rows = [classifier(picture) for picture in (noise, noise // 4, 255 - noise // 4)]
    if kind == "probabilities":
        try:
            to_probabilities(np.stack(rows), kind)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error
    elif all(row.min() >= 0 and abs(float(row.sum()) - 1) < _SUM_TOLERANCE for row in rows):
        raise ModelError(
            f"{path}: model.output says 'logits', but the outputs are probabilities (they add up "
            "to 1 for every test picture); set model.output: probabilities"
        )


def _refuse_contradictions(path: Path, spec: InspectionSpec, settings: Overrides) -> None:
    for key, own, other in (
        ("ok_label", spec.ok_label, settings.ok_label),
        ("output", spec.output.kind, settings.output),
        ("scaling", "inside", settings.scaling),
    ):
        if other is not None and other != own:
            raise ModelError(
                f"{path}: model.{key} says {other!r}, the file says {own!r}; "
                f"remove model.{key} from config.yaml"
            )


def _thresholds(path: Path, file: ModelFile, settings: Overrides) -> Thresholds:
    own = file.spec.thresholds if file.spec else None
    reject_at, review_from = settings.reject_at, settings.review_from
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
    overridden = settings.reject_at is not None or settings.review_from is not None
    chosen = "config.yaml" if overridden or own is None else own.chosen
    return Thresholds(reject_at=reject_at, review_from=review_from, chosen=chosen)
