"""The running components that health and the supervisor read."""

from collections.abc import Mapping
from dataclasses import dataclass

from edge.capture.reader import Reader
from edge.config.reload_state import ReloadState
from edge.core.percentiles import Latencies
from edge.mqtt.publisher import Publisher
from edge.mqtt.request_router import RequestRouter
from edge.mqtt.snapshots import SnapshotSender
from edge.pipeline.part_tracker import PartTracker
from edge.pipeline.running_model import RunningModel
from edge.pipeline.worker_pool import WorkerPool
from edge.storage.outbox.writer import OutboxWriter
from edge.storage.part_journal import PartJournal


@dataclass(frozen=True, slots=True)
class Components:
    """`readers` and `trackers` are by camera; a reload changes them."""

    readers: Mapping[str, Reader]
    workers: WorkerPool
    latencies: Latencies
    writer: OutboxWriter
    publisher: Publisher
    trackers: Mapping[str, PartTracker]
    requests: RequestRouter
    pictures: SnapshotSender
    reload: ReloadState
    open_parts: PartJournal
    model: RunningModel
