"""A process that is killed at any step leaves one working active version: the asked one, or the
one before. The child ends itself at its n-th access to the file system, for each n."""

import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge.models import ModelStore
from tests.support.model_versions import version_of_redness

STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.chown", "os.rmdir"}


def store_of(folder: Path) -> ModelStore:
    """The store that a process opens."""
    return ModelStore(folder, lambda: (), 10, lambda: 1_796_040_000.0)


def install(folder: Path, version: str) -> str:
    """Installs a version. Returns its SHA-256."""
    file = folder.parent / f"{version}.tflite"
    if not file.exists():
        file.write_bytes(version_of_redness(version))
    store = store_of(folder)
    return store.install(store.read_candidate(file), "kim").sha256


def killed_at(step: int, action: Callable[[], Any], folder: Path) -> bool:
    """Runs `action` in a child that is killed at its n-th access. Whether it was."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event in STEPS and str(folder) in str(arguments[0]):
                left -= 1
                if left < 0:
                    os._exit(9)

        sys.addaudithook(count)
        action()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 9


def check(folder: Path, allowed: set[str]) -> None:
    """One working active version, and the next command finds no leftovers."""
    store = store_of(folder)
    active = store.active("redness")
    assert active.sha256 in allowed
    assert store.load(active).identity.sha256 == active.sha256
    for version in store.versions():
        assert store.load(version).identity.sha256 == version.sha256
    store.clean()
    assert list((folder / "staging").iterdir()) == []
    assert not [path for path in folder.rglob("*") if ".part" in path.name]


@pytest.mark.slow
@pytest.mark.parametrize("action", ["install", "install again", "activate", "rollback", "remove"])
def test_a_kill_at_any_step(action: str, tmp_path: Path) -> None:
    """Every step of each command."""
    origin = tmp_path / "versions"
    store = store_of(origin)
    one, two = install(origin, "1"), install(origin, "2")
    store.activate(store.find(one), "kim")
    if action in ("rollback", "remove"):
        store.activate(store.find(two), "kim")
    commands: dict[str, Callable[[Path], object]] = {
        "install": lambda folder: install(folder, "3"),
        "install again": lambda folder: install(folder, "1"),
        "activate": lambda folder: store_of(folder).activate(store.find(two), "kim"),
        "rollback": lambda folder: store_of(folder).rollback("redness", "kim"),
        "remove": lambda folder: store_of(folder).remove(store.find(one)),
    }
    for step in range(200):
        folder = tmp_path / str(step)
        shutil.copytree(origin, folder)
        was_killed = killed_at(step, partial(commands[action], folder), folder)
        allowed = {"activate": {one, two}, "rollback": {one, two}, "remove": {two}}
        check(folder, allowed.get(action, {one}))
        if not was_killed:
            break
        if action.startswith("install"):
            commands[action](folder)  # the next try succeeds
    assert not was_killed
    assert step > 3
