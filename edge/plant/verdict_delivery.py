"""Where the inspection workers deliver: a verdict to the wires, the outbox and the alarm; its
picture to the archive and to the topic `snapshot`."""

from edge.core.frame import Frame
from edge.core.verdict import Verdict
from edge.mqtt.snapshots import SnapshotSender
from edge.plant.plant import PlantInterface
from edge.storage import Evidence, OutboxWriter


class VerdictDelivery:
    """Safe between threads."""

    def __init__(
        self,
        plant: PlantInterface,
        writer: OutboxWriter,
        evidence: Evidence,
        pictures: SnapshotSender,
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
