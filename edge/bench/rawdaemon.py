"""`python -m edge.bench.rawdaemon run -c config.yaml`: the daemon, with the bench's raw camera in
place of the kernel's driver. All else is `edge-inspect run`."""

import sys
from typing import Any

from edge import __main__ as command_line
from edge.capture.camera import Camera
from edge.capture.process import ProcessCamera
from edge.capture.sources import CameraFactory
from edge.config import CameraConfig
from edge.environment import Environment

_PROGRAM = "edge.bench.rawcamera"


def main() -> int:
    """As the command line does."""

    def open_camera(
        self: Any, config: CameraConfig, environment: Environment, *more: Any, **named: Any
    ) -> Camera:
        if config.kind == "v4l2":
            return ProcessCamera(config, environment, self._fork_server, _PROGRAM)
        return original(self, config, environment, *more, **named)

    original = CameraFactory.open
    setattr(CameraFactory, "open", open_camera)  # noqa: B010  mypy forbids to assign a method
    return command_line.main()


if __name__ == "__main__":
    sys.exit(main())
