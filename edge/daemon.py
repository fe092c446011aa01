"""The composition root: builds the daemon's components bottom-up, starts and stops them."""

import logging
import os
import threading
import uuid
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import cv2

from edge.capture import OpenCamera
from edge.config import Config, ReloadState, may_request
from edge.core.clock import Clock, StopEvent
from edge.core.errors import EXIT_DONE
from edge.core.percentiles import Latencies
from edge.core.signals import listen_for_signals
from edge.core.systemd import SystemdNotifier
from edge.core.threads import WATCH, start_thread
from edge.core.verdict import Verdict
from edge.inspection import Inspector
from edge.monitoring import (
    Components,
    Health,
    HostMetrics,
    Progress,
    StationStatus,
    Supervisor,
)
from edge.mqtt import DeliveryService, RequestRouter, TokenBucket
from edge.pipeline import (
    Pipeline,
    RecipeModels,
    RecipeSelection,
    RunningCameras,
    RunningModel,
    build_inspector,
    build_judge,
    build_judges,
    check_views,
    verdicts_for_open_parts,
)
from edge.plant import (
    DailyEstimate,
    PlantInterface,
    RecipeChanges,
    RecipeRequests,
    RecipeStatus,
    RecordsService,
    Reloader,
    ReloadQueue,
    SnapshotRequests,
    TriggerRequests,
    VerdictDelivery,
    event_body,
)
from edge.reload import HttpServer, Reconfiguration, judge_for_web
from edge.storage import (
    CurrentRecipes,
    Evidence,
    HistoryReader,
    HistorySettings,
    HistoryWriter,
    Journal,
    Labels,
    PartJournal,
    TriggerNumbers,
    history_path,
)
from edge.web import LocalSocket

log = logging.getLogger(__name__)

_JOIN_S = 5.0
_RELOAD_S = 0.1  # at the end: a reload that still loads a model has changed nothing, and is left
_REPAIR_S = 60.0  # extends systemd's start timeout while a damaged outbox is repaired


class Daemon:
    """All components. The constructor loads the model, opens the outbox and starts the embedded
    broker.

    Each builder uses only components that are built before it. Shared state comes first: running
    cameras and model, reload state and queue, progress, and the event for changed parts.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock | None = None,
        *,
        open_camera: OpenCamera,
        path: Path | None = None,
    ) -> None:
        """Raises EdgeInspectError when the daemon cannot run. A missing camera or broker is no
        reason.

        - `open_camera`: opens a camera's source.
        - `path`: the file for reloads; None: no reloads.
        """
        cv2.setNumThreads(1)  # the inspection workers already use all cores
        self._clock = clock or Clock()
        self._session = uuid.uuid4().hex
        self._supervisor_stop = StopEvent()  # set last: the supervisor also watches the shutdown
        self._notifier = SystemdNotifier()
        self._current_recipes = CurrentRecipes(config.outbox.path)
        self._model = self._load_models(config, path)
        self._cameras, self._latencies = RunningCameras(), Latencies()
        self._progress = Progress()
        self._reload_state, self._reload_queue = ReloadState(config), ReloadQueue()
        with ExitStack() as undo:  # a start that fails halfway leaves nothing open
            self._build(config, open_camera, path, undo)
            undo.pop_all()

    def _build(
        self, config: Config, open_camera: OpenCamera, path: Path | None, undo: ExitStack
    ) -> None:
        self._part_journal = self._build_part_journal(config)
        undo.callback(self._part_journal.close)
        self._history = self._build_history(config)
        self._delivery = self._build_delivery(config)
        undo.callback(self._delivery.close)
        self._trigger_numbers = TriggerNumbers(
            config.outbox.path,
            self._clock.boot_id(),
            create=any(camera.trigger.announces for camera in config.cameras),
        )
        undo.callback(self._trigger_numbers.close)
        self._unjudged = self._recover_parts(config)
        self._build_recipes(config)
        undo.callback(self._current_recipes.close)
        self._labels = Labels.beside(config.outbox.path)
        self._evidence = Evidence(config.archive, self._clock, self._labels)
        records = self._build_records(config)
        self._local_socket = self._build_local_socket(config, records)
        self._estimate = DailyEstimate(records.line_estimate, self._clock)
        self._triggers = TriggerRequests(self._cameras.trackers, self._clock)
        self._snapshots = SnapshotRequests(
            self._cameras.readers, self._evidence, self._delivery.pictures, self._clock
        )
        self._requests = self._build_requests(config)
        self._plant = self._build_plant(config)
        undo.callback(self._plant.release)
        self._sink = VerdictDelivery(
            self._plant, self._delivery.writer, self._evidence, self._delivery.pictures
        )
        self._pipeline = self._build_pipeline(config, open_camera)
        undo.callback(self._pipeline.stop_accepting)
        components = self._build_components()
        self._health = self._build_health(config, components)
        self._status = self._build_status()
        self._supervisor = self._build_supervisor(config, components)
        self._web = self._build_web(config)
        if self._web is not None:
            undo.callback(self._web.run)
            undo.callback(self._web.close)
        self._reconfiguration = self._build_reconfiguration(path)
        self._reloader = Reloader(
            self._reload_queue,
            self._reload_state,
            self._reconfiguration,
            self._notifier,
            self._journal,
        )
        self._status.announce_info()

    def _build_recipes(self, config: Config) -> None:
        """The journal, the current recipes and their requests."""
        publisher = self._delivery.publisher
        self._journal = Journal.beside(
            config.outbox.path, self._clock.now, lambda one: publisher.event(event_body(one))
        )
        self._recipe_changes = RecipeChanges(self._current_recipes, self._journal, self._model)
        self._selection = RecipeSelection(
            self._model.recipes.names,
            self._current_recipes,
            self._clock,
            self._recipe_changes.changed,
        )
        self._recipe_requests = RecipeRequests(
            self._selection, self._recipe_changes, self._cameras.readers.keys
        )

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT. Returns the exit code. Raises EdgeInspectError when a
        component cannot start; then all others are stopped again."""
        stop = threading.Event()
        listen_for_signals(stop.set, self._reload_queue.handle_sighup, self._clock)
        threads: dict[str, threading.Thread] = {}
        try:
            self._start(threads)
        except BaseException:
            self._shut_down(threads)
            raise
        stop.wait()
        hung = self._shut_down(threads)
        self._leave_hung(hung)
        return EXIT_DONE

    def _start(self, threads: dict[str, threading.Thread]) -> None:
        threads["history"] = start_thread("history", self._history.run, vital=False)
        self._delivery.start(self._requests.handle)
        for verdict in self._unjudged:
            self._delivery.writer.submit(verdict)
        self._evidence.start()
        self._labels.prepare()
        self._local_socket.start()
        if self._web is not None:
            threads["web"] = start_thread("web", self._web.run)
        self._pipeline.start()
        self._plant.start()
        threads["supervisor"] = start_thread(
            "supervisor", partial(self._supervisor.run, self._supervisor_stop)
        )
        threads["reload"] = start_thread("reload", self._reloader.run)
        threads["recipes"] = start_thread(
            "recipes", partial(self._recipe_changes.run, self._pipeline.load_recipe), vital=False
        )

    def _load_models(self, config: Config, path: Path | None) -> RunningModel:
        """Loads and checks the model of the common part and those of all recipes."""
        inspector, current = _tested_inspector(config, path), self._current_recipes
        recipes = RecipeModels(config, inspector, path, in_use=lambda: current.all().values())
        if recipes.names:
            usable = len(recipes.names) - len(recipes.faults)
            log.info(
                "recipes: %d of %d can be used, %d loaded, %.1f MB each worker",
                *(usable, len(recipes.names), len(recipes.loaded), recipes.bytes / 1e6),
            )
        return RunningModel(inspector, recipes)

    def _build_part_journal(self, config: Config) -> PartJournal:
        return PartJournal.beside(config.outbox.path, os.environ.get("RUNTIME_DIRECTORY"))

    def _build_history(self, config: Config) -> HistoryWriter:
        settings = HistorySettings.of(config.history, config.archive.rate_in_force)
        return HistoryWriter(history_path(config.outbox.path), settings, self._clock)

    def _build_delivery(self, config: Config) -> DeliveryService:
        return DeliveryService(
            config,
            self._session,
            self._clock,
            on_commit=self._part_journal.stored,
            remember=self._history.add,
            on_rebuild_progress=partial(self._notifier.extend, _REPAIR_S),
        )

    def _recover_parts(self, config: Config) -> list[Verdict]:
        """The verdicts of parts that a killed process left open. Runs before the pipeline exists,
        because its pins may announce new parts at once."""
        new_judge = partial(
            build_judge, clock=self._clock, deadline_ms=None, latencies=self._latencies
        )
        recipes = self._model.recipes
        judges = build_judges(config, self._model.inspector, recipes, recipes.loaded, new_judge)
        return verdicts_for_open_parts(self._part_journal, self._delivery.rows, judges, self._clock)

    def _build_records(self, config: Config) -> RecordsService:
        return RecordsService(
            HistoryReader(history_path(config.outbox.path), self._history.report_damage),
            self._labels,
            lambda: self._reload_state.config.archive,
            lambda: self._model.inspector.ok_label,
            self._clock.now,
        )

    def _build_local_socket(self, config: Config, records: RecordsService) -> LocalSocket:
        path = LocalSocket.place(config.outbox.path, os.environ.get("RUNTIME_DIRECTORY"))
        return LocalSocket(path, records, config.outbox.path, self._clock)

    def _build_requests(self, config: Config) -> RequestRouter:
        return RequestRouter(
            {
                "trigger": self._triggers.handle,
                "recipe": self._recipe_requests.handle,
                "snapshot": self._snapshots.handle,
                "reload": self._reload_queue.handle,
            },
            self._delivery.publisher.reply,
            TokenBucket(config.mqtt.max_requests_per_s, self._clock.tick),
            lambda name: may_request(self._reload_state.config.mqtt, name),
        )

    def _build_plant(self, config: Config) -> PlantInterface:
        return PlantInterface(
            config,
            self._session,
            self._cameras.trackers,
            self._delivery.publisher.announce,
            self._clock,
            alive=self._progress.alive,
        )

    def _build_pipeline(self, config: Config, open_camera: OpenCamera) -> Pipeline:
        return Pipeline(
            config,
            self._model,
            self._clock,
            cameras=self._cameras,
            sink=self._sink,
            note_part=self._part_journal.note,
            next_number=self._trigger_numbers.next,
            parts_changed=self._plant.wake,
            processed_items=self._delivery.receipts,
            open_camera=open_camera,
            selection=self._selection,
            latencies=self._latencies,
        )

    def _build_components(self) -> Components:
        return Components(
            self._cameras.readers,
            self._pipeline.workers,
            self._latencies,
            self._delivery.writer,
            self._history,
            self._delivery.publisher,
            self._cameras.trackers,
            self._requests,
            self._delivery.pictures,
            self._reload_state,
            self._part_journal,
            self._model,
            self._sink,
            WATCH,
            self._local_socket,
            self._estimate,
            RecipeStatus(self._selection, self._model, self._current_recipes, self._journal),
        )

    def _build_health(self, config: Config, components: Components) -> Health:
        machine = HostMetrics(self._clock.root, config.outbox.path.parent)
        return Health(components, machine, self._clock, self._session)

    def _build_status(self) -> StationStatus:
        return StationStatus(
            state=self._reload_state,
            model=self._model,
            health=self._health,
            publisher=self._delivery.publisher,
            notifier=self._notifier,
            clock=self._clock,
            session=self._session,
        )

    def _build_supervisor(self, config: Config, components: Components) -> Supervisor:
        return Supervisor(
            components,
            self._health,
            self._notifier,
            self._clock,
            config.health.interval_s,
            progress=self._progress,
            pending=self._snapshots,
            daily=self._estimate,
        )

    def _build_web(self, config: Config) -> HttpServer | None:
        if not config.web.enabled:
            return None
        from edge.web.server import WebServer  # its packages are optional

        judge, camera_for = judge_for_web(config, self._clock)
        return WebServer(
            config.web,
            judge,
            self._health,
            self._clock,
            self._triggers,
            camera_for=camera_for,
            choose_recipe=self._recipe_requests.handle,
        )

    def _build_reconfiguration(self, path: Path | None) -> Reconfiguration:
        return Reconfiguration(
            path=path,
            model=self._model,
            selection=self._selection,
            pipeline=self._pipeline,
            plant=self._plant,
            delivery=self._delivery,
            history=self._history,
            evidence=self._evidence,
            web=self._web,
            supervisor=self._supervisor,
            status=self._status,
            clock=self._clock,
        )

    def _shut_down(self, threads: dict[str, threading.Thread]) -> list[str]:
        """Stops in the direction of the data: capture, inspection, outbox, publisher. Returns the
        names of hanging threads."""
        log.info("stopping: stores and sends the remaining verdicts first")
        self._notifier.stopping()
        self._reload_queue.close()
        if not self._reconfiguration.stop(_JOIN_S):
            log.warning("stopping: a reload does not end; the daemon stops without it")
        self._pipeline.stop_accepting()
        hung = self._pipeline.stop()
        hung += self._pipeline.workers.join(_JOIN_S)
        hung += self._delivery.drain()
        self._supervisor_stop.set()
        if self._web is not None:
            self._web.close()
        self._local_socket.close()
        self._recipe_changes.close()
        self._history.close()
        self._evidence.close()
        self._plant.release()
        for name in ("supervisor", "web"):
            if name in threads:
                threads[name].join(_JOIN_S)
        if self._web is not None and "web" not in threads:
            self._web.run()  # releases its port
        if "reload" in threads:
            threads["reload"].join(_RELOAD_S)
        self._local_socket.join(_JOIN_S)
        self._evidence.join(_JOIN_S)
        for name in ("history", "recipes"):
            if name in threads:
                threads[name].join(_JOIN_S)
        self._delivery.close()
        self._part_journal.close()
        self._trigger_numbers.close()
        self._current_recipes.close()
        return hung + [name for name, thread in threads.items() if thread.is_alive()]

    @staticmethod
    def _leave_hung(hung: list[str]) -> None:
        """Exits at once when a thread hangs in a driver: Python aborts if that thread writes
        while the interpreter shuts down."""
        if hung:
            log.warning("stopped, though %s did not end", ", ".join(hung))
            logging.shutdown()
            os._exit(EXIT_DONE)


def _tested_inspector(config: Config, path: Path | None) -> Inspector:
    """Loads the model, and checks its golden pictures and the cameras' views."""
    inspector = build_inspector(config, path)
    check_views(config.cameras, inspector.input)
    log.info(
        "model %s %s on %s: %d golden pictures score as tested",
        inspector.identity.name,
        inspector.identity.version,
        inspector.runtime,
        len(inspector.file.golden),
    )
    return inspector
