"""Stand-ins for the components that health and the supervisor read."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from edge.core.clock import Clock
from edge.core.percentiles import Latencies
from edge.core.threads import ThreadWatch
from edge.inspection import InputSpec
from edge.monitoring.health import Health
from edge.monitoring.health_body import Components
from edge.monitoring.host import HostMetrics
from edge.mqtt.send_scheduler import CAUSES
from edge.mqtt.snapshots import SKIPS
from edge.storage import ArchiveCounts, HistoryStats, OutboxStats


class HealthyComponents:
    """The components of a box without a fault. A test changes their attributes."""

    def __init__(self, clock: Clock, state: Path) -> None:
        tick = clock.tick()
        self.reader = SimpleNamespace(
            id="top",
            state="live",
            why="",
            frames=0,
            frozen=0,
            passed_over=0,
            repeated=0,
            distrusted={},
            faults=0,
            reconnects=0,
            stuck=0.0,
            checked=0,
        )
        self.reader.check = lambda: setattr(self.reader, "checked", self.reader.checked + 1)
        self.reader.stuck_s = lambda: self.reader.stuck
        self.reader.last_frame_age_s = lambda: 0.04
        self.stats = OutboxStats(rows=2, bytes=2048, stored=9, acked=7)
        self.remembered = HistoryStats(rows=3, bytes=4096, oldest=1_790_000_000.5)
        self.announced: list[tuple[str, bytes]] = []
        self.latencies = Latencies()
        self.workers = SimpleNamespace(
            beat=tick,
            counts={"pass": 5, "review": 1, "fail": 2, "error": 1},
            replaced=lambda _camera: 3,
        )
        self.writer = SimpleNamespace(beat=tick, fault="", stats=lambda: self.stats)
        self.publisher: Any = SimpleNamespace(
            beat=tick,
            state="online",
            why="",
            reconnects=1,
            at="127.0.0.1:1883",
            version="5",
            refused=dict.fromkeys(CAUSES, 0),
            faults=lambda: [why for why in [self.publisher.why] if why],
            announce=lambda name, body: self.announced.append((name, body)),
        )
        self.part_journal = SimpleNamespace(fault="")
        self.threads = ThreadWatch(clock.tick)
        self.local_socket = SimpleNamespace(fault="")
        self.pin_faults: list[str] = []
        self.accessory_faults: list[str] = []
        self.evidence_faults: list[str] = []
        plant = SimpleNamespace(
            pin_failures=0,
            accessory_failures=0,
            pin_faults=lambda: self.pin_faults,
            accessory_faults=lambda: self.accessory_faults,
            evidence_faults=lambda: self.evidence_faults,
            evidence_counts=ArchiveCounts(kept=4),
        )
        components: dict[str, Any] = {
            "trackers": {},
            "requests": SimpleNamespace(heard=0, refused=0, dropped=0),
            "pictures": SimpleNamespace(
                counts=lambda: {"sent": 0, "skipped": dict.fromkeys(SKIPS, 0)}
            ),
            "reload": SimpleNamespace(problems=(), restart_required=()),
            "part_journal": self.part_journal,
            "threads": self.threads,
            "local_socket": self.local_socket,
            "estimate": SimpleNamespace(latest=None),
            "recipes": SimpleNamespace(
                current=lambda _camera: None, why_unusable=lambda _camera: None, faults=list
            ),
            "models": SimpleNamespace(faults=list),
            "plant": plant,
            "model": SimpleNamespace(
                inspector=SimpleNamespace(input=InputSpec(width=64, height=64))
            ),
            "readers": {"top": self.reader},
            "latencies": self.latencies,
            "workers": self.workers,
            "writer": self.writer,
            "history": SimpleNamespace(stats=lambda: self.remembered),
            "publisher": self.publisher,
        }
        self.components = Components(**cast(Any, components))
        self.health = Health(self.components, HostMetrics(clock.root, state), clock, "s-1")
