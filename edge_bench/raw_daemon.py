"""`python -m edge_bench.raw_daemon run -c config.yaml`: the daemon, whose v4l2 cameras are files of
raw pictures."""

import argparse
import gc
import os
import sys
from pathlib import Path

from edge.capture import (
    Camera,
    CameraFactory,
    DemandGate,
    ForkServerClient,
    ItemLedger,
    OpenCamera,
    Reduction,
)
from edge.capture.isolation.isolated_camera import IsolatedCamera
from edge.cli.run import run
from edge.config import CameraConfig
from edge.core.clock import Clock
from edge.core.errors import EdgeInspectError

_DRIVERS = "edge_bench.raw_camera"


def main() -> int:
    """Runs the daemon as the command line does. Returns its exit code."""
    parser = argparse.ArgumentParser(prog="edge_bench.raw_daemon")
    parser.add_argument("command", choices=["run"])
    parser.add_argument("-c", "--config", type=Path, required=True)
    arguments = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.disable()
    try:
        return run(arguments.config, raw_opener)
    except EdgeInspectError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def raw_opener(fork_server: ForkServerClient) -> OpenCamera:
    """A function that opens a v4l2 source as a file of raw pictures, and all others as usual."""
    usual = CameraFactory(fork_server)

    def open_camera(
        config: CameraConfig,
        environment: Clock,
        receipts: ItemLedger,
        reduction: Reduction,
        idle: DemandGate | None,
    ) -> Camera:
        if config.kind == "v4l2":
            return IsolatedCamera(config, environment, fork_server, _DRIVERS)
        return usual.open(config, environment, receipts, reduction, idle)

    return open_camera


if __name__ == "__main__":
    sys.exit(main())
