"""Judges one frame, region by region: decode, cut, prepare, model.

A fault becomes a result with its reason; nothing is raised.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from edge.capture import FaultKind
from edge.config import TriggerConfig
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError, PictureError
from edge.core.frame import Frame, whole_size
from edge.core.image import EncodedPicture
from edge.core.jpeg import JPEGDecoding
from edge.core.percentiles import Latencies
from edge.core.terms import Pixels
from edge.core.view import ViewConfig
from edge.inspection import Inspector, Judgement, ViewCrop

log = logging.getLogger(__name__)

OnBadPicture = Callable[[str, str, FaultKind], None]  # camera, why, kind
Judgements = dict[str | None, Judgement]  # by region; None: a view without regions


@dataclass(frozen=True, slots=True)
class CameraProfile:
    """How the frames of one camera are judged.

    crop: the regions that are cut out of them.
    trigger: by which rule several frames become one verdict.
    """

    crop: ViewCrop
    trigger: TriggerConfig


@dataclass(frozen=True, slots=True)
class FrameResult:
    """The judgements of one frame, or the `fault` that left it unjudged.

    width, height: size of the frame, pixels.
    inference_ms: time of the model alone.
    """

    frame: Frame
    width: int
    height: int
    judgements: Judgements = field(default_factory=dict)
    inference_ms: float | None = None
    fault: str | None = None

    @property
    def score(self) -> float:
        """The highest score of its regions, 0 to 1; -1 when it was not judged."""
        return max((j.score for j in self.judgements.values()), default=-1.0)

    def without_pixels(self) -> "FrameResult":
        """The same without the picture, to save memory."""
        return replace(self, frame=self.frame.without_picture())


class FrameInspector:
    """Not for use by two threads at once."""

    def __init__(
        self,
        inspector: Inspector,
        clock: Clock,
        profiles: Mapping[str, CameraProfile],
        *,
        latencies: Latencies,
        on_bad_picture: OnBadPicture,
    ) -> None:
        """Parameters:

        profiles: by camera; a camera without one gets the view that the model was trained with.
        latencies: receives the time of each step.
        on_bad_picture: called for an encoded picture that is damaged or does not fit the view.
        """
        self.inspector = inspector
        self._clock, self._latencies = clock, latencies
        self._profiles = dict(profiles)
        self._default_profile = CameraProfile(
            ViewCrop(inspector.input.view or ViewConfig()), TriggerConfig()
        )
        self._on_bad_picture = on_bad_picture

    def profile(self, camera: str) -> CameraProfile:
        """How a camera's frames are judged."""
        return self._profiles.get(camera, self._default_profile)

    def decode(self, camera: str, picture: EncodedPicture) -> tuple[Pixels, int]:
        """Decodes what this camera's view needs; see `Inspector.decode`. Raises PictureError."""
        return self.inspector.decode(picture, self.profile(camera).crop)

    def inspect(self, frame: Frame) -> FrameResult:
        """Judges one frame, every region of it. Raises nothing."""
        if not frame.has_picture:
            return FrameResult(frame, 0, 0, fault=frame.fault or "the camera gave no picture")
        height = width = 0
        crop, inspector = self.profile(frame.camera).crop, self.inspector
        start = self._clock.tick()
        try:
            pixels, reduced = frame.pixels, frame.reduced
            if frame.encoded is not None and (pixels is None or self._is_otherwise(frame)):
                pixels, reduced = self.decode(frame.camera, frame.encoded)
            assert pixels is not None
            decoded = self._clock.tick()
            width, height = whole_size(pixels, reduced, frame.encoded)
            regions = crop.cut(pixels, reduced)
            pictures = {name: inspector.prepare(p) for name, p in regions.items()}
            prepared = self._clock.tick()
            judgements = {name: inspector.judge(p) for name, p in pictures.items()}
        except PictureError as error:
            if frame.encoded is not None:
                kind: FaultKind = "unfit" if width else "decode"
                self._on_bad_picture(frame.camera, str(error), kind)
            return FrameResult(frame, width, height, fault=str(error))
        except EdgeInspectError as error:
            return FrameResult(frame, width, height, fault=str(error))
        except Exception as error:  # a crash in the model must not leave its part unanswered
            log.exception("inspection: unexpected fault")
            return FrameResult(frame, width, height, fault=f"fault in the model ({error!r})")
        done = self._clock.tick()
        took = {"prepare": (prepared - decoded) * 1000, "inference": (done - prepared) * 1000}
        if frame.pixels is None:
            took["decode"] = (decoded - start) * 1000
        self._latencies.add(took)
        return FrameResult(frame, width, height, judgements, (done - prepared) * 1000)

    def _is_otherwise(self, frame: Frame) -> bool:
        """Whether the camera decoded the picture otherwise, for an earlier model."""
        if frame.encoded is None or frame.pixels is None:
            return False
        header, crop = frame.encoded.header, self.profile(frame.camera).crop
        wanted = self.inspector.jpeg_decoding(header.width, header.height, crop)
        return wanted != JPEGDecoding(frame.reduced, frame.pixels.shape[2] == 1)
