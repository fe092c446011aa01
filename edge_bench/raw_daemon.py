"""`python -m edge_bench.raw_daemon run -c config.yaml`: the daemon, with the bench's raw camera in
place of the kernel's driver. All else is `edge-inspect run`."""

import sys
from typing import Any

from edge import __main__ as command_line
from edge import cameraside
from edge.capture import sources
from edge.capture.process import ProcessCamera

_PROGRAM = "edge_bench.raw_camera"


def main() -> int:
    """As the command line does."""

    def open_camera(config: Any, environment: Any, *more: Any, **named: Any) -> Any:
        if config.kind == "v4l2":
            return ProcessCamera(config, environment, _PROGRAM)
        return sources.open_camera(config, environment, *more, **named)

    # the one place where the daemon opens a camera
    setattr(cameraside, "open_camera", open_camera)  # noqa: B010  mypy knows of no such export
    return command_line.main()


if __name__ == "__main__":
    sys.exit(main())
