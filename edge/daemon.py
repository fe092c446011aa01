"""The composition root: builds the daemon's components bottom-up, starts and stops them."""

import logging
import os
import threading
import uuid
from functools import partial
from pathlib import Path

import cv2

from edge.capture.factory import OpenCamera
from edge.config import Config
from edge.config.reload_state import ReloadState
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EXIT_DONE
from edge.core.percentiles import Latencies
from edge.core.signals import listen_for_signals
from edge.core.systemd import SystemdNotifier
from edge.core.threads import start_thread
from edge.core.verdict import Verdict
from edge.inspection.inspector import Inspector
from edge.monitoring.components import Components
from edge.monitoring.health import Health
from edge.monitoring.host import HostMetrics
from edge.monitoring.progress import Progress
from edge.monitoring.station_status import StationStatus
from edge.monitoring.supervisor import Supervisor
from edge.mqtt.delivery import DeliveryService
from edge.mqtt.request_router import RequestRouter, TokenBucket
from edge.pipeline import (
    Pipeline,
    RunningCameras,
    RunningModel,
    build_inspector,
    build_judge,
    check_views,
    verdicts_for_open_parts,
)
from edge.plant.plant import PlantInterface
from edge.plant.reload_requests import Reloader, ReloadQueue
from edge.plant.snapshot_requests import SnapshotRequests
from edge.plant.trigger_requests import TriggerRequests
from edge.plant.verdict_delivery import VerdictDelivery
from edge.reload import HttpServer, Reconfiguration, judge_for_web
from edge.storage import Evidence, PartJournal

log = logging.getLogger(__name__)

_JOIN_S = 5.0
_REPAIR_S = 60.0  # systemd waits this much longer for the start while a damaged outbox is repaired


class Daemon:
    """All components. Building it opens what must be there: model, outbox, embedded broker.

    The builders run in the order of their calls; each uses only what stands before it. What two
    components share is built first: the cameras and the model that run now, the state and queue
    of reloads, the progress that the supervisor sees, and the event of parts that changed.
    """

    def __init__(
        self,
        config: Config,
        environment: Clock | None = None,
        *,
        open_camera: OpenCamera,
        path: Path | None = None,
    ) -> None:
        """`path` is the file that a reload reads; None: nothing can be reloaded.
        `open_camera` opens the source of each camera. Raises
        EdgeInspectError for what cannot run at all; a missing camera or broker can."""
        cv2.setNumThreads(1)  # the workers share the cores already
        self._environment = environment or Clock()
        self._session = uuid.uuid4().hex
        self._halt = StopEvent()  # for the supervisor, which watches to the end
        self._notifier = SystemdNotifier()
        self._model = RunningModel(_tested_inspector(config))
        self._cameras, self._latencies = RunningCameras(), Latencies()
        self._parts_changed, self._progress = threading.Event(), Progress()
        self._reload_state, self._reload_queue = ReloadState(config), ReloadQueue()

        self._open_parts = self._build_open_parts(config)
        self._delivery = self._build_delivery(config)
        self._unjudged = self._recover_parts(config)
        self._evidence = Evidence(config.archive)
        self._triggers = TriggerRequests(self._cameras.trackers, self._environment)
        self._snapshots = SnapshotRequests(
            self._cameras.readers, self._evidence, self._delivery.pictures, self._environment
        )
        self._requests = self._build_requests(config)
        self._plant = self._build_plant(config)
        self._line = self._build_line(config, open_camera)
        components = self._build_components()
        self._health = self._build_health(config, components)
        self._status = self._build_status()
        self._supervisor = self._build_supervisor(config, components)
        self._web = self._build_web(config)
        self._reloader = self._build_reloader(path)
        self._status.announce_info()

    def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns the exit code."""
        asked = threading.Event()
        listen_for_signals(asked.set, self._reload_queue.hang_up, self._environment)
        self._delivery.start(self._requests.hear)
        threads: dict[str, threading.Thread] = {}
        for verdict in self._unjudged:
            self._delivery.writer.submit(verdict)
        self._evidence.start()
        if self._web is not None:
            threads["web"] = start_thread("web", self._web.run)
        self._line.start()
        self._plant.start()
        threads["supervisor"] = start_thread(
            "supervisor", partial(self._supervisor.run, self._halt)
        )
        threads["reload"] = start_thread("reload", self._reloader.run)
        asked.wait()
        hung = self._shut_down(threads)
        self._leave_hung(hung)
        return EXIT_DONE

    def _build_open_parts(self, config: Config) -> PartJournal:
        return PartJournal.beside(config.outbox.path, os.environ.get("RUNTIME_DIRECTORY"))

    def _build_delivery(self, config: Config) -> DeliveryService:
        return DeliveryService(
            config,
            self._session,
            self._environment,
            on_commit=self._open_parts.stored,
            on_rebuild_progress=partial(self._notifier.extend, _REPAIR_S),
        )

    def _recover_parts(self, config: Config) -> list[Verdict]:
        """The verdicts of parts that a killed process left. Before the line is built: its pins may
        announce new parts at once."""
        judge = build_judge(
            config, self._model.inspector, self._environment, None, latencies=self._latencies
        )
        return verdicts_for_open_parts(
            self._open_parts, self._delivery.rows, judge, self._environment
        )

    def _build_requests(self, config: Config) -> RequestRouter:
        return RequestRouter(
            {
                "trigger": self._triggers.ask,
                "snapshot": self._snapshots.ask,
                "reload": self._reload_queue.ask,
            },
            self._delivery.publisher.reply,
            TokenBucket(config.mqtt.max_requests_per_s, self._environment.tick),
        )

    def _build_plant(self, config: Config) -> PlantInterface:
        return PlantInterface(
            config,
            self._session,
            self._cameras.trackers,
            self._delivery.publisher,
            self._environment,
            alive=self._progress.alive,
            parts_changed=self._parts_changed,
        )

    def _build_line(self, config: Config, open_camera: OpenCamera) -> Pipeline:
        delivery = self._delivery
        sink = VerdictDelivery(self._plant, delivery.writer, self._evidence, delivery.pictures)
        return Pipeline(
            config,
            self._model,
            self._environment,
            cameras=self._cameras,
            sink=sink,
            note_part=self._open_parts.note,
            parts_changed=self._parts_changed,
            processed_items=delivery.receipts,
            open_camera=open_camera,
            latencies=self._latencies,
        )

    def _build_components(self) -> Components:
        return Components(
            self._cameras.readers,
            self._line.workers,
            self._latencies,
            self._delivery.writer,
            self._delivery.publisher,
            self._cameras.trackers,
            self._requests,
            self._delivery.pictures,
            self._reload_state,
            self._open_parts,
            self._model,
        )

    def _build_health(self, config: Config, components: Components) -> Health:
        machine = HostMetrics(self._environment.root, config.outbox.path.parent)
        return Health(components, machine, self._environment, self._session)

    def _build_status(self) -> StationStatus:
        return StationStatus(
            state=self._reload_state,
            model=self._model,
            health=self._health,
            publisher=self._delivery.publisher,
            notifier=self._notifier,
            environment=self._environment,
            session=self._session,
        )

    def _build_supervisor(self, config: Config, components: Components) -> Supervisor:
        return Supervisor(
            components,
            self._health,
            self._notifier,
            self._environment,
            config.health.interval_s,
            progress=self._progress,
            pending=self._snapshots,
        )

    def _build_web(self, config: Config) -> HttpServer | None:
        if not config.web.enabled:
            return None
        from edge.web.server import WebServer  # its packages are optional

        judge, whose = judge_for_web(config, self._environment)
        return WebServer(
            config.web, judge, self._health, self._environment, self._triggers, whose=whose
        )

    def _build_reloader(self, path: Path | None) -> Reloader:
        target = Reconfiguration(
            path,
            model=self._model,
            line=self._line,
            plant=self._plant,
            delivery=self._delivery,
            evidence=self._evidence,
            web=self._web,
            supervisor=self._supervisor,
            status=self._status,
            environment=self._environment,
        )
        return Reloader(self._reload_queue, self._reload_state, target, self._notifier)

    def _shut_down(self, threads: dict[str, threading.Thread]) -> list[str]:
        """In the direction of the data: capture, inspection, outbox, publisher. Returns what
        hangs."""
        log.info("stopping: verdicts in hand are stored and sent first")
        self._notifier.stopping()
        self._reload_queue.close()
        threads["reload"].join(_JOIN_S)
        self._line.stop_accepting()
        hung = self._line.stop()
        hung += self._line.workers.join(_JOIN_S)
        hung += self._delivery.drain()
        self._halt.set()
        if self._web is not None:
            self._web.close()
        self._evidence.close()
        self._plant.close()
        for name in ("supervisor", "web"):
            if name in threads:
                threads[name].join(_JOIN_S)
        self._evidence.join(_JOIN_S)
        self._delivery.close()
        self._open_parts.close()
        return hung + [name for name, thread in threads.items() if thread.is_alive()]

    @staticmethod
    def _leave_hung(hung: list[str]) -> None:
        """Python aborts when a thread writes while the interpreter is taken apart: a thread that
        hangs in a driver is left behind instead."""
        if hung:
            log.warning("stopped, though %s did not end", ", ".join(hung))
            logging.shutdown()
            os._exit(EXIT_DONE)


def _tested_inspector(config: Config) -> Inspector:
    """The model, after its golden pictures scored as tested and all views fit it."""
    inspector = build_inspector(config)
    check_views(config.cameras, inspector.input)
    log.info(
        "model %s %s on %s: %d golden pictures score as tested",
        inspector.identity.name,
        inspector.identity.version,
        inspector.runtime,
        len(inspector.file.golden),
    )
    return inspector
