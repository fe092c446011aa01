"""The composition root: builds the daemon's components bottom-up. `lifecycle` starts and
stops them."""

import logging
import os
import uuid
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import cv2

from edge.capture import OpenCamera
from edge.config import Config, ReloadState
from edge.core.clock import Clock
from edge.core.percentiles import Latencies
from edge.core.systemd import SystemdNotifier
from edge.core.text import one_line
from edge.core.threads import WATCH
from edge.core.verdict import Verdict
from edge.daemon.model_parts import ModelParts
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
    RecordRequests,
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
    OutboxReader,
    PartJournal,
    TriggerNumbers,
    history_path,
)
from edge.web import LocalSocket

log = logging.getLogger(__name__)

_REPAIR_S = 60.0  # extends systemd's start timeout while a damaged outbox is repaired


class Composition:
    """All components, wired. The constructor loads the model, opens the outbox and starts the
    embedded broker.

    Each builder uses only components that are built before it. Shared state comes first: running
    cameras and model, reload state and queue, progress, and the event for changed parts.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
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
        self.clock = clock
        self._session = uuid.uuid4().hex
        self.notifier = SystemdNotifier()
        self.current_recipes = CurrentRecipes(config.outbox.path)
        self._model = self._load_models(config, path)
        self._cameras, self._latencies = RunningCameras(), Latencies()
        self._progress = Progress()
        self._reload_state, self.reload_queue = ReloadState(config), ReloadQueue()
        with ExitStack() as undo:  # a start that fails halfway leaves nothing open
            self._build(config, open_camera, path, undo)
            undo.pop_all()

    def _build(
        self, config: Config, open_camera: OpenCamera, path: Path | None, undo: ExitStack
    ) -> None:
        self.part_journal = self._build_part_journal(config)
        undo.callback(self.part_journal.close)
        self.history = self._build_history(config)
        self.delivery = self._build_delivery(config)
        undo.callback(self.delivery.close)
        self.trigger_numbers = TriggerNumbers(
            config.outbox.path,
            self.clock.boot_id(),
            create=any(camera.trigger.announces for camera in config.cameras),
        )
        undo.callback(self.trigger_numbers.close)
        self.unjudged = self._recover_parts(config)
        self._build_recipes(config)
        undo.callback(self.current_recipes.close)
        self.labels = Labels.beside(config.outbox.path)
        self.evidence = Evidence(config.archive, self.clock, self.labels)
        records = self._build_records(config)
        self.models = self._build_models(config)
        self.local_socket = self._build_local_socket(config, records)
        self._estimate = DailyEstimate(records.line_estimate, self.clock)
        self._triggers = TriggerRequests(self._cameras.trackers, self.clock)
        self._snapshots = SnapshotRequests(
            self._cameras.readers, self.evidence, self.delivery.pictures, self.clock
        )
        self.record_requests = RecordRequests(
            records, self.clock.now, lambda: self.delivery.publisher.max_packet
        )
        self.requests = self._build_requests(config)
        self.plant = self._build_plant(config)
        undo.callback(self.plant.release)
        self._sink = VerdictDelivery(
            self.plant,
            self.delivery.writer,
            self.evidence,
            self.delivery.pictures,
            probation=self.models.probation.count,
            shadow=self.models.shadow,
        )
        self.pipeline = self._build_pipeline(config, open_camera)
        undo.callback(self.pipeline.stop_accepting)
        components = self._build_components()
        self._health = self._build_health(config, components)
        self._status = self._build_status()
        self.supervisor = self._build_supervisor(config, components)
        self.web = self._build_web(config)
        if self.web is not None:
            undo.callback(self.web.run)
            undo.callback(self.web.close)
        self.reconfiguration = self._build_reconfiguration(path)
        self.reloader = Reloader(
            self.reload_queue,
            self._reload_state,
            self.reconfiguration,
            self.notifier,
            self._journal,
        )
        self._status.announce_info()

    def _load_models(self, config: Config, path: Path | None) -> RunningModel:
        """Loads and checks the model of the common part and those of all recipes."""
        inspector, current = _tested_inspector(config, path), self.current_recipes
        recipes = RecipeModels(config, inspector, path, in_use=lambda: current.all().values())
        if recipes.names:
            usable = len(recipes.names) - len(recipes.faults)
            log.info(
                "recipes: %d of %d can be used, %d loaded, %.1f MB each worker",
                *(usable, len(recipes.names), len(recipes.loaded), recipes.bytes / 1e6),
            )
        for number, seconds in recipes.on_demand.items():
            log.info(
                "recipes: %d (%s) is loaded when it is chosen, which took %.0f ms now; raise "
                "model.recipes_mb to keep it in memory",
                *(number, recipes.names[number], seconds * 1000),
            )
        return RunningModel(inspector, recipes)

    def _build_recipes(self, config: Config) -> None:
        """The journal, the current recipes and their requests."""
        publisher = self.delivery.publisher
        self._journal = Journal.beside(
            config.outbox.path, self.clock.now, lambda one: publisher.event(event_body(one))
        )
        self.recipe_changes = RecipeChanges(self.current_recipes, self._journal, self._model)
        self._selection = RecipeSelection(
            self._model.recipes.names,
            self.current_recipes,
            self.clock,
            self.recipe_changes.changed,
        )
        self._recipe_requests = RecipeRequests(
            self._selection, self.recipe_changes, self._cameras.readers.keys
        )

    def _build_part_journal(self, config: Config) -> PartJournal:
        return PartJournal.beside(config.outbox.path, os.environ.get("RUNTIME_DIRECTORY"))

    def _build_history(self, config: Config) -> HistoryWriter:
        settings = HistorySettings.of(config.history, config.archive.rate_in_force)
        return HistoryWriter(
            history_path(config.outbox.path),
            settings,
            self.clock,
            outbox=OutboxReader(config.outbox.path),
            next_number=self._next_number,
        )

    def _next_number(self) -> int:
        """Of the outbox, which is built after the history: it hands its verdicts to it."""
        return self.delivery.writer.next_number()

    def _build_delivery(self, config: Config) -> DeliveryService:
        return DeliveryService(
            config,
            self._session,
            self.clock,
            on_commit=self.part_journal.stored,
            remember=self.history.add,
            on_rebuild_progress=partial(self.notifier.extend, _REPAIR_S),
        )

    def _recover_parts(self, config: Config) -> list[Verdict]:
        """The verdicts of parts that a killed process left open. Runs before the pipeline exists,
        because its pins may announce new parts at once."""
        new_judge = partial(
            build_judge, clock=self.clock, deadline_ms=None, latencies=self._latencies
        )
        recipes = self._model.recipes
        judges = build_judges(config, self._model.inspector, recipes, recipes.loaded, new_judge)
        return verdicts_for_open_parts(self.part_journal, self.delivery.rows, judges, self.clock)

    def _build_records(self, config: Config) -> RecordsService:
        return RecordsService(
            HistoryReader(history_path(config.outbox.path), self.history.report_damage),
            self.labels,
            lambda: self._reload_state.config.archive,
            lambda: self._model.inspector.ok_label,
            self.clock.now,
            skipped_samples=lambda: self.evidence.counts.skipped_samples,
        )

    def _build_models(self, config: Config) -> ModelParts:
        return ModelParts(
            lambda: self._reload_state.config,
            self.clock,
            HistoryReader(history_path(config.outbox.path), self.history.report_damage),
            take_over=self.reload_queue.wait_for_reload,
            running=lambda: self._model.inspector.identity.sha256,
            note=self._note_switch,
            has_backlog=self._has_backlog,
            idle_s=self._idle_s,
            announce=self.delivery.publisher.announce,
        )

    def _has_backlog(self) -> bool:
        """Of the pipeline, which is built after the shadow: it hands its verdicts to it."""
        return self.pipeline.workers.has_backlog

    def _idle_s(self) -> float:
        """Of the delivery of verdicts, which is built after the window."""
        return self._sink.idle_s()

    def _note_switch(self, by: str, before: str, after: str, name: str) -> None:
        log.info("model: %s → %s (asked by %s)", *map(one_line, (before, after, by)))
        self._journal.add("model", by, before, after, name)

    def _build_local_socket(self, config: Config, records: RecordsService) -> LocalSocket:
        path = LocalSocket.place(config.outbox.path, os.environ.get("RUNTIME_DIRECTORY"))
        return LocalSocket(
            path,
            records,
            config.outbox.path,
            self.clock,
            models=self.models.service,
            choose_recipe=self._recipe_requests.handle,
        )

    def _build_requests(self, config: Config) -> RequestRouter:
        return RequestRouter(
            {
                "trigger": self._triggers.handle,
                "recipe": self._recipe_requests.handle,
                "models": self.models.requests.handle,
                "snapshot": self._snapshots.handle,
                "reload": self.reload_queue.handle,
                "history": self.record_requests.history,
                "label": self.record_requests.label,
            },
            self.delivery.publisher.reply,
            TokenBucket(config.mqtt.max_requests_per_s, self.clock.tick),
            self._allows,
        )

    def _allows(self, request: str) -> bool:
        """By the configuration in force; a reload changes it."""
        return self._reload_state.config.mqtt.allows(request)

    def _build_plant(self, config: Config) -> PlantInterface:
        return PlantInterface(
            config,
            self._session,
            self._cameras.trackers,
            self.delivery.publisher.announce,
            self.clock,
            alive=self._progress.alive,
        )

    def _build_pipeline(self, config: Config, open_camera: OpenCamera) -> Pipeline:
        return Pipeline(
            config,
            self._model,
            self.clock,
            cameras=self._cameras,
            sink=self._sink,
            note_part=self.part_journal.note,
            next_number=self.trigger_numbers.next,
            parts_changed=self.plant.wake,
            processed_items=self.delivery.receipts,
            open_camera=open_camera,
            selection=self._selection,
            latencies=self._latencies,
        )

    def _build_components(self) -> Components:
        return Components(
            self._cameras.readers,
            self.pipeline.workers,
            self._latencies,
            self.delivery.writer,
            self.history,
            self.delivery.publisher,
            self._cameras.trackers,
            self.requests,
            self.delivery.pictures,
            self._reload_state,
            self.part_journal,
            self._model,
            self._sink,
            WATCH,
            self.local_socket,
            self._estimate,
            RecipeStatus(self._selection, self._model, self.current_recipes, self._journal),
            self.models.probation,
        )

    def _build_health(self, config: Config, components: Components) -> Health:
        machine = HostMetrics(self.clock.root, config.outbox.path.parent)
        return Health(components, machine, self.clock, self._session)

    def _build_status(self) -> StationStatus:
        return StationStatus(
            state=self._reload_state,
            model=self._model,
            health=self._health,
            publisher=self.delivery.publisher,
            notifier=self.notifier,
            clock=self.clock,
            session=self._session,
        )

    def _build_supervisor(self, config: Config, components: Components) -> Supervisor:
        return Supervisor(
            components,
            self._health,
            self.notifier,
            self.clock,
            config.health.interval_s,
            progress=self._progress,
            pending=self._snapshots,
            daily=self._estimate,
        )

    def _build_web(self, config: Config) -> HttpServer | None:
        if not config.web.enabled:
            return None
        from edge.web.server import WebServer  # its packages are optional

        judge, camera_for = judge_for_web(config, self.clock)
        return WebServer(
            config.web,
            judge,
            self._health,
            self.clock,
            self._triggers,
            camera_for=camera_for,
            choose_recipe=self._recipe_requests.handle,
        )

    def _build_reconfiguration(self, path: Path | None) -> Reconfiguration:
        return Reconfiguration(
            path=path,
            model=self._model,
            selection=self._selection,
            pipeline=self.pipeline,
            plant=self.plant,
            delivery=self.delivery,
            history=self.history,
            evidence=self.evidence,
            web=self.web,
            supervisor=self.supervisor,
            status=self._status,
            models=self.models,
            clock=self.clock,
        )


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
