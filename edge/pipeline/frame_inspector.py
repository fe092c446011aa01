"""From a frame to what was found in it, region by region: decode, cut, prepare, model.

A fault becomes a finding with its reason: nothing is raised, and nothing is guessed.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from edge.capture import FaultKind
from edge.config import TriggerConfig
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError, PictureError
from edge.core.frame import Frame, Pixels
from edge.core.image import EncodedPicture
from edge.core.percentiles import Latencies
from edge.core.view import ViewConfig
from edge.inspection import Inspector, Judgement, ViewCrop
from edge.pipeline.decode_parity import DecodeParity

log = logging.getLogger(__name__)

OnBadPicture = Callable[[str, str, FaultKind], None]  # camera, why, kind
Judgements = dict[str | None, Judgement]  # by region; None for a view of one picture


@dataclass(frozen=True, slots=True)
class CameraProfile:
    """How the frames of one camera are judged: what is cut out of them, and by which rule several
    become one verdict."""

    framing: ViewCrop
    trigger: TriggerConfig


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What one frame was found to be, region by region, or the `fault` that left it unjudged.

    `width` and `height` are the frame's, in pixels; `inference_ms` is the model alone.
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
        """The same, for when another frame of the part is the one worth keeping."""
        return replace(self, frame=self.frame.without_picture())


class FrameInspector:
    """Not for use by two threads at once."""

    def __init__(
        self,
        inspector: Inspector,
        environment: Clock,
        manners: Mapping[str, CameraProfile],
        *,
        latencies: Latencies,
        on_bad_picture: OnBadPicture,
        parity: DecodeParity,
    ) -> None:
        """`manners` by camera; a camera that is not there is seen as the model was trained.
        `latencies`: where to count on. `on_bad_picture` hears of pictures that came encoded and
        proved damaged, or unfit for the view. `parity` compares reduced pictures with whole
        ones."""
        self.inspector = inspector
        self._environment, self._latencies = environment, latencies
        self._manners = dict(manners)
        self._plain = CameraProfile(ViewCrop(inspector.input.view or ViewConfig()), TriggerConfig())
        self._on_bad_picture, self._parity = on_bad_picture, parity

    def manner(self, camera: str) -> CameraProfile:
        """How a camera's frames are judged."""
        return self._manners.get(camera, self._plain)

    def decode(self, camera: str, picture: EncodedPicture) -> tuple[Pixels, int]:
        """As much of a picture as is judged of this camera's, as `Inspector.decode` returns it.
        Raises PictureError."""
        if not self._parity.holds:
            return picture.decode()
        return self.inspector.decode(picture, self.manner(camera).framing)

    def look(self, frame: Frame) -> FrameResult:
        """Judges one frame, every region of it. Raises nothing."""
        if not frame.has_picture:
            return FrameResult(frame, 0, 0, fault=frame.fault or "the camera gave no picture")
        height = width = 0
        framing, inspector = self.manner(frame.camera).framing, self.inspector
        start = self._environment.tick()
        try:
            pixels, reduced = frame.pixels, frame.reduced
            if frame.encoded is not None and (pixels is None or self._is_too_small(frame)):
                pixels, reduced = self.decode(frame.camera, frame.encoded)
            assert pixels is not None
            decoded = self._environment.tick()
            height, width = pixels.shape[0] * reduced, pixels.shape[1] * reduced
            regions = framing.cut(pixels, reduced)
            pictures = {name: inspector.prepare(p, reduced) for name, p in regions.items()}
            prepared = self._environment.tick()
            judgements = {name: inspector.judge(p) for name, p in pictures.items()}
            if reduced > 1 and frame.encoded is not None and self._parity.due():
                judgements = self._compared(frame.camera, frame.encoded, judgements)
        except PictureError as error:
            if frame.encoded is not None:
                kind: FaultKind = "unfit" if width else "decode"
                self._on_bad_picture(frame.camera, str(error), kind)
            return FrameResult(frame, width, height, fault=str(error))
        except EdgeInspectError as error:
            return FrameResult(frame, width, height, fault=str(error))
        except Exception as error:  # a model that crashes must not take its part for good
            log.exception("inspection: unexpected fault")
            return FrameResult(frame, width, height, fault=f"fault in the model ({error!r})")
        done = self._environment.tick()
        took = {"prepare": (prepared - decoded) * 1000, "inference": (done - prepared) * 1000}
        if frame.pixels is None:
            took["decode"] = (decoded - start) * 1000
        self._latencies.add(took)
        return FrameResult(frame, width, height, judgements, (done - prepared) * 1000)

    def _is_too_small(self, frame: Frame) -> bool:
        """Whether a camera reduced a picture for another model than that which judges it now."""
        if frame.reduced == 1 or frame.encoded is None:
            return False
        header, framing = frame.encoded.header, self.manner(frame.camera).framing
        return frame.reduced > self.inspector.reduction(header.width, header.height, framing)

    def _compared(self, camera: str, picture: EncodedPicture, reduced: Judgements) -> Judgements:
        """The judgements of the whole picture, which are the ones that count."""
        inspector = self.inspector
        regions = self.manner(camera).framing.cut(picture.decode()[0])
        whole = {name: inspector.judge(inspector.prepare(p)) for name, p in regions.items()}
        for name, judgement in whole.items():
            self._parity.note(camera, reduced[name], judgement)
        return whole
