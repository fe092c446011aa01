"""The plant: GPIO outputs, the alarm, the requests, and the commands over the box's records."""

from edge.plant.daily_estimate import DailyEstimate
from edge.plant.export_formats import EXPORT_FORMATS, ExportFormat, picture_target, text_files
from edge.plant.export_plan import ExportChoice, ExportPicture, ExportPlan, plan_export
from edge.plant.model_requests import ModelRequests
from edge.plant.model_values import (
    ModelListing,
    Models,
    NamedVersions,
    RollbackRequest,
    ShadowRequest,
    Switched,
    SwitchRequest,
)
from edge.plant.models import ModelsService
from edge.plant.plant import PlantInterface, VerdictDelivery
from edge.plant.probation_watch import ProbationWatch
from edge.plant.recipe_changes import RecipeChanges
from edge.plant.recipe_requests import RecipeRequests
from edge.plant.recipe_status import RecipeStatus, event_body
from edge.plant.record_requests import RecordRequests
from edge.plant.record_values import (
    HistoryEntry,
    LabelReply,
    LabelRequest,
    Picture,
    RecordQuery,
    Records,
    RequestError,
    UndoRequest,
    UnknownRecordError,
    VerdictDetails,
    read_request,
)
from edge.plant.records import RecordsService
from edge.plant.reload_requests import Reloader, ReloadQueue
from edge.plant.shadow import Shadow
from edge.plant.shadow_report import ShadowReport
from edge.plant.snapshot_requests import SnapshotRequests
from edge.plant.switch_window import SwitchWindow
from edge.plant.trigger_requests import TriggerRequests

__all__ = [
    "EXPORT_FORMATS",
    "DailyEstimate",
    "ExportChoice",
    "ExportFormat",
    "ExportPicture",
    "ExportPlan",
    "HistoryEntry",
    "LabelReply",
    "LabelRequest",
    "ModelListing",
    "ModelRequests",
    "Models",
    "ModelsService",
    "NamedVersions",
    "Picture",
    "PlantInterface",
    "ProbationWatch",
    "RecipeChanges",
    "RecipeRequests",
    "RecipeStatus",
    "RecordQuery",
    "RecordRequests",
    "Records",
    "RecordsService",
    "ReloadQueue",
    "Reloader",
    "RequestError",
    "RollbackRequest",
    "Shadow",
    "ShadowReport",
    "ShadowRequest",
    "SnapshotRequests",
    "SwitchRequest",
    "SwitchWindow",
    "Switched",
    "TriggerRequests",
    "UndoRequest",
    "UnknownRecordError",
    "VerdictDelivery",
    "VerdictDetails",
    "event_body",
    "picture_target",
    "plan_export",
    "read_request",
    "text_files",
]
