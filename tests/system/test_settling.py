"""A network camera whose exposure settles after each opening: the whole daemon judges nothing
before, and a defect never passes."""

from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.support.network_camera import NetworkCamera, PictureStream, network_camera
from tests.support.plant import Plant
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = [pytest.mark.broker, pytest.mark.slow]

DEFECT = 250  # red
FPS = 20.0
SETTLED = 80  # pictures until the exposure is right


def exposure(number: int) -> float:
    """A dark start; a defect that is dark looks like a good part."""
    return min(1.0, 0.12 + 0.88 * (number / SETTLED) ** 2)


@pytest.fixture
def stream() -> PictureStream:
    """Shows a defect all the time."""
    return PictureStream(exposure, lambda _number: DEFECT, FPS)


@pytest.fixture
def camera(stream: PictureStream) -> Iterator[NetworkCamera]:
    """A running camera."""
    with network_camera(stream) as camera:
        yield camera
        stream.stop.set()


@pytest.mark.parametrize("settle", [{}, {"settle_steady": False, "settle_s": 5.0}])
def test_a_defect_never_passes_while_the_camera_settles(
    make_daemon: MakeDaemon,
    plant: Plant,
    stream: PictureStream,
    camera: NetworkCamera,
    settle: dict[str, object],
) -> None:
    """By default and with `settle_s`: after the start and after a reconnect there is no verdict
    before the exposure is right. `health` says so. Without it, the defect passes."""
    daemon = make_daemon(camera.url, timeout_s=20, open_timeout_s=30, **settle)
    daemon.start()
    wait_until(lambda: _settles(plant), "health says that it settles")
    plant.wait_for_results(5)
    stream.stop.set()  # the camera is restarted
    wait_until(lambda: _verdicts(plant)[-1] == "error", "the camera is lost")
    stream.stop.clear()
    seen = len(_verdicts(plant))
    wait_until(lambda: _verdicts(plant)[seen:].count("fail") >= 5, "judged again")
    assert daemon.stop() == 0
    assert stream.connections == 2
    assert "pass" not in _verdicts(plant)
    assert "Traceback" not in daemon.log


def test_without_settling_the_defect_passes(make_daemon: MakeDaemon, plant: Plant) -> None:
    """The test above proves something: a defect in the dark passes."""
    with network_camera(PictureStream(lambda _n: 0.2, lambda _n: DEFECT, FPS)) as camera:
        daemon = make_daemon(camera.url, timeout_s=20, open_timeout_s=30, settle_steady=False)
        daemon.start()
        wait_until(lambda: "pass" in _verdicts(plant), "the defect passes")
        assert daemon.stop() == 0


def test_a_part_that_comes_while_the_camera_settles_is_an_error(
    make_daemon: MakeDaemon, plant: Plant, camera: NetworkCamera
) -> None:
    """Its reason says why; the part after it is judged, on a picture after its trigger."""
    trigger = {"kind": "request", "deadline_ms": 800}
    daemon = make_daemon(camera.url, timeout_s=20, open_timeout_s=30, settle_s=6.0, trigger=trigger)
    daemon.start()
    wait_until(lambda: _settles(plant), "health says that it settles")
    request = b'{"transaction":"%s","camera":"top","part":"%s"}'
    plant.publish("inspection/line1/request/trigger", request % (b"1", b"early"))
    results = plant.wait_for_results(1)
    first = next(iter(results.values()))
    assert (first["part"], first["verdict"]) == ("early", "error")
    assert "(camera: settles: " in first["reason"]
    wait_until(lambda: _live(plant), "settled, although no part asks for pictures")
    plant.publish("inspection/line1/request/trigger", request % (b"2", b"late"))
    second = next(body for body in plant.wait_for_results(2).values() if body["part"] == "late")
    assert daemon.stop() == 0
    assert second["verdict"] == "fail"
    assert datetime.fromisoformat(second["captured_at"]) > datetime.fromisoformat(
        first["captured_at"]
    )


def _verdicts(plant: Plant) -> list[str]:
    return [body["verdict"] for body in plant.bodies("result")]


def _settles(plant: Plant) -> bool:
    """Whether the camera settles, by the last `health`."""
    bodies = plant.bodies("health")
    return bool(bodies) and any(
        text.startswith("camera top: settles: ") for text in bodies[-1]["faults"]
    )


def _live(plant: Plant) -> bool:
    bodies = plant.bodies("health")
    return bool(bodies) and bodies[-1]["cameras"]["top"]["state"] == "live"
