"""Cameras and their frames.

Two modules are public too, but are not imported here, since every camera process imports this
package: `reader` (Reader, State) and `quality` (brightness, sharpness).
"""

from edge.capture.camera import (
    FAULT_KINDS,
    Camera,
    CameraRead,
    DecodingOf,
    DrivenCamera,
    FaultKind,
    ItemLedger,
    Pixels,
    ReaderLedger,
)
from edge.capture.factory import CameraFactory, OpenCamera
from edge.capture.isolation.demand import DemandGate
from edge.capture.isolation.forkserver_client import ForkServerClient

__all__ = [
    "FAULT_KINDS",
    "Camera",
    "CameraFactory",
    "CameraRead",
    "DecodingOf",
    "DemandGate",
    "DrivenCamera",
    "FaultKind",
    "ForkServerClient",
    "ItemLedger",
    "OpenCamera",
    "Pixels",
    "ReaderLedger",
]
