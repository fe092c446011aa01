"""The one place that builds the daemon's real parts, connects them, starts and stops them."""

import logging
import os
import threading
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from edge.capture.mailbox import Mailbox
from edge.capture.reader import Reader
from edge.capture.sources import open_camera
from edge.capture.tracker import Tracker
from edge.config import CameraConfig, Config
from edge.delivery.link import Event, Link, PahoLink, Protocol_
from edge.delivery.message import to_json
from edge.delivery.openparts import OpenParts
from edge.delivery.outbox import Outbox, OutboxView
from edge.delivery.pictures import Pictures
from edge.delivery.publisher import Publisher
from edge.delivery.writer import OutboxWriter
from edge.environment import Environment, Stop
from edge.errors import EXIT_DONE
from edge.evidence.archive import Archive
from edge.frame import Frame
from edge.inspection.framing import Framing
from edge.inspection.inspector import Inspector
from edge.modelside import inspector_from, judge_from
from edge.operation.health import Health, Parts
from edge.operation.info import info_body
from edge.operation.judging import Judging
from edge.operation.machine import Machine
from edge.operation.picturedesk import PictureDesk
from edge.operation.signals import listen_for_signals
from edge.operation.supervisor import Supervisor
from edge.operation.systemd import Notifier
from edge.operation.unjudged import place_of, verdicts_for_unjudged
from edge.operation.viewing import (
    camera_by_hand,
    check_views,
    disagreement,
    manners_by_hand,
    view_of,
)
from edge.plantside import PlantSide
from edge.verdict import Verdict

log = logging.getLogger(__name__)

DRAIN_S = 10.0
_JOIN_S = 5.0


class Daemon:
    """The whole house. Building it opens what must be there: model, outbox, embedded broker."""

    def __init__(self, config: Config, environment: Environment | None = None) -> None:
        """Raises EdgeInspectError for what cannot run at all; a missing camera or broker can."""
        self._config = config
        self._environment = env = environment or Environment()
        self._session = uuid.uuid4().hex
        self._stop = Stop()  # capture stops first; the others end when they are drained
        self._halt = Stop()  # for the supervisor, which watches to the end
        inspector = inspector_from(config)
        check_views(config.cameras, inspector.input)
        log.info(
            "model %s %s on %s: %d golden pictures score as tested",
            inspector.identity.name,
            inspector.identity.version,
            inspector.runtime,
            len(inspector.file.golden),
        )
        self._outbox = Outbox(
            config.outbox.path,
            int(config.outbox.max_mb * 2**20),
            config.outbox.max_age_h * 3600,
        )
        self._views = [OutboxView(config.outbox.path) for _ in range(2)]
        self._broker = self._embedded_broker()
        self._trackers = {
            c.id: Tracker(c.id, c.trigger, env) for c in config.cameras if c.trigger.announces
        }
        self._mailbox = Mailbox(self._trackers)
        self._writer = OutboxWriter(self._outbox, env)
        self._publisher = Publisher(
            config=config,
            session=self._session,
            view=self._views[0],
            acknowledge=self._writer,
            environment=env,
            link_factory=self._link,
            may_send=self._somebody_listens,
        )
        if self._broker is not None:
            self._broker.listeners.on_change = self._publisher.wake
        self._writer.on_stored = self._publisher.wake
        self._archive = Archive(config.archive) if config.archive.enabled else None
        judge = judge_from(config, inspector, env, config.decision.deadline_ms)
        self._open_parts = OpenParts(
            place_of(config.outbox.path, os.environ.get("RUNTIME_DIRECTORY")),
            {name: judge.verdicts_a_part(name) for name in self._trackers},
        )
        self._unjudged = verdicts_for_unjudged(self._open_parts, self._views[1], judge, env)
        self._writer.on_commit = self._open_parts.stored
        for tracker in self._trackers.values():
            tracker.on_open = self._open_parts.note
        self._pictures = Pictures(config.mqtt.snapshots, config.topic, env, self._picture_link)
        self._judging = Judging(
            self._mailbox, judge, self._deliver, self._keep, env, trackers=self._trackers
        )
        self._readers = [self._reader(camera, inspector) for camera in config.cameras]
        self._picture_desk = PictureDesk(
            {reader.id: reader.glances for reader in self._readers},
            self._archive.find if self._archive else None,
            self._pictures,
            env,
        )
        self._plant = PlantSide(
            config,
            self._session,
            self._trackers,
            self._publisher,
            env,
            wake=self._mailbox.wake,
            alive=lambda: not self._supervisor.stalled(),
            handlers={"snapshot": self._picture_desk.ask},
        )
        parts = Parts(
            self._readers,
            self._mailbox,
            judge,
            self._judging,
            self._writer,
            self._publisher,
            self._trackers,
            self._plant.requests,
            self._pictures,
            self._picture_desk,
        )
        self._notifier = Notifier()
        machine = Machine(env.root, config.outbox.path.parent)
        self._health = Health(parts, machine, env, self._session)
        self._supervisor = Supervisor(
            parts, self._health, self._notifier, env, config.health.interval_s
        )
        self._web = self._web_server(self._health)
        self._publisher.announce("info", to_json(info_body(config, inspector, env, self._session)))

    def _deliver(self, verdict: Verdict) -> None:
        self._plant.tell(verdict, self._writer.submit)

    def _keep(self, frame: Frame, verdict: Verdict) -> None:
        if self._archive is not None:
            self._archive.keep(frame, verdict)
        self._pictures.offer(frame.pixels, verdict)

    def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns the exit code."""
        asked = threading.Event()
        listen_for_signals(asked.set, self._environment)
        if self._broker is not None:
            self._broker.start()
        threads = {
            "publisher": self._start("publisher", self._publisher.run),
            "outbox": self._start("outbox", self._writer.run),
            "inspection": self._start("inspection", self._judging.run),
            "pictures": self._start("pictures", self._pictures.run),
        }
        for verdict in self._unjudged:
            self._writer.submit(verdict)
        if self._archive is not None:
            threads["archive"] = self._start("archive", self._archive.run)
        if self._web is not None:
            threads["web"] = self._start("web", self._web.run)
        if self._plant.outputs is not None:
            threads["outputs"] = self._start("outputs", self._plant.outputs.run)
        capture = [self._start(f"camera-{r.id}", r.run) for r in self._readers]
        self._plant.start(self._stop)
        threads["supervisor"] = self._start("supervisor", lambda: self._supervisor.run(self._halt))
        asked.wait()
        self._stop.set()
        self._shut_down(capture, threads)
        self._leave_hung([*capture, *threads.values()])
        return EXIT_DONE

    def _shut_down(
        self, capture: list[threading.Thread], threads: dict[str, threading.Thread]
    ) -> None:
        """In the direction of the data: capture, inspection, outbox, publisher."""
        log.info("stopping: verdicts in hand are stored and sent first")
        self._notifier.stopping()
        self._plant.shut()
        for thread in capture:
            thread.join(_JOIN_S)
        self._mailbox.close()
        threads["inspection"].join(_JOIN_S)
        self._writer_drained(threads)
        self._halt.set()
        if self._web is not None:
            self._web.close()
        if self._archive is not None:
            self._archive.close()
        self._pictures.close()
        self._plant.close()
        for name in ("supervisor", "web", "archive", "pictures", "outputs"):
            if name in threads:
                threads[name].join(_JOIN_S)
        if self._broker is not None:
            self._broker.stop()
        for view in self._views:
            view.close()
        self._outbox.close()
        self._open_parts.close()

    @staticmethod
    def _leave_hung(threads: list[threading.Thread]) -> None:
        """Python aborts when a thread writes while the interpreter is taken apart: a thread that
        hangs in a driver is left behind instead."""
        hung = [thread.name for thread in threads if thread.is_alive()]
        if hung:
            log.warning("stopped, though %s did not end", ", ".join(hung))
            logging.shutdown()
            os._exit(EXIT_DONE)

    def _writer_drained(self, threads: dict[str, threading.Thread]) -> None:
        """The publisher sends what is stored, then the writer notes its last acknowledgements."""
        self._writer.flush(_JOIN_S)
        self._publisher.close(DRAIN_S, "stopped by request")
        threads["publisher"].join(DRAIN_S + _JOIN_S)
        self._writer.close()
        threads["outbox"].join(DRAIN_S)
        stats = self._writer.stats()
        log.info(
            "stopped: %d verdicts stored, %d acknowledged, %d wait in the outbox",
            stats.stored,
            stats.acked,
            stats.rows,
        )

    @staticmethod
    def _start(name: str, run: Callable[[], object]) -> threading.Thread:
        # daemon: a read that hangs in a driver must not keep the process from ending
        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def _reader(self, camera: CameraConfig, inspector: Inspector) -> Reader:
        judged = self._views[1].is_judged
        if (why := disagreement(camera, inspector.input)) is not None:
            log.warning("%s", why)
        return Reader(
            camera,
            lambda: open_camera(
                camera, self._environment, lambda receipt: judged(camera.id, receipt)
            ),
            self._mailbox,
            self._environment,
            self._stop,
            misfit=Framing(view_of(camera, inspector.input)).misfit,
        )

    def _link(
        self, version: Protocol_, will: tuple[str, bytes], on_event: Callable[[Event], None]
    ) -> Link:
        client_id = self._config.mqtt.client_id or f"edge-inspect-{self._config.station}"
        return PahoLink(self._config.mqtt, client_id, version, will, on_event)

    def _picture_link(self, on_event: Callable[[Event], None]) -> Link:
        client_id = self._config.mqtt.client_id or f"edge-inspect-{self._config.station}"
        version = self._publisher.version
        return PahoLink(self._config.mqtt, f"{client_id}-pictures", version, None, on_event)

    def _somebody_listens(self) -> bool:
        """The embedded broker keeps nothing: what nobody hears stays in the outbox."""
        topic = f"{self._config.topic}/result"
        return self._broker is None or bool(self._broker.listeners.any(topic))

    def _embedded_broker(self) -> Any:
        mqtt = self._config.mqtt
        if not mqtt.embedded:
            return None
        from edge.delivery.embedded import EmbeddedBroker

        return EmbeddedBroker(mqtt.host, mqtt.effective_port)

    def _web_server(self, health: Health) -> Any:
        if not self._config.web.enabled:
            return None
        from edge.web.server import WebServer

        # Its own interpreter: a request must never make a camera's frame wait.
        inspector, env = inspector_from(self._config), self._environment
        manners = manners_by_hand(self._config.cameras, inspector, one_verdict=True)
        judge = judge_from(self._config, inspector, env, None, manners)
        whose = partial(camera_by_hand, manners)
        return WebServer(self._config.web, judge, health, env, self._plant.desk, whose=whose)
