"""Selects the view of a camera: its own, else the one that the model was trained with.

Only this module selects a view, so every picture is cut exactly once.
"""

from collections.abc import Mapping, Sequence

from edge.config import CameraConfig, TriggerConfig
from edge.core.errors import ConfigError, RefusedError
from edge.core.view import ViewConfig
from edge.inspection import InputSpec, Inspector, ViewCrop
from edge.pipeline.frame_inspector import CameraProfile

UNNAMED_CAMERA = "predict"  # in verdicts on pictures that no camera took


def view_of(camera: CameraConfig, input_spec: InputSpec | None) -> ViewConfig:
    """The view in config.yaml, else the model's, else the whole picture. `view: {}` in config.yaml
    is the whole picture for every model."""
    if camera.view is not None:
        return camera.view
    return (input_spec.view if input_spec is not None else None) or ViewConfig()


def disagreement(camera: CameraConfig, input_spec: InputSpec) -> str | None:
    """A sentence when the camera's view is not the model's; None: it is, or one is not given."""
    if camera.view is None or input_spec.view is None or camera.view == input_spec.view:
        return None
    return (
        f"camera {camera.id}: its view is not the one that the model was trained with; right when "
        "the camera is mounted otherwise, else remove cameras[].view"
    )


def check_views(cameras: Sequence[CameraConfig], input_spec: InputSpec) -> None:
    """Raises ConfigError with every view that does not fit the size of its camera in config.yaml.

    Without a size there, the reader checks the camera's first picture.
    """
    problems = []
    for camera in cameras:
        if camera.width is not None and camera.height is not None:
            why = ViewCrop(view_of(camera, input_spec)).mismatch(camera.width, camera.height)
            if why is not None:
                problems.append(f"camera {camera.id}: {why}")
    if problems:
        raise ConfigError(problems)


def image_profiles(
    cameras: Sequence[CameraConfig], inspector: Inspector, *, one_verdict: bool = False
) -> dict[str, CameraProfile]:
    """Profiles by camera for pictures that a person sends: the camera's view, without its trigger.

    one_verdict: the worst region decides, instead of one verdict per region.
    """
    views = {camera.id: view_of(camera, inspector.input) for camera in cameras}
    first, *others = views.values()
    if others and all(first == view for view in others):
        views[UNNAMED_CAMERA] = first
    if one_verdict:
        views = {
            name: view.replace(verdict="worst") if view.regions else view
            for name, view in views.items()
        }
    return {name: CameraProfile(ViewCrop(view), TriggerConfig()) for name, view in views.items()}


def choose_camera(profiles: Mapping[str, CameraProfile], name: str | None) -> str:
    """The camera whose profile a picture gets.

    Without a name: the only camera, or UNNAMED_CAMERA when all have the same view. Raises
    RefusedError for an unknown name, and when a name is needed.
    """
    known = [camera for camera in profiles if camera != UNNAMED_CAMERA]
    if name in known:
        return name
    if name is not None:
        raise RefusedError(f"there is no camera {name!r}; name one of {', '.join(known)}")
    if UNNAMED_CAMERA in profiles:
        return UNNAMED_CAMERA
    if len(known) == 1:
        return known[0]
    raise RefusedError(
        f"the cameras {', '.join(known)} have different views; name the one that counts"
    )
