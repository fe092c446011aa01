"""The plant: GPIO outputs, the alarm, the requests trigger, snapshot and reload, and the commands
over the box's records."""

from edge.plant.plant import PlantInterface, VerdictDelivery
from edge.plant.record_values import (
    Labelled,
    LabelRequest,
    Picture,
    RecordQuery,
    Records,
    Remembered,
    RequestError,
    Shown,
    UndoRequest,
    UnknownRecordError,
    read_request,
)
from edge.plant.records import RecordsService
from edge.plant.reload_requests import Reloader, ReloadQueue
from edge.plant.snapshot_requests import SnapshotRequests
from edge.plant.trigger_requests import TriggerRequests

__all__ = [
    "LabelRequest",
    "Labelled",
    "Picture",
    "PlantInterface",
    "RecordQuery",
    "Records",
    "RecordsService",
    "ReloadQueue",
    "Reloader",
    "Remembered",
    "RequestError",
    "Shown",
    "SnapshotRequests",
    "TriggerRequests",
    "UndoRequest",
    "UnknownRecordError",
    "VerdictDelivery",
    "read_request",
]
