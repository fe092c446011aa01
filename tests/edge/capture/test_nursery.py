"""The nursery: what cameras' processes come of, how it ends, and what follows when it fails."""

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from edge.capture import process
from edge.capture.leash import Nursery
from edge.capture.process import ProcessCamera
from edge.environment import Environment, Stop
from edge.errors import CameraError
from tests.edge.capture.conftest import camera_config
from tests.edge.conftest import Eventually

FAULTY = "tests.edge.capture.faulty"
_DAEMON = """
import json, sys, threading
from edge.capture.leash import Nursery
from edge.capture.process import ProcessCamera
from edge.config import CameraConfig
from edge.environment import Environment, Stop
how, script = sys.argv[1:]
config = CameraConfig(id="top", source=f"v4l2:{script}", fps=100, open_timeout_s=30, timeout_s=60)
nursery = Nursery()
if how == "threads":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
if how != "late":
    nursery.prepare([config], "tests.edge.capture.faulty")
camera = ProcessCamera(config, Environment(), "tests.edge.capture.faulty", nursery)
camera.read(Stop())
print(json.dumps([nursery.pid, camera.pid]), flush=True)
if sys.stdin.readline() == "close\\n":
    camera.close()
    nursery.close()
    print("closed", flush=True)
    sys.stdin.readline()
while True:
    camera.read(Stop())
"""


class Daemon:
    """A process that reads one camera; `how` its nursery came to be: forked before there were
    threads, from a new Python because there were, or only when the camera was read."""

    def __init__(self, how: str, script: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _DAEMON, how, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        self.nursery, self.camera = (psutil.Process(pid) for pid in json.loads(self.hear()))

    def hear(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def close_camera(self) -> None:
        """Camera and nursery, in order; the daemon stays."""
        assert self.process.stdin is not None
        self.process.stdin.write("close\n")
        self.process.stdin.flush()
        assert self.hear() == "closed\n"

    def close(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.communicate(timeout=20)


@pytest.fixture(params=["early", "threads", "late"])
def how(request: pytest.FixtureRequest) -> str:
    """Each way in which a nursery comes to be."""
    return str(request.param)


def gone(each: psutil.Process) -> bool:
    """Whether it has ended, though perhaps nobody has asked how."""
    try:
        return not each.is_running() or each.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_camera_comes_of_the_nursery_and_is_asked_for_once(how: str) -> None:
    """The process that is read is the nursery's one child, also when it was begun early; only
    a daemon without other threads is forked."""
    daemon = Daemon(how, "good")
    try:
        assert daemon.nursery.children() == [daemon.camera]
        forked = daemon.nursery.cmdline() == psutil.Process(daemon.process.pid).cmdline()
        assert forked == (how == "early")
        assert daemon.nursery.num_threads() == 1
    finally:
        daemon.close()


def test_closing_leaves_no_process(how: str) -> None:
    """After an orderly end there is neither camera nor nursery, nor a zombie of them."""
    daemon = Daemon(how, "good,good,hang")
    try:
        daemon.close_camera()
        assert psutil.Process(daemon.process.pid).children(recursive=True) == []
        assert gone(daemon.camera)
    finally:
        daemon.close()


def test_all_die_with_the_daemon(how: str, eventually: Eventually) -> None:
    """`kill -9` of the daemon ends the nursery and a camera whose driver hangs."""
    daemon = Daemon(how, "good,good,hang")
    daemon.close()
    eventually(lambda: gone(daemon.nursery) and gone(daemon.camera))


def test_a_camera_dies_with_the_nursery(how: str, eventually: Eventually) -> None:
    """Nobody could end a camera whose nursery has gone, so it goes too."""
    daemon = Daemon(how, "good,good,hang")
    try:
        daemon.nursery.kill()
        eventually(lambda: gone(daemon.camera))
    finally:
        daemon.close()


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    """One of the test's own."""
    made = Nursery()
    yield made
    made.close()
    assert made.pid == 0


def camera(nursery: Nursery, script: str, program: str = FAULTY) -> ProcessCamera:
    """A camera that misbehaves as its script says."""
    config = camera_config(f"v4l2:{script}", timeout_s=20, open_timeout_s=30)
    return ProcessCamera(config, Environment(), program, nursery)


def read_to_the_end(camera: ProcessCamera) -> None:
    """Until it raises."""
    for _ in range(100):
        camera.read(Stop())


def test_a_nursery_that_died_is_started_anew(nursery: Nursery, eventually: Eventually) -> None:
    """Its cameras say so in a sentence, and open again out of a new one; no zombie is left."""
    first = camera(nursery, "good")
    assert first.read(Stop()) is not None
    old = psutil.Process(nursery.pid)
    old.kill()
    with pytest.raises(CameraError, match="ended with the one that it came of"):
        read_to_the_end(first)
    second = camera(nursery, "good")
    assert second.read(Stop()) is not None
    assert nursery.pid != old.pid
    assert not old.is_running()
    second.close()


def test_a_nursery_that_stands_still_is_replaced(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that neither forks nor kills is ended itself, and the next opening has a new one."""
    first = camera(nursery, "good")
    assert first.read(Stop()) is not None
    old = psutil.Process(nursery.pid)
    old.send_signal(signal.SIGSTOP)
    with monkeypatch.context() as patched:
        patched.setattr(process, "_START_S", 0.2)
        patched.setattr(process, "_REAP_S", 0.2)
        second = camera(nursery, "good")
        with pytest.raises(CameraError, match=r"does not start for 0\.2 s"):
            second.read(Stop())
    assert not old.is_running()
    third = camera(nursery, "good")
    assert third.read(Stop()) is not None
    for each in (first, second, third):
        each.close()


def test_what_cannot_be_started_says_why(nursery: Nursery) -> None:
    """A driver that cannot be imported is a CameraError, and the nursery goes on."""
    with pytest.raises(CameraError, match=r"no process can be started for it \(No module named"):
        camera(nursery, "good", "edge.capture.no_such_driver").read(Stop())
    pid = nursery.pid
    good = camera(nursery, "good")
    assert good.read(Stop()) is not None
    assert nursery.pid == pid
    good.close()


def test_a_python_that_does_not_start_is_a_lost_camera(
    nursery: Nursery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a nursery there is a sentence, no trace, and nothing left open."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    me = psutil.Process()
    gc.collect()
    before = me.num_fds()
    for _ in range(3):
        with pytest.raises(CameraError, match="no process can be started for it"):
            camera(nursery, "good")
    assert me.num_fds() <= before


def test_a_nursery_keeps_nothing_of_those_that_ended(
    nursery: Nursery, eventually: Eventually
) -> None:
    """After many deaths of all kinds it holds as many file descriptors as before, and no zombie."""

    def life(script: str) -> None:
        each = camera(nursery, script)
        with pytest.raises(CameraError):
            read_to_the_end(each)

    keeper = camera(nursery, "good")
    assert keeper.read(Stop()) is not None
    its = psutil.Process(nursery.pid)
    quiet = its.num_fds()
    life("good,crash")
    eventually(lambda: its.num_fds() <= quiet)
    before = its.num_fds()
    for script in ("good,good,crash", "good,exit", "no-open", "crash", "good,size") * 4:
        life(script)
    eventually(lambda: its.num_fds() == before)  # it says how one ended, then lets go
    assert [child.pid for child in its.children()] == [keeper.pid]
    keeper.close()
    assert its.children() == []


def test_a_camera_that_was_begun_and_changed_is_begun_anew(
    nursery: Nursery, eventually: Eventually
) -> None:
    """What was opened early counts only for the configuration that it was opened with; otherwise
    it is ended."""
    config = camera_config("v4l2:good", timeout_s=20, open_timeout_s=30)
    nursery.prepare([config], FAULTY)
    changed = config.replace(source="v4l2:no-open")
    reads = ProcessCamera(changed, Environment(), FAULTY, nursery)
    with pytest.raises(CameraError, match="cannot be opened"):
        reads.read(Stop())
    eventually(lambda: psutil.Process(nursery.pid).children() == [])


def test_without_a_driver_there_is_no_nursery(nursery: Nursery) -> None:
    """Cameras that the daemon reads itself need no process."""
    nursery.prepare([camera_config("test:")])
    assert nursery.pid == 0
