"""The plant: GPIO outputs, the alarm, and the requests trigger, snapshot and reload."""

from edge.plant.estimate import Estimate, Judged, Look, estimate_rates
from edge.plant.plant import PlantInterface, VerdictDelivery
from edge.plant.reload_requests import Reloader, ReloadQueue
from edge.plant.snapshot_requests import SnapshotRequests
from edge.plant.trigger_requests import TriggerRequests

__all__ = [
    "Estimate",
    "Judged",
    "Look",
    "PlantInterface",
    "ReloadQueue",
    "Reloader",
    "SnapshotRequests",
    "TriggerRequests",
    "VerdictDelivery",
    "estimate_rates",
]
