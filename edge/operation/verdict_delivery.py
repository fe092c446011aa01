"""Where the inspection workers deliver: a verdict to the wires, the outbox and the alarm; its
picture to the archive and to the topic `snapshot`."""

from edge.delivery.pictures import Pictures
from edge.delivery.writer import OutboxWriter
from edge.evidence.evidence import Evidence
from edge.frame import Frame
from edge.plantside import PlantSide
from edge.verdict import Verdict


class VerdictDelivery:
    """Safe between threads."""

    def __init__(
        self, plant: PlantSide, writer: OutboxWriter, evidence: Evidence, pictures: Pictures
    ) -> None:
        self._plant, self._writer = plant, writer
        self._evidence, self._pictures = evidence, pictures

    def deliver(self, verdict: Verdict) -> None:
        """Signals a verdict, stores it, and counts it for the alarm.

        The wires come first: a pulse that comes after a slow disk would be for the next part.
        """
        self._plant.signal(verdict)
        self._writer.submit(verdict)
        self._plant.count(verdict)

    def keep(self, frame: Frame, verdict: Verdict) -> None:
        """Offers the picture of a verdict to the archive and to the broker; either may drop it."""
        self._evidence.keep(frame, verdict)
        self._pictures.offer(frame, verdict)
