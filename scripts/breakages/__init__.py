"""The breakages of scripts.breakage, by package, and the tests that must notice them."""

from scripts.breakages.breakage import Breakage
from scripts.breakages.capture import CAPTURE
from scripts.breakages.core import CORE
from scripts.breakages.field import FIELD
from scripts.breakages.inspection import INSPECTION
from scripts.breakages.models import MODELS
from scripts.breakages.mqtt import MQTT
from scripts.breakages.pipeline import PIPELINE
from scripts.breakages.services import SERVICES
from scripts.breakages.storage import STORAGE
from scripts.breakages.workstation import WORKSTATION

__all__ = ["BREAKAGES", "Breakage"]

BREAKAGES = [
    *CORE,
    *INSPECTION,
    *CAPTURE,
    *PIPELINE,
    *STORAGE,
    *MODELS,
    *MQTT,
    *SERVICES,
    *WORKSTATION,
    *FIELD,
]
