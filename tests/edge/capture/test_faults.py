"""Cameras that fail at random, in real processes: a short run of tests.campaigns.camera_faults."""

import threading
from pathlib import Path

import pytest

from edge.capture.camera import Camera
from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.capture.reader import Reader
from edge.core.clock import Clock, StopEvent
from edge.pipeline.mailbox import Mailbox
from tests.campaigns.camera_faults import run
from tests.edge.capture.conftest import camera_config
from tests.support.waiting import wait_until

FAULTY = "tests.edge.capture.faulty"


@pytest.mark.slow
@pytest.mark.inference
def test_random_faults_never_pass_and_are_all_counted(redness_model: Path) -> None:
    """With random faults, only fresh and real pictures pass, and a counter holds every missing
    picture."""
    assert redness_model.exists()
    assert run(count=60, seed=42, cameras=3, say=False) == []


@pytest.mark.slow
def test_hung_camera_recovers_and_touches_no_other(fork_server: ForkServerClient) -> None:
    """Of four cameras one hangs: it is killed and started again. The three others are never opened
    again, and every one of their pictures is accounted for."""
    mailbox, stop, environment = Mailbox(), StopEvent(), Clock()
    opened: dict[str, int] = {}

    def reader(name: str) -> Reader:
        def opener() -> Camera:
            opened[name] = opened.get(name, 0) + 1
            script = "good,good,good,hang" if (name, opened[name]) == ("c0", 1) else "good"
            config = camera_config(
                f"v4l2:{script}", fps=20, timeout_s=1.0 if name == "c0" else 60, open_timeout_s=60
            )
            return IsolatedCamera(config, environment, fork_server, FAULTY)

        config = camera_config("v4l2:x").replace(id=name)
        return Reader(config, opener, mailbox, environment, stop, first_pause_s=0.01)

    readers = [reader(f"c{n}") for n in range(4)]
    threads = [threading.Thread(target=r.run, name=f"camera-{r.id}") for r in readers]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: readers[0].distrusted.get("silent", 0) >= 1)
        before = [r.frames for r in readers]
        wait_until(
            lambda: (
                readers[0].state == "live"
                and all(r.frames >= count + 10 for r, count in zip(readers, before))
            )
        )
        assert readers[0].state == "live"
        assert readers[0].reconnects == 1
        for other in readers[1:]:
            assert other.state == "live"
            assert other.distrusted == {}
            assert opened[other.id] == 1
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
