"""`python -m edge_bench.raw_daemon run -c config.yaml`: the daemon with simulated v4l2
cameras, which read raw pictures from a file."""

import argparse
import gc
import os
import sys
from pathlib import Path

from edge.capture import (
    Camera,
    CameraFactory,
    DecodingOf,
    DemandGate,
    ForkServerClient,
    ItemLedger,
    OpenCamera,
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
    """A function that opens a v4l2 source as a file of raw pictures, and other sources as usual."""
    factory = CameraFactory(fork_server)

    def open_camera(
        config: CameraConfig,
        clock: Clock,
        ledger: ItemLedger,
        decoding_of: DecodingOf,
        demand: DemandGate | None,
    ) -> Camera:
        if config.kind == "v4l2":
            return IsolatedCamera(config, clock, fork_server, _DRIVERS)
        return factory.open(config, clock, ledger, decoding_of, demand)

    return open_camera


if __name__ == "__main__":
    sys.exit(main())
