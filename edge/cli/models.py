"""`edge-inspect models`: the versions on the box.

Installing, verifying and removing work on the files, in this process: a running daemon is not
disturbed. Activating and rolling back go through the running daemon, else on the files.
"""

import json
from pathlib import Path

import cv2

from edge.cli.api_client import ApiClient, find_daemon
from edge.cli.flip_sheet import write_flips
from edge.cli.label import user
from edge.cli.model_sheet import NEWEST, judge_own_pictures
from edge.config import Config, load_config
from edge.core.errors import EXIT_DONE, EXIT_NO, EdgeInspectError, RefusedError
from edge.core.messages import to_json
from edge.core.output import write_output
from edge.core.text import one_line
from edge.models import Version
from edge.plant import (
    ModelListing,
    Models,
    ModelsService,
    NamedVersions,
    RollbackRequest,
    ShadowReport,
    ShadowRequest,
    Switched,
    SwitchRequest,
    read_request,
)
from edge.storage import outbox_in_use

_SHOWN = 12  # digits of a SHA-256


class ModelsClient(ApiClient):
    """`Models` of the daemon that listens at a path."""

    def listing(self) -> ModelListing:
        """All versions."""
        return ModelListing.read(json.loads(self.ask("GET", "/models")))

    def activate(self, request: SwitchRequest) -> Switched:
        """Makes a version the active one of its name."""
        return Switched.read(json.loads(self.send("/models/activate", request.to_dict())))

    def rollback(self, request: RollbackRequest) -> Switched:
        """Activates the version that was active before."""
        return Switched.read(json.loads(self.send("/models/rollback", request.to_dict())))

    def shadow(self, request: ShadowRequest) -> ShadowReport:
        """Begins or ends that a version judges along. Returns the figures so far."""
        return ShadowReport.read(json.loads(self.send("/models/shadow", request.to_dict())))


def list_models(config_path: Path, *, as_json: bool) -> int:
    """Prints all versions."""
    listing = _open(load_config(config_path, check_files=False))[0].listing()
    if as_json:
        write_output(to_json(listing.to_dict()).decode() + "\n")
    else:
        write_output("\n".join(_lines(listing)) + "\n")
    return EXIT_DONE


def install(config_path: Path, path: Path, *, as_json: bool) -> int:
    """Makes a file a version. Nothing judges by it yet."""
    version = _on_files(load_config(config_path)).install(path, user())
    return _say(version, as_json, f"installed; next: edge-inspect models activate {version.title}")


def verify(config_path: Path, name: str, *, as_json: bool) -> int:
    """Checks an installed version as `activate` does."""
    version = _on_files(load_config(config_path)).verify(name)
    return _say(version, as_json, "hash, signature, golden pictures and settings are right")


def verify_on_pictures(
    config_path: Path, name: str, count: int | None, contact_sheet: Path | None, *, as_json: bool
) -> int:
    """The same, and prints what it would change of the newest `count` kept pictures. Exit code 1
    when none could be judged."""
    if count is not None and count < 1:
        raise EdgeInspectError(f"--pictures: must be 1 or more (got {count})")
    config = load_config(config_path)
    version = _on_files(config).verify(name)
    sheet, active = judge_own_pictures(config, version, count or NEWEST)
    if contact_sheet is not None:
        changed = [one.comparison for one in sheet.pictures if one.change is not None]
        written = "contact sheet: none, since nothing would change"
        if changed:
            written = write_flips(changed, contact_sheet, "--contact-sheet")
    if as_json:
        write_output(to_json(sheet.body(version, active)).decode() + "\n")
    else:
        _say(version, as_json, "hash, signature, golden pictures and settings are right")
        lines = sheet.lines(version.title, active)
        lines += [] if contact_sheet is None else [written]
        write_output("\n".join(map(one_line, lines)) + "\n")
    return EXIT_DONE if sheet.pictures else EXIT_NO


def remove(config_path: Path, name: str, *, as_json: bool) -> int:
    """Deletes a version that is not active."""
    version = _on_files(load_config(config_path, check_files=False)).remove(name)
    return _say(version, as_json, "removed")


def activate(config_path: Path, name: str, *, now: bool, as_json: bool) -> int:
    """Judges by a version from now on, or when the window is open."""
    models, running = _open(load_config(config_path))
    request = read_request(SwitchRequest, {"version": name, "by": user(), "now": now})
    return _say_switched(models.activate(request), as_json, running=running)


def shadow(config_path: Path, name: str | None, *, as_json: bool) -> int:
    """Begins that a version judges along, or ends it without a name."""
    models, _ = _open(load_config(config_path))
    request = read_request(ShadowRequest, {"version": name, "by": user()})
    found = models.shadow(request)
    if as_json:
        write_output(to_json(found.to_dict()).decode() + "\n")
        return EXIT_DONE
    lines = found.lines()
    if name is None:
        lines.append(f"{found.title} no longer judges along")
    write_output("\n".join(lines) + "\n")
    return EXIT_DONE


def rollback(config_path: Path, name: str | None, *, as_json: bool) -> int:
    """Judges by the version before from now on."""
    models, running = _open(load_config(config_path))
    request = read_request(RollbackRequest, {"name": name, "by": user()})
    return _say_switched(models.rollback(request), as_json, running=running)


def _open(config: Config) -> tuple[Models, bool]:
    """The commands, and whether a daemon runs. Raises RefusedError when one runs that does not
    answer: it would not learn of a switch."""
    path = find_daemon(config.outbox.path)
    if path is not None:
        return ModelsClient(path), True
    if outbox_in_use(config.outbox.path):
        raise RefusedError(
            "the daemon runs, but its local socket does not answer your user; add yourself to the "
            "group edge-inspect (sudo usermod -aG edge-inspect $USER) and log in again, or see "
            "`local_socket` in health"
        )
    return _on_files(config), False


def _on_files(config: Config) -> ModelsService:
    cv2.setNumThreads(1)  # as the daemon
    return ModelsService(lambda: config)


def _say(version: Version, as_json: bool, done: str) -> int:
    if as_json:
        write_output(to_json(version.to_dict()).decode() + "\n")
    else:
        write_output(one_line(f"{version.title} ({version.sha256[:_SHOWN]}): {done}") + "\n")
    return EXIT_DONE


def _say_switched(done: Switched, as_json: bool, *, running: bool) -> int:
    if as_json:
        write_output(to_json(done.to_dict()).decode() + "\n")
        return EXIT_DONE
    after, before = done.after, done.before
    if done.waits is not None:
        text = f"waits for {done.waits}; --now switches at once"
    elif not done.changed:
        text = "is active already"
    elif not done.judges:
        text = "is active; model.path in config.yaml does not name it, so nothing judges by it"
    else:
        text = "judges from now on" if running else "is active; it judges when the daemon runs"
    shows = before is not None and done.changed and done.waits is None
    was = f" (before: {before.title})" if shows and before is not None else ""
    write_output(one_line(f"{after.title} ({after.sha256[:_SHOWN]}): {text}{was}") + "\n")
    return EXIT_DONE


def _lines(listing: ModelListing) -> list[str]:
    """A line a version; `*`: active, `-`: the one that `rollback` activates."""
    along = [] if listing.shadow is None else ["", *listing.shadow.lines()]
    if (waiting := listing.waiting) is not None:
        along += ["", f"{waiting.title} waits for {listing.waits_for or 'its turn'}"]
    if not listing.names:
        return ["no version is installed; next: edge-inspect models install FILE"]
    lines = [f"  {'version':<32} {'sha256':<{_SHOWN}} {'signed by':<16} counter installed"]
    for named in listing.names:
        marks = {named.record.previous: "-", named.record.active: "*"}
        for one in named.versions:
            mark = marks.get(one.sha256, " ")
            runs = ", judges now" if one.sha256 == listing.running else ""
            lines.append(
                f"{mark} {one.title:<32} {one.sha256[:_SHOWN]} {one.key_id or 'unsigned':<16} "
                f"{one.counter:>7} {one.at} by {one_line(one.by)}{runs}{_probation(named, one)}"
            )
    return lines + along


def _probation(named: NamedVersions, version: Version) -> str:
    found = named.probation
    if found is None or found.sha256 != version.sha256:
        return ""
    if found.state == "running" and version.sha256 == named.record.active:
        return f", on probation: {found.seen} of {found.parts} parts"
    if found.state in ("returning", "returned"):
        return f", sent back: {one_line(found.reason or '')}"
    return ""
