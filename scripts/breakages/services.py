"""Breakages of edge/plant, edge/monitoring and edge/web, and the tests that must notice them."""

from scripts.breakages.breakage import Breakage
from scripts.code_edit import Edit

SERVICES = [
    Breakage(
        "every kept pass counts for the escape rate",
        Edit("edge.plant.line_estimate:_estimate", "label.sampled", "True"),
        "tests/edge/plant/records/test_labels.py",
    ),
    Breakage(
        "READY waits for the next watchdog tick",
        Edit(
            "edge.monitoring.supervisor:Supervisor.pause_s",
            "self._ready",
            "self._started_at",
        ),
        "tests/edge/monitoring/test_supervisor.py",
    ),
    Breakage(
        "a client that reads nothing keeps its thread",
        Edit("edge.web.serving:SlowClients.sweep", "channel.handle_close()", "None"),
        "tests/edge/web/test_slow.py",
    ),
]
