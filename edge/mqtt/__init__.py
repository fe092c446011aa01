"""Verdicts, status and requests over an MQTT broker."""

from edge.mqtt.delivery import DeliveryService, build_embedded_broker
from edge.mqtt.probe import check_broker
from edge.mqtt.publisher import Publisher
from edge.mqtt.request_router import Data, RequestRouter, TokenBucket, parse_request, settle
from edge.mqtt.snapshots import SnapshotCounts, SnapshotSender

__all__ = [
    "Data",
    "DeliveryService",
    "Publisher",
    "RequestRouter",
    "SnapshotCounts",
    "SnapshotSender",
    "TokenBucket",
    "build_embedded_broker",
    "check_broker",
    "parse_request",
    "settle",
]
