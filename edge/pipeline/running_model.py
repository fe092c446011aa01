"""The model that judges now. A reload replaces it; cameras, health and `info` read it."""

from edge.inspection import Inspector, ViewCrop
from edge.pipeline.decode_parity import DecodeParity


class RunningModel:
    """Safe between threads. `parity` compares pictures decoded at reduced scale with whole ones,
    for this model only."""

    def __init__(self, inspector: Inspector) -> None:
        self.inspector = inspector
        self.parity = DecodeParity()

    def adopt(self, inspector: Inspector, parity: DecodeParity) -> None:
        """Another model judges from now on, or the same one again."""
        self.inspector, self.parity = inspector, parity

    def reduction(self, width: int, height: int, framing: ViewCrop) -> int:
        """By what a camera may divide both sides of its JPEGs while it decodes them. `width` and
        `height` are those of the JPEG, in pixels."""
        return self.inspector.reduction(width, height, framing) if self.parity.holds else 1
