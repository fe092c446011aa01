"""The real daemon with a real MJPEG camera: its processes, and their end."""

import os
from collections.abc import Iterator

import psutil
import pytest

from tests.support.noisy_camera import noisy_camera
from tests.support.plant import Daemon, Plant
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = pytest.mark.broker
# A camera that no other test has, nor a test of this file in another worker of pytest.
_NAME = f"gate{os.getpid() % 10_000}"


@pytest.fixture
def camera() -> Iterator[str]:
    """An MJPEG camera's address."""
    with noisy_camera(160, 120, 20) as camera:
        yield camera


def sections(url: str) -> dict[str, dict[str, object]]:
    """One camera with a driver."""
    return {"sections": {"cameras": [{"id": _NAME, "source": url}]}}


def of_the_camera() -> list[psutil.Process]:
    """The processes that read the camera."""
    found = psutil.process_iter(["name", "status"])
    dead = psutil.STATUS_ZOMBIE  # it holds nothing; its parent has not waited for it yet
    return [p for p in found if p.info["name"] == f"camera-{_NAME}" and p.info["status"] != dead]


def living(daemon: Daemon) -> list[psutil.Process]:
    """The fork server and its children."""
    assert daemon.process is not None
    return psutil.Process(daemon.process.pid).children(recursive=True)


def test_each_camera_has_a_process_and_all_have_one_fork_server(
    make_daemon: MakeDaemon, plant: Plant, camera: str
) -> None:
    """Pictures are judged. The fork server is a child of the daemon and reads no camera. It ends
    with the camera processes at the stop."""
    daemon = make_daemon("test:", **sections(camera))
    daemon.start()
    plant.wait_for_results(3)
    assert sorted(p.name() for p in living(daemon)) == [f"camera-{_NAME}", "fork-server"]
    processes = living(daemon)
    assert daemon.stop() == 0
    assert not [p for p in processes if p.is_running()]


def test_a_killed_daemon_leaves_no_camera(
    make_daemon: MakeDaemon, plant: Plant, camera: str
) -> None:
    """`kill -9` of the daemon ends the fork server and the camera processes."""
    daemon = make_daemon("test:", **sections(camera))
    daemon.start()
    plant.wait_for_results(3)
    processes = living(daemon)
    assert len(processes) == 2
    daemon.kill()
    wait_until(lambda: not [p for p in processes if p.is_running()], "the end of the cameras")


def test_a_daemon_that_waits_for_its_model_holds_no_camera(
    make_daemon: MakeDaemon, camera: str
) -> None:
    """Cameras are opened before the model is loaded. When the model is refused, and the service
    waits for a correction, they are closed: `edge-inspect snapshot` can open them."""
    sound = sections(camera)["sections"]
    daemon = make_daemon("test:", sections={**sound, "model": {"path": "broken.tflite"}})
    (daemon.folder / "broken.tflite").write_bytes(b"no model")
    service = {
        "RUNTIME_DIRECTORY": str(daemon.folder),
        "NOTIFY_SOCKET": str(daemon.folder / "nobody"),
    }
    daemon.start(**service)
    assert daemon.exit_code() == 2
    daemon.start(**service)
    daemon.wait_for_log("still does not start")
    assert not of_the_camera()
    assert not living(daemon)


def test_a_killed_fork_server_is_replaced(
    make_daemon: MakeDaemon, plant: Plant, camera: str
) -> None:
    """The camera is lost, reports it, and is back by a new fork server."""
    daemon = make_daemon("test:", **sections(camera))
    daemon.start()
    plant.wait_for_results(3)
    server = next(p for p in living(daemon) if p.name() == "fork-server")
    server.kill()
    daemon.wait_for_log("its process ended with the fork server")
    daemon.wait_for_log(f"camera {_NAME}: is back")
    assert daemon.stop() == 0
