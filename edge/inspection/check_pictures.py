"""Judges pictures of known parts with a model, to find a wrong setting before a part is judged."""

from dataclasses import dataclass
from pathlib import Path

from edge.core.errors import ModelError, PictureError, RefusedError
from edge.core.image import is_picture_name, open_picture
from edge.core.terms import Scaling
from edge.core.text import typed
from edge.inspection.decoding import model_input
from edge.inspection.inspector import Inspector

MAX_CHECK_PICTURES = 100  # every start waits for them


@dataclass(frozen=True, slots=True)
class CheckPicture:
    """A picture of a known part. `good`: it lies in the folder of the good class."""

    path: Path
    good: bool


@dataclass(frozen=True, slots=True)
class CheckResult:
    """`wrong`: a sentence for each defect that passes and each good part that fails."""

    pictures: int
    wrong: tuple[str, ...]


def find_check_pictures(folder: Path, ok_label: str) -> tuple[CheckPicture, ...]:
    """The pictures below `folder`/<class>/. Raises ModelError without good ones or defects."""
    try:
        found = tuple(
            CheckPicture(path, typed(kind.name) == typed(ok_label))
            for kind in sorted(folder.iterdir())
            if kind.is_dir()
            for path in sorted(kind.iterdir())
            if is_picture_name(path) and not _is_special(path)
        )
    except OSError as error:
        raise ModelError(
            f"model.check_pictures: {folder}: cannot be read ({error.strerror}); name a folder "
            f"with {ok_label}/ and a folder of defects"
        ) from error
    if len({picture.good for picture in found}) < 2:
        raise ModelError(
            f"model.check_pictures: {folder}: needs pictures in {ok_label}/ and in a folder of "
            f"defects, such as defect/ (found {len(found)} pictures)"
        )
    if len(found) > MAX_CHECK_PICTURES:
        raise ModelError(
            f"model.check_pictures: {folder}: holds {len(found)} pictures, at most "
            f"{MAX_CHECK_PICTURES}; keep the clear ones"
        )
    return found


def _is_special(path: Path) -> bool:
    """Whether it is a pipe, a socket or a device, which may never end."""
    return path.exists() and not path.is_file()


def check_with_pictures(inspector: Inspector, pictures: tuple[CheckPicture, ...]) -> CheckResult:
    """Judges pictures that are cropped already, without a camera's view. Raises ModelError
    for a picture that cannot be read."""
    wrong = []
    for picture in pictures:
        try:
            pixels = model_input(open_picture(picture.path), inspector.input)
        except PictureError as error:
            raise ModelError(f"model.check_pictures: {error}") from error
        judged = inspector.judge(pixels)
        if judged.outcome == ("fail" if picture.good else "pass"):
            wrong.append(f"{picture.path}: {judged.outcome} (score {judged.score:.4f})")
    return CheckResult(len(pictures), tuple(wrong))


def refuse_wrong_verdicts(
    inspector: Inspector, result: CheckResult, better: tuple[Scaling, ...]
) -> None:
    """Raises RefusedError when a picture is judged wrong. `better`: the other scalings that judge
    them all right."""
    if not result.wrong:
        return
    advice = "set the thresholds of decision, the order of model.labels, or take it out"
    if better:
        advice = f"with model.scaling {' or '.join(better)} all are judged right"
    elif inspector.scaling is not None:
        advice = f"model.scaling is {inspector.scaling}, no other one judges all right; {advice}"
    raise RefusedError(
        f"model.check_pictures: {len(result.wrong)} of {result.pictures} pictures are judged "
        f"wrong, first {result.wrong[0]}; {advice}"
    )
