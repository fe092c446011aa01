"""The one place that builds the daemon's real parts, connects them, starts, changes and stops
them."""

import hashlib
import logging
import os
import threading
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from edge.config import Config, load_config, place_of
from edge.config.diff import Changes
from edge.delivery.message import to_json
from edge.delivery.openparts import OpenParts
from edge.deliveryside import DeliverySide
from edge.environment import Environment, Stop
from edge.errors import EXIT_DONE, ConfigError, EdgeInspectError
from edge.evidence.archive import Archive
from edge.frame import Frame
from edge.inspection.inspector import Inspector
from edge.line import Line
from edge.modelside import inspector_from, judge_from
from edge.operation.health import Health, Parts
from edge.operation.info import info_body
from edge.operation.judge import Judge
from edge.operation.machine import Machine
from edge.operation.picturedesk import PictureDesk
from edge.operation.reloader import Reloader
from edge.operation.signals import listen_for_signals
from edge.operation.supervisor import Supervisor
from edge.operation.systemd import Notifier
from edge.operation.unjudged import place_of as place_of_parts
from edge.operation.unjudged import verdicts_for_unjudged
from edge.operation.viewing import camera_by_hand, check_views, manners_by_hand
from edge.plantside import PlantSide
from edge.threads import start_thread
from edge.unneeded import give_back
from edge.verdict import Verdict

log = logging.getLogger(__name__)

_JOIN_S = 5.0


class Daemon:
    """The whole house. Building it opens what must be there: model, outbox, embedded broker."""

    def __init__(
        self,
        config: Config,
        environment: Environment | None = None,
        *,
        path: Path | None = None,
    ) -> None:
        """`path` is the file that a reload reads; None: nothing can be reloaded. Raises
        EdgeInspectError for what cannot run at all; a missing camera or broker can."""
        self._path = path
        self._environment = env = environment or Environment()
        self._session = uuid.uuid4().hex
        self._halt = Stop()  # for the supervisor, which watches to the end
        cv2.setNumThreads(1)  # workers share the cores out; a second sharing would only disturb
        inspector = inspector_from(config)
        check_views(config.cameras, inspector.input)
        log.info(
            "model %s %s on %s: %d golden pictures score as tested",
            inspector.identity.name,
            inspector.identity.version,
            inspector.runtime,
            len(inspector.file.golden),
        )
        self._notifier = Notifier()
        mending = partial(self._notifier.extend, 60.0)  # systemd waits so much longer for the start
        self._delivery = delivery = DeliverySide(config, self._session, env, mending=mending)
        self._archive = Archive(config.archive) if config.archive.enabled else None
        self._line = Line(
            config,
            inspector,
            env,
            deliver=self._deliver,
            keep=self._keep,
            receipts=delivery.receipts,
        )
        self._open_parts = OpenParts(
            place_of_parts(config.outbox.path, os.environ.get("RUNTIME_DIRECTORY")),
            self._line.verdicts_a_part,
        )
        self._unjudged = verdicts_for_unjudged(
            self._open_parts, delivery.rows, self._line.judge, env
        )
        delivery.writer.on_commit = self._open_parts.stored
        self._line.on_open = self._open_parts.note
        self._reloader = Reloader(
            config, self._read, self._apply, self._model_differs, self._notifier
        )
        self._picture_desk = PictureDesk(
            self._line.readers,
            lambda: self._archive.find if self._archive else None,
            delivery.pictures,
            env,
        )
        self._plant = PlantSide(
            config,
            self._session,
            self._line.trackers,
            delivery.publisher,
            env,
            alive=lambda: not self._supervisor.stalled(),
            handlers={"snapshot": self._picture_desk.ask, "reload": self._reloader.ask},
        )
        self._line.on_parts = self._plant.parts_changed
        parts = Parts(
            self._line.readers,
            self._line.workers,
            self._line.latencies,
            delivery.writer,
            delivery.publisher,
            self._line.trackers,
            self._plant.requests,
            delivery.pictures,
            self._picture_desk,
            self._reloader,
            self._open_parts,
            lambda: self._line.parity,
        )
        machine = Machine(env.root, config.outbox.path.parent)
        self._health = Health(parts, machine, env, self._session)
        self._supervisor = Supervisor(
            parts, self._health, self._notifier, env, config.health.interval_s, settled=give_back
        )
        self._web = self._web_server(config)
        self._reloader.on_outcome = self._tell_outcome
        self._tell_info()

    def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns the exit code."""
        asked = threading.Event()
        listen_for_signals(asked.set, self._reloader.hang_up, self._environment)
        self._delivery.start()
        threads: dict[str, threading.Thread] = {}
        for verdict in self._unjudged:
            self._delivery.writer.submit(verdict)
        if self._archive is not None:
            start_thread("archive", self._archive.run)
        if self._web is not None:
            threads["web"] = start_thread("web", self._web.run)
        self._line.start()
        self._plant.start()
        threads["supervisor"] = start_thread("supervisor", lambda: self._supervisor.run(self._halt))
        threads["reload"] = start_thread("reload", self._reloader.run)
        asked.wait()
        hung = self._shut_down(threads)
        self._leave_hung(hung)
        return EXIT_DONE

    def _shut_down(self, threads: dict[str, threading.Thread]) -> list[str]:
        """In the direction of the data: capture, inspection, outbox, publisher. Returns what
        hangs."""
        log.info("stopping: verdicts in hand are stored and sent first")
        self._notifier.stopping()
        self._reloader.close()
        threads["reload"].join(_JOIN_S)
        self._line.shut()
        hung = self._line.stop()
        hung += self._line.workers.join(_JOIN_S)
        hung += self._delivery.drain()
        self._halt.set()
        if self._web is not None:
            self._web.close()
        if self._archive is not None:
            self._archive.close()
        self._plant.close()
        for name in ("supervisor", "web"):
            if name in threads:
                threads[name].join(_JOIN_S)
        if self._archive is not None:
            self._archive.join(_JOIN_S)
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

    def _deliver(self, verdict: Verdict) -> None:
        self._plant.tell(verdict, self._delivery.writer.submit)

    def _keep(self, frame: Frame, verdict: Verdict) -> None:
        archive = self._archive
        if archive is not None:
            archive.keep(frame, verdict)
        self._delivery.pictures.offer(frame, verdict)

    def _read(self) -> Config:
        if self._path is None:
            raise EdgeInspectError("this daemon was started without a file to read again")
        return load_config(self._path)

    def _model_differs(self, config: Config) -> bool:
        try:
            data = config.model.path.read_bytes()
        except OSError:
            return True  # said in words when it is loaded
        return hashlib.sha256(data).hexdigest() != self._line.inspector.identity.sha256

    def _new_inspector(self, config: Config, changes: Changes) -> Inspector:
        """The model of a new configuration, after a look whether the views fit. Raises
        ConfigError with the places of what does not."""
        assert self._path is not None
        inspector = self._line.inspector
        if changes.model or changes.decision:
            try:
                inspector = inspector_from(config)
            except EdgeInspectError as error:
                raise ConfigError([f"{place_of(self._path, 'model', 'path')}: {error}"]) from error
        problems = []
        for index, camera in enumerate(config.cameras):
            try:
                check_views([camera], inspector.input)
            except ConfigError as error:
                place = place_of(self._path, "cameras", index, "view")
                problems += [f"{place}: {problem}" for problem in error.problems]
        if problems:
            raise ConfigError(problems)
        return inspector

    def _apply(self, old: Config, changes: Changes) -> None:
        """Takes a new configuration over. Raises EdgeInspectError with the old still running: what
        can fail comes first."""
        config = changes.config
        inspector = self._new_inspector(config, changes)
        for_web = self._web_judge(config) if self._web is not None else None
        if changes.wires:
            self._plant.release()
        try:
            self._plant.adopt(config)
            self._line.adopt(old, changes, inspector)
        except EdgeInspectError:
            self._plant.release()
            self._plant.adopt(old)
            raise
        self._delivery.adopt(config, broker=changes.broker, snapshots=changes.snapshots)
        if changes.archive:
            if self._archive is not None:
                self._archive.close()
            self._archive = Archive(config.archive) if config.archive.enabled else None
            if self._archive is not None:
                start_thread("archive", self._archive.run)
        if for_web is not None:
            self._web.adopt(*for_web)
        self._supervisor.interval_s = config.health.interval_s
        logging.getLogger().setLevel(config.log.level.upper())

    def _tell_outcome(self) -> None:
        self._tell_info()
        report = self._health.report()
        self._delivery.publisher.announce("health", to_json(report.body))
        self._notifier.status(report.summary)

    def _tell_info(self) -> None:
        body = info_body(
            self._reloader.config,
            self._line.inspector,
            self._environment,
            self._session,
            problems=self._reloader.problems,
            restart_required=self._reloader.restart_required,
        )
        self._delivery.publisher.announce("info", to_json(body))

    def _web_judge(self, config: Config) -> tuple[Judge, Callable[[str | None], str]]:
        # Its own interpreter: a request must never make a camera's frame wait.
        inspector = inspector_from(config)
        manners = manners_by_hand(config.cameras, inspector, one_verdict=True)
        judge = judge_from(config, inspector, self._environment, None, manners=manners)
        return judge, partial(camera_by_hand, manners)

    def _web_server(self, config: Config) -> Any:
        if not config.web.enabled:
            return None
        from edge.web.server import WebServer

        judge, whose = self._web_judge(config)
        env, desk = self._environment, self._plant.desk
        return WebServer(config.web, judge, self._health, env, desk, whose=whose)
