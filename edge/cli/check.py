"""`edge-inspect check`: config, camera, model, broker, disk: one line each, OK or the reason."""

import contextlib
import os
import queue
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.capture.factory import CameraFactory
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.config import CameraConfig, Config, load_config
from edge.core.clock import Clock, StopEvent
from edge.core.errors import (
    EXIT_DONE,
    EXIT_NO,
    CameraError,
    ConfigError,
    EdgeInspectError,
    RefusedError,
)
from edge.inspection.model_file import load_model_file
from edge.inspection.preprocess import InputSpec
from edge.inspection.view_crop import ViewCrop
from edge.mqtt.connection import PahoConnection, await_connack
from edge.mqtt.diagnostics import LinkError, NotAcceptedError
from edge.mqtt.events import Event, Protocol_
from edge.pipeline import build_inspector, disagreement, view_of
from edge.storage import OutboxReader

_DISK_FREE_MB = 50.0


def check(config_path: Path, offline: bool = False) -> int:
    """Prints a line for each part; exit code 0 only if all hold, 2 if the file itself is wrong.

    `offline` leaves out cameras and broker: what can be asked while the daemon has them.
    """
    try:
        config = load_config(config_path)
    except ConfigError as error:
        _say("config", "; ".join(error.problems))
        raise
    _say("config", None, f"{config_path}, hash {config.hash}")
    recipe = _recipe(config)
    with ForkServerClient() as fork_server:
        cameras = CameraFactory(fork_server)
        checks: list[tuple[str, Callable[[], str]]] = [
            *((f"camera {c.id}", lambda c=c: _camera(c, recipe, cameras)) for c in config.cameras),
            ("model", lambda: _model(config)),
            ("broker", lambda: check_broker(config)),
            ("disk", lambda: _disk(config)),
        ]
        if offline:
            checks = [(name, look) for name, look in checks if name in ("model", "disk")]
        holds = True
        for name, look in checks:
            try:
                _say(name, None, look())
            except EdgeInspectError as error:
                holds = False
                _say(name, str(error))
    return EXIT_DONE if holds else EXIT_NO


def _say(name: str, reason: str | None, detail: str = "") -> None:
    sys.stdout.write(f"{name}: {f'OK ({detail})' if reason is None else reason}\n")


def _recipe(config: Config) -> InputSpec | None:
    """The model file's; None when it has none, or when it cannot be read: `model:` says why."""
    try:
        spec = load_model_file(config.model.path).spec
    except EdgeInspectError:
        return None
    return None if spec is None else spec.input


def _camera(config: CameraConfig, recipe: InputSpec | None, cameras: CameraFactory) -> str:
    camera = cameras.open(config, Clock())
    try:
        if config.kind == "folder":
            return f"{config.rest} is there"
        look = camera.read(StopEvent())
    finally:
        camera.close()
    pixels = None if look is None else look.decoded()
    if pixels is None:
        raise CameraError(look.fault if look is not None and look.fault else "gives no picture")
    height, width = pixels.shape[:2]
    ViewCrop(view_of(config, recipe)).check(width, height)
    said = f"a picture of {width}×{height}"
    if recipe is None or recipe.view is None:
        return said
    differs = disagreement(config, recipe) is not None
    whose = "its own view, other than the model's" if differs else "the model's view"
    return f"{said}, {whose}"


def _model(config: Config) -> str:
    inspector = build_inspector(config)
    golden = len(inspector.file.golden)
    at, identity = inspector.thresholds, inspector.identity
    tried = f"{golden} golden pictures score as tested" if golden else "no golden pictures inside"
    return (
        f"{identity.name} {identity.version} on {inspector.runtime}, reject_at "
        f"{at.reject_at:.4f}, review_from {at.review_from:.4f}, {tried}"
    )


def check_broker(config: Config) -> str:
    """Which brokers accept us. Raises EdgeInspectError with what each other one says."""
    if config.mqtt.embedded:
        from edge.mqtt.embedded_broker import EmbeddedBroker

        broker = EmbeddedBroker(config.mqtt.host, config.mqtt.effective_port)
        broker.start()
        broker.stop()
        return f"embedded, {config.mqtt.host}:{config.mqtt.effective_port} is free"
    answers = [_reach(config, broker) for broker in config.mqtt.brokers]
    silent = [why for why, reached in answers if not reached]
    if silent:
        raise RefusedError("; ".join(silent))
    # a message of the check would be taken for one of the box
    return "; ".join(text for text, _ in answers) + "; its ACL is not tried"


def _reach(config: Config, broker: tuple[str, int]) -> tuple[str, bool]:
    """What one broker says, and whether it accepts us."""
    version = config.mqtt.version
    tried: tuple[Protocol_, ...] = ("5", "3.1.1") if version == "auto" else (version,)
    first = ""
    for protocol in tried:
        why, other_version = _connect(config, broker, protocol)
        if not why:
            return f"{broker[0]}:{broker[1]}, MQTT {protocol}", True
        first = first or why
        if not other_version:
            break
    return first, False


def _connect(config: Config, broker: tuple[str, int], protocol: Protocol_) -> tuple[str, bool]:
    """Why the broker does not accept us, empty when it does; and whether it might in another
    version of MQTT."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    will = (f"{config.topic}/check", b"")
    # Another client id than the daemon's: a check must not throw the running daemon off.
    client_id = f"edge-inspect-check-{os.getpid()}"
    link = PahoConnection(config.mqtt, client_id, protocol, will, events.put, broker=broker)
    with _closing(link):
        try:
            link.open()
            await_connack(
                lambda seconds: _next(events, seconds),
                time.monotonic,
                lambda: False,
                f"{broker[0]}:{broker[1]}",
            )
        except NotAcceptedError as error:
            return str(error), error.wrong_version
        except LinkError as error:
            return str(error), False
    return "", False


def _next(events: "queue.SimpleQueue[Event]", seconds: float) -> Event | None:
    try:
        return events.get(timeout=seconds)
    except queue.Empty:
        return None


@contextlib.contextmanager
def _closing(link: PahoConnection) -> Iterator[None]:
    try:
        yield
    finally:
        link.close()


def _disk(config: Config) -> str:
    folder = config.outbox.path.parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise RefusedError(f"outbox.path: {folder} is not writable; change its owner or the path")
    free = os.statvfs(folder)
    free_mb = free.f_bavail * free.f_frsize / 2**20
    if free_mb < _DISK_FREE_MB:
        raise RefusedError(f"only {free_mb:.0f} MB free at {folder}; make room")
    waiting = ""
    if config.outbox.path.exists():
        view = OutboxReader(config.outbox.path)
        try:
            waiting = ", verdicts wait in it" if view.batch(0, 1) else ""
        finally:
            view.close()
    return f"{free_mb:.0f} MB free for {config.outbox.path}{waiting}"
