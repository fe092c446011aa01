"""What runs on this box: the retained `info`, published at start and at each reload."""

import platform
from collections.abc import Sequence
from typing import Any

import edge
from edge.config import Config, mask_credentials
from edge.core.clock import Clock
from edge.core.messages import rfc3339
from edge.inspection import Inspector

INFO_SCHEMA = "edge-inspect/info/1"


def info_body(
    config: Config,
    inspector: Inspector,
    environment: Clock,
    session: str,
    *,
    problems: Sequence[str] = (),
    restart_required: Sequence[str] = (),
) -> dict[str, Any]:
    """The body of `info`. `problems`: why the newest config.yaml is not in use;
    `restart_required`: the keys of it that wait for a restart."""
    identity = inspector.identity
    return {
        "schema": INFO_SCHEMA,
        "time": rfc3339(environment.now()),
        "session": session,
        "boot_id": environment.boot_id(),
        "versions": {
            "edge_inspect": edge.__version__,
            "python": platform.python_version(),
            "runtime": inspector.runtime,
        },
        "model": {
            "name": identity.name,
            "version": identity.version,
            "sha256": identity.sha256,
        },
        "labels": list(inspector.labels),
        "thresholds": {
            "reject_at": inspector.thresholds.reject_at,
            "review_from": inspector.thresholds.review_from,
        },
        "config": config.hash,
        "config_problems": list(problems),
        "restart_required": list(restart_required),
        "cameras": [
            {
                "id": camera.id,
                "source": mask_credentials(camera.source),
                "trigger": camera.trigger.kind,
            }
            for camera in config.cameras
        ],
    }
