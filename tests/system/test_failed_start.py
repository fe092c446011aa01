"""A start that fails halfway leaves nothing behind: no thread, port or pin, and the next start has
the outbox. The steps are found by profiling a whole start."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.mosquitto import free_port

STEPS = 30
LIMIT_S = 600.0


@pytest.mark.parametrize("embedded", [False, True])
def test_a_start_that_fails_leaves_nothing(
    tmp_path: Path, redness_model: Path, *, embedded: bool
) -> None:
    """One step after the other fails, a thread's start among them. The last start is whole."""
    small = {"source": "test:", "width": 64, "height": 48, "fps": 10}
    values = {
        "station": "line1",
        "model": {"path": str(redness_model), "workers": 2},
        "cameras": [
            {"id": "top", **small, "trigger": {"kind": "interval", "every_s": 1}},
            {
                "id": "wired",
                **small,
                "trigger": {"kind": "gpio", "pin": 4},
                "outputs": {"pass": 17, "fail": 27},
            },
        ],
        "decision": {"outputs": {"alive": 6, "alarm": 5}},
        "mqtt": {"port": free_port(), "embedded": embedded},
        "archive": {"enabled": True, "path": str(tmp_path / "kept"), "keep": ["fail"]},
        "outbox": {"path": str(tmp_path / "state" / "outbox.db")},
        "web": {"enabled": True, "port": free_port()},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.faulty_start", str(tmp_path), str(STEPS)],
        check=False,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == STEPS + 2
    left = [one for one in found if any(value for key, value in one.items() if key != "step")]
    assert left == [], done.stderr
    assert "another edge-inspect uses this outbox" not in done.stderr
