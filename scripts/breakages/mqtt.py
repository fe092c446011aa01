"""Breakages of edge/mqtt, and the tests that must notice them."""

from scripts.breakages.breakage import Breakage
from scripts.code_edit import Edit

MQTT = [
    Breakage(
        "a refused row counts as acknowledged",
        Edit(
            "edge.mqtt.send_scheduler:SendScheduler.settle",
            "cause is None",
            "seq",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "a row counts as acknowledged when it is sent",
        Edit(
            "edge.mqtt.sender:Sender._send",
            "self._window.add(mid, SentMessage(now, self._topic, len(body), row.seq))",
            "self._scheduler.accept(row.seq)",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "rows in flight at a disconnect are not sent again",
        Edit(
            "edge.mqtt.send_scheduler:SendScheduler.begin",
            "self._backlog = 0",
            "",
        ),
        "tests/edge/storage tests/edge/mqtt",
    ),
    Breakage(
        "a file that opens late is not read in the same connection",
        Edit(
            "edge.mqtt.send_scheduler:SendScheduler.next",
            "self._notice_new_file()",
            "pass",
        ),
        "tests/edge/mqtt/test_file_opened_late.py",
    ),
    Breakage(
        "a trigger changes the recipe without the right to",
        Edit(
            "edge.mqtt.request_router:RequestRouter._check_allowed",
            "not self._is_allowed('recipe')",
            "False",
        ),
        "tests/edge/mqtt/test_request_router.py",
    ),
]
