"""Which view a picture is cut by: the camera's own, else the one that the model was trained with.

Exactly one of them is applied, here and nowhere else: no picture is cut twice, and none not at all.
"""

from collections.abc import Mapping, Sequence

from edge.config import CameraConfig, TriggerConfig
from edge.core.errors import ConfigError, RefusedError
from edge.core.view import ViewConfig
from edge.inspection import InputSpec, Inspector, ViewCrop
from edge.pipeline.frame_inspector import CameraProfile

BY_HAND = "predict"  # the camera in verdicts on pictures of no camera in particular


def view_of(camera: CameraConfig, recipe: InputSpec | None) -> ViewConfig:
    """The view of a camera's pictures: what config.yaml says, else the model's `recipe`, else all
    of the picture. `view: {}` in config.yaml is all of it whatever the model says."""
    if camera.view is not None:
        return camera.view
    return (recipe.view if recipe is not None else None) or ViewConfig()


def disagreement(camera: CameraConfig, recipe: InputSpec) -> str | None:
    """That a camera is seen otherwise than its model was trained; None when it is not, or when the
    model does not say."""
    if camera.view is None or recipe.view is None or camera.view == recipe.view:
        return None
    return (
        f"camera {camera.id}: its view is not the one that the model was trained with; right when "
        "the camera is mounted otherwise, else remove cameras[].view"
    )


def check_views(cameras: Sequence[CameraConfig], recipe: InputSpec) -> None:
    """Raises ConfigError with every view that does not fit the size that its camera is asked for.
    Where no size is said, the camera's first picture tells, before anything is judged."""
    problems = []
    for camera in cameras:
        if camera.width is not None and camera.height is not None:
            why = ViewCrop(view_of(camera, recipe)).mismatch(camera.width, camera.height)
            if why is not None:
                problems.append(f"camera {camera.id}: {why}")
    if problems:
        raise ConfigError(problems)


def manners_by_hand(
    cameras: Sequence[CameraConfig], inspector: Inspector, *, one_verdict: bool = False
) -> dict[str, CameraProfile]:
    """How pictures are judged that come by hand, by camera: by its view, without its trigger.

    With `one_verdict` the worst region decides where the camera would give each its own.
    """
    views = {camera.id: view_of(camera, inspector.input) for camera in cameras}
    first, *others = views.values()
    if others and all(first == view for view in others):
        views[BY_HAND] = first
    if one_verdict:
        views = {
            name: view.replace(verdict="worst") if view.regions else view
            for name, view in views.items()
        }
    return {name: CameraProfile(ViewCrop(view), TriggerConfig()) for name, view in views.items()}


def camera_by_hand(manners: Mapping[str, CameraProfile], name: str | None) -> str:
    """The camera as which a picture is judged: the one with that name, or without a name the only
    one there is, or BY_HAND where all have the same view. Raises RefusedError for any other."""
    known = [camera for camera in manners if camera != BY_HAND]
    if name in known:
        return name
    if name is not None:
        raise RefusedError(f"there is no camera {name!r}; name one of {', '.join(known)}")
    if BY_HAND in manners:
        return BY_HAND
    if len(known) == 1:
        return known[0]
    raise RefusedError(
        f"the cameras {', '.join(known)} have different views; name the one that counts"
    )
