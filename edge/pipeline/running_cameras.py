"""The cameras that run now, by name: filled by the pipeline, read by all others."""

from edge.capture import FaultKind
from edge.capture.reader import Reader
from edge.core.threads import CopyOnWriteDict
from edge.pipeline.part_tracker import PartTracker


class RunningCameras:
    """Safe between threads: a reader of one of the mappings never waits, and never sees half a
    change. `trackers` are of cameras that have a trigger; `verdicts_per_part` is how many verdicts
    a part of a camera gets: one, or one per region."""

    def __init__(self) -> None:
        self.readers: CopyOnWriteDict[Reader] = CopyOnWriteDict()
        self.trackers: CopyOnWriteDict[PartTracker] = CopyOnWriteDict()
        self.verdicts_per_part: CopyOnWriteDict[int] = CopyOnWriteDict()

    def add(self, reader: Reader, tracker: PartTracker | None) -> None:
        """A camera runs from now on."""
        if tracker is None:
            self.trackers.pop(reader.id, None)
        else:
            self.trackers[reader.id] = tracker
        self.readers[reader.id] = reader

    def drop(self, camera: str) -> None:
        """A camera runs no longer."""
        self.trackers.pop(camera, None)
        self.readers.pop(camera, None)

    def verdicts_of_part(self, camera: str) -> int:
        """How many verdicts a part of a camera gets. Raises KeyError for an unknown camera."""
        return self.verdicts_per_part[camera]

    def picture_rejected(self, camera: str, why: str, kind: FaultKind) -> None:
        """A picture that its reader had accepted could not be decoded, or does not fit its view."""
        reader = self.readers.get(camera)
        if reader is not None:
            reader.note_unusable(why, kind)
