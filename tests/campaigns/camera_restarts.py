"""Restarts a camera process many times, and checks for leaked resources.

    python -m tests.campaigns.camera_restarts --count 1000

Each process reads a picture and then crashes, hangs, exits or is closed. Exit code 1 when a
process, a file descriptor, a mapping, a file in /dev/shm or more than 5 MB of memory is leaked.
"""

import argparse
import contextlib
import gc
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from edge.capture.isolation.forkserver_client import ForkServerClient
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.config import CameraConfig
from edge.core.clock import Clock, StopEvent
from edge.core.errors import CameraError

FAULTY = "tests.edge.capture.faulty"
ENDS = ("good,crash", "good,exit", "good", "good,good,crash", "good,size", "good,good,exit")
_HANG_EVERY = 20  # a hang takes its whole timeout
_MAX_GROWTH_MB = 5.0


@dataclass(frozen=True, slots=True)
class Resources:
    """The resources of this process and of the fork server."""

    processes: int
    descriptors: int
    mappings: int
    shm_files: int
    rss_mb: float
    server_descriptors: int
    server_rss_mb: float


def read_resources(fork_server: ForkServerClient) -> Resources:
    """The current resources."""
    gc.collect()
    me, server = psutil.Process(), psutil.Process(fork_server.pid)
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    return Resources(
        processes=len(me.children(recursive=True)),
        descriptors=me.num_fds(),
        mappings=maps.count("memfd:camera"),
        shm_files=len(list(Path("/dev/shm").glob("*"))),
        rss_mb=round(me.memory_info().rss / 2**20, 1),
        server_descriptors=server.num_fds(),
        server_rss_mb=round(server.memory_info().rss / 2**20, 1),
    )


def run_camera(number: int, fork_server: ForkServerClient) -> None:
    """Starts one camera process, reads, and ends it."""
    script = "good,hang" if number % _HANG_EVERY == 0 else ENDS[number % len(ENDS)]
    config = CameraConfig(
        id="top", source=f"v4l2:{script}", timeout_s=0.3, open_timeout_s=60, fps=500
    )
    camera = IsolatedCamera(config, Clock(), fork_server, FAULTY)
    with contextlib.suppress(CameraError):
        for _ in range(5):
            camera.read(StopEvent())
    camera.close()


def main() -> int:
    """Prints the resources before and after. Exit code 1 when one is leaked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--count", type=int, default=1000)
    count = parser.parse_args().count
    with ForkServerClient() as fork_server:
        for number in range(10):  # warm-up: Python allocates at first
            run_camera(number, fork_server)
        before, since = read_resources(fork_server), time.monotonic()
        print("before:", before, flush=True)
        for number in range(count):
            run_camera(number, fork_server)
        after = read_resources(fork_server)
    print("after: ", after)
    print(f"{count} restarts in {time.monotonic() - since:.0f} s")
    leaks = leaked(before, after)
    print("leaked:", ", ".join(leaks) or "nothing")
    return 1 if leaks else 0


def leaked(before: Resources, after: Resources) -> list[str]:
    """The names of the resources that grew. Other programs may remove their files in /dev/shm."""
    allowed = {"rss_mb": _MAX_GROWTH_MB, "server_rss_mb": _MAX_GROWTH_MB}
    return [
        field.name
        for field in fields(before)
        if getattr(after, field.name) - getattr(before, field.name) > allowed.get(field.name, 0)
    ]


if __name__ == "__main__":
    sys.exit(main())
