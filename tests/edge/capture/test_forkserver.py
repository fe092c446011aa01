"""The fork server of the camera processes: its end, and its failures."""

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

from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError
from tests.edge.capture.conftest import camera_config
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

FAULTY = "tests.edge.capture.faulty"
_DAEMON = """
import json, sys, threading
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
how, script = sys.argv[1:]
config = CameraConfig(id="top", source=f"v4l2:{script}", fps=5, open_timeout_s=30, timeout_s=60)
fork_server = ForkServerClient()
if how == "threads":
    threading.Thread(target=threading.Event().wait, daemon=True).start()
if how != "late":
    fork_server.prepare([config], "tests.edge.capture.faulty")
camera = IsolatedCamera(config, Clock(), fork_server, "tests.edge.capture.faulty")
camera.read(StopEvent())
print(json.dumps([fork_server.pid, camera.pid]), flush=True)
if sys.stdin.readline() == "close\\n":
    camera.close()
    fork_server.close()
    print("closed", flush=True)
    sys.stdin.readline()
while True:
    camera.read(StopEvent())
"""


class Daemon:
    """A process that reads one camera.

    `how` its fork server starts: forked before there are threads, in a new Python because there
    are threads, or only when the camera is opened.
    """

    def __init__(self, how: str, script: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _DAEMON, how, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        pids = json.loads(self.read_line())
        self.fork_server, self.camera = (psutil.Process(pid) for pid in pids)

    def read_line(self) -> str:
        """The next line of its output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def close_camera(self) -> None:
        """Closes camera and fork server in order; the daemon stays."""
        assert self.process.stdin is not None
        self.process.stdin.write("close\n")
        self.process.stdin.flush()
        assert self.read_line() == "closed\n"

    def close(self) -> None:
        """`kill -9`."""
        self.process.kill()
        self.process.communicate(timeout=20)


@pytest.fixture(params=["early", "threads", "late"])
def how(request: pytest.FixtureRequest) -> str:
    """Each way in which a fork server starts."""
    return str(request.param)


def gone(each: psutil.Process) -> bool:
    """Whether the process has ended; it may be a zombie."""
    try:
        return not each.is_running() or each.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_camera_process_is_forked_by_the_fork_server_once(how: str) -> None:
    """The camera process is the only child of the fork server, also when it was started early. Only
    a daemon without other threads is forked."""
    daemon = Daemon(how, "good")
    try:
        assert daemon.fork_server.children() == [daemon.camera]
        forked = daemon.fork_server.cmdline() == psutil.Process(daemon.process.pid).cmdline()
        assert forked == (how == "early")
        assert daemon.fork_server.num_threads() == 1
    finally:
        daemon.close()


def test_closing_leaves_no_process(how: str) -> None:
    """After an orderly end neither camera process nor fork server is left, nor a zombie."""
    daemon = Daemon(how, "good,good,hang")
    try:
        daemon.close_camera()
        assert psutil.Process(daemon.process.pid).children(recursive=True) == []
        assert gone(daemon.camera)
    finally:
        daemon.close()


def test_all_die_with_the_daemon(how: str) -> None:
    """`kill -9` of the daemon ends the fork server, and a camera process whose driver hangs."""
    daemon = Daemon(how, "good,good,hang")
    daemon.close()
    wait_until(lambda: gone(daemon.fork_server) and gone(daemon.camera))


def test_a_camera_process_dies_with_the_fork_server(how: str) -> None:
    """Without its fork server a camera process could not be killed, so it ends too."""
    daemon = Daemon(how, "good,good,hang")
    try:
        daemon.fork_server.kill()
        wait_until(lambda: gone(daemon.camera))
    finally:
        daemon.close()


@pytest.fixture
def fork_server() -> Iterator[ForkServerClient]:
    """A fork server of one test, which may kill it."""
    client = ForkServerClient()
    yield client
    client.close()
    assert client.pid == 0


def camera(
    fork_server: ForkServerClient, script: str, program: str = FAULTY, limit_s: float = 60.0
) -> IsolatedCamera:
    """A camera that misbehaves; it may take `limit_s` to start, and to end after SIGKILL."""
    config = camera_config(f"v4l2:{script}", timeout_s=20, open_timeout_s=30)
    return IsolatedCamera(config, Clock(), fork_server, program, start_s=limit_s, reap_s=limit_s)


def read_to_the_end(camera: IsolatedCamera) -> None:
    """Reads until CameraError."""
    for _ in range(100):
        camera.read(StopEvent())


def test_a_fork_server_that_died_is_started_again(fork_server: ForkServerClient) -> None:
    """Its cameras report it in one sentence, and open again by a new one; no zombie is left."""
    first = camera(fork_server, "good")
    assert first.read(StopEvent()) is not None
    old = psutil.Process(fork_server.pid)
    old.kill()
    with pytest.raises(CameraError, match="ended with the fork server"):
        read_to_the_end(first)
    second = camera(fork_server, "good")
    assert second.read(StopEvent()) is not None
    assert fork_server.pid != old.pid
    assert not old.is_running()
    second.close()


def test_a_stopped_fork_server_is_replaced(fork_server: ForkServerClient) -> None:
    """A fork server that neither forks nor kills is killed; the next opening starts a new one."""
    first = camera(fork_server, "good")
    assert first.read(StopEvent()) is not None
    old = psutil.Process(fork_server.pid)
    old.send_signal(signal.SIGSTOP)
    second = camera(fork_server, "good", limit_s=0.2)
    with pytest.raises(CameraError, match=r"does not start for 0\.2 s"):
        second.read(StopEvent())
    assert not old.is_running()
    third = camera(fork_server, "good")
    assert third.read(StopEvent()) is not None
    for each in (first, second, third):
        each.close()


def test_a_process_that_cannot_start_names_the_reason(fork_server: ForkServerClient) -> None:
    """A driver that cannot be imported raises CameraError; the fork server goes on."""
    with pytest.raises(CameraError, match=r"no process can be started for it \(No module named"):
        camera(fork_server, "good", "edge.capture.no_such_driver").read(StopEvent())
    pid = fork_server.pid
    good = camera(fork_server, "good")
    assert good.read(StopEvent()) is not None
    assert fork_server.pid == pid
    good.close()


def test_a_python_that_does_not_start_is_a_lost_camera(
    fork_server: ForkServerClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a fork server there is one sentence, no traceback and no open descriptor."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    me = psutil.Process()
    gc.collect()
    before = me.num_fds()
    for _ in range(3):
        with pytest.raises(CameraError, match="no process can be started for it"):
            camera(fork_server, "good")
    assert me.num_fds() <= before


def test_a_fork_server_leaks_nothing_of_ended_children(fork_server: ForkServerClient) -> None:
    """After many ends of all kinds it holds as many file descriptors as before, and no zombie."""

    def life(script: str) -> None:
        each = camera(fork_server, script)
        with pytest.raises(CameraError):
            read_to_the_end(each)

    keeper = camera(fork_server, "good")
    assert keeper.read(StopEvent()) is not None
    its = psutil.Process(fork_server.pid)
    quiet = its.num_fds()
    life("good,crash")
    wait_until(lambda: its.num_fds() <= quiet)
    before = its.num_fds()
    for script in ("good,good,crash", "good,exit", "no-open", "crash", "good,size") * 4:
        life(script)
    wait_until(lambda: its.num_fds() == before)  # it says how one ended, then lets go
    assert [child.pid for child in its.children()] == [keeper.pid]
    keeper.close()
    assert its.children() == []


def test_a_camera_that_was_opened_early_and_changed_is_opened_again(
    fork_server: ForkServerClient,
) -> None:
    """A camera that was opened early is used only for the same configuration, else ended."""
    config = camera_config("v4l2:good", timeout_s=20, open_timeout_s=30)
    fork_server.prepare([config], FAULTY)
    changed = config.replace(source="v4l2:no-open")
    reads = IsolatedCamera(changed, Clock(), fork_server, FAULTY)
    with pytest.raises(CameraError, match="cannot be opened"):
        reads.read(StopEvent())
    wait_until(lambda: psutil.Process(fork_server.pid).children() == [])


def test_without_a_driver_there_is_no_fork_server(fork_server: ForkServerClient) -> None:
    """Cameras without a driver need no process."""
    fork_server.prepare([camera_config("test:")])
    assert fork_server.pid == 0
