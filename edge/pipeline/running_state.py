"""The cameras and the model that run now. The pipeline changes them; other components read them."""

from collections.abc import Mapping

from edge.capture import FaultKind
from edge.capture.reader import Reader
from edge.core.threads import CopyOnWriteDict
from edge.inspection import Inspector
from edge.pipeline.part_tracker import PartTracker


class RunningCameras:
    """Mappings by camera; `trackers` of cameras with a trigger. Safe between threads: readers never
    wait."""

    def __init__(self) -> None:
        self.readers: CopyOnWriteDict[Reader] = CopyOnWriteDict()
        self.trackers: CopyOnWriteDict[PartTracker] = CopyOnWriteDict()

    def replace(self, readers: Mapping[str, Reader], trackers: Mapping[str, PartTracker]) -> None:
        """These cameras run from now on."""
        self.trackers.replace(trackers)
        self.readers.replace(readers)

    def picture_rejected(self, camera: str, why: str, kind: FaultKind) -> None:
        """A picture that its reader had accepted could not be decoded, or does not fit its view."""
        reader = self.readers.get(camera)
        if reader is not None:
            reader.note_unusable(why, kind)


class RunningModel:
    """Safe between threads."""

    def __init__(self, inspector: Inspector) -> None:
        self.inspector = inspector

    def adopt(self, inspector: Inspector) -> None:
        """Another model judges from now on, or the same one again."""
        self.inspector = inspector
