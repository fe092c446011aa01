"""The plant: GPIO outputs, the alarm, the requests, and the commands over the box's records."""

from edge.plant.daily_estimate import DailyEstimate
from edge.plant.export_formats import EXPORT_FORMATS, ExportFormat, picture_target, text_files
from edge.plant.export_plan import ExportChoice, ExportPicture, ExportPlan, plan_export
from edge.plant.models import (
    ModelListing,
    Models,
    ModelsService,
    RollbackRequest,
    Switched,
    SwitchRequest,
)
from edge.plant.plant import PlantInterface, VerdictDelivery
from edge.plant.record_requests import RecordRequests
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
    "EXPORT_FORMATS",
    "DailyEstimate",
    "ExportChoice",
    "ExportFormat",
    "ExportPicture",
    "ExportPlan",
    "LabelRequest",
    "Labelled",
    "ModelListing",
    "Models",
    "ModelsService",
    "Picture",
    "PlantInterface",
    "RecordQuery",
    "RecordRequests",
    "Records",
    "RecordsService",
    "ReloadQueue",
    "Reloader",
    "Remembered",
    "RequestError",
    "RollbackRequest",
    "Shown",
    "SnapshotRequests",
    "SwitchRequest",
    "Switched",
    "TriggerRequests",
    "UndoRequest",
    "UnknownRecordError",
    "VerdictDelivery",
    "picture_target",
    "plan_export",
    "read_request",
    "text_files",
]
