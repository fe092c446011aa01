"""`edge-inspect check`: tests config, cameras, model, broker and disk; one line each."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from edge.capture import CameraFactory, ForkServerClient
from edge.cli.snapshot import take_picture
from edge.config import CameraConfig, Config, for_recipe, load_config
from edge.core.clock import Clock
from edge.core.errors import (
    EXIT_DONE,
    EXIT_NO,
    ConfigError,
    EdgeInspectError,
    RefusedError,
)
from edge.core.output import write_output
from edge.core.redaction import redact
from edge.core.text import one_line
from edge.inspection import InputSpec, ViewCrop, find_check_pictures
from edge.models import read_model
from edge.mqtt import check_broker
from edge.pipeline import build_inspector, disagreement, view_of
from edge.storage import (
    HistoryQuery,
    HistoryReader,
    OutboxReader,
    history_path,
    outbox_in_use,
    require_ours,
)

_DISK_FREE_MB = 50.0


def check(config_path: Path, *, offline: bool = False) -> int:
    """Prints a line per test. Returns 0 if all pass. Raises ConfigError for a wrong file.

    `offline` skips cameras and broker, which a running daemon uses.
    """
    try:
        config = load_config(config_path)
    except ConfigError as error:
        _print_line("config", "; ".join(error.problems))
        raise
    _print_line("config", None, f"{config_path}, hash {config.hash}")
    spec = _input_spec(config)
    with ForkServerClient() as fork_server:
        cameras = CameraFactory(fork_server)
        checks: list[tuple[str, Callable[[], str]]] = [
            *((f"camera {c.id}", partial(_camera, c, spec, cameras)) for c in config.cameras),
            ("model", partial(_model, config, config_path)),
            *_recipes(config, config_path),
            ("broker", lambda: check_broker(config, daemon_runs=outbox_in_use(config.outbox.path))),
            ("disk", partial(_disk, config)),
            ("history", partial(_history, config)),
        ]
        if offline:
            checks = [one for one in checks if not one[0].startswith(("camera ", "broker"))]
        passed = True
        for name, test in checks:
            try:
                _print_line(name, None, test())
            except EdgeInspectError as error:
                passed = False
                _print_line(name, str(error))
    return EXIT_DONE if passed else EXIT_NO


def _print_line(name: str, reason: str | None, detail: str = "") -> None:
    line = f"{name}: {f'OK ({detail})' if reason is None else reason}"
    write_output(f"{one_line(redact(line))}\n")


def _input_spec(config: Config) -> InputSpec | None:
    """The model file's input; None for a plain or unreadable file, which `model` reports."""
    try:
        spec = read_model(config).spec
    except EdgeInspectError:
        return None
    return None if spec is None else spec.input


def _camera(config: CameraConfig, spec: InputSpec | None, cameras: CameraFactory) -> str:
    if config.kind == "folder":
        cameras.open(config, Clock()).close()
        return f"{config.rest} is there"
    height, width = take_picture(config, cameras).shape[:2]
    ViewCrop(view_of(config, spec)).slices(width, height)  # raises if the view does not fit
    found = f"a picture of {width}×{height}"
    if spec is None or spec.view is None:
        return found
    differs = disagreement(config, spec) is not None
    return f"{found}, " + (
        "its own view, other than the model's" if differs else "the model's view"
    )


def _model(config: Config, path: Path) -> str:
    inspector = build_inspector(config, path)
    golden = len(inspector.file.golden)
    at, identity = inspector.thresholds, inspector.identity
    tested = f"{golden} golden pictures score as tested" if golden else "no golden pictures inside"
    if inspector.scaling is not None:
        tested = f"pixels scaled as {inspector.scaling}, {tested}"
    if config.model.check_pictures is not None:
        checked = find_check_pictures(config.model.check_pictures, inspector.ok_label)
        tested += f", {len(checked)} check pictures judged right"
    return (
        f"{identity.name} {identity.version} on {inspector.runtime}, reject_at "
        f"{at.reject_at:.4f}, review_from {at.review_from:.4f}, {tested}"
    )


def _recipes(config: Config, path: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """The name and the test of each recipe's model."""
    for recipe in config.recipes:
        merged = for_recipe(config, recipe.number)
        yield f"recipe {recipe.number} ({recipe.name})", partial(_model, merged, path)


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
    require_ours(config.outbox.path)
    waiting = ""
    if config.outbox.path.exists():
        with closing(OutboxReader(config.outbox.path)) as reader:
            waiting = ", verdicts wait in it" if reader.batch(0, 1) else ""
    return f"{free_mb:.0f} MB free for {config.outbox.path}{waiting}"


def _history(config: Config) -> str:
    """Raises HistoryError when verdicts would not be remembered."""
    if not config.history.max_mb:
        return "off: history.max_mb is 0"
    reader = HistoryReader(history_path(config.outbox.path))
    newest = next(reader.verdicts(HistoryQuery(limit=1)), None)
    if newest is None:
        return "empty"
    return f"the newest verdict is of {newest.body['captured_at']}"
