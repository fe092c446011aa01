"""`make demo`: trains two networks on solar cells, converts the better, publishes verdicts by MQTT.

The cells are of one type, because a plant makes one product. Files of an earlier run are used
again. Delete the folder `demo` to start from nothing.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import yaml

from edge.inspection import load_model_file
from scripts.contact_sheet import Judged, contact_sheet
from scripts.demo_summary import (
    PLAIN,
    PRETRAINED,
    RULE,
    better,
    side_by_side,
    test_figures,
    times_table,
    verdict_table,
    why_wide,
)
from trainer.data.elpv import COMPLETE_MARK
from trainer.training.run_folder import BASELINE

HERE = Path("demo")
DATA, RUN, MODEL = HERE / "data", HERE / "run", HERE / "model.tflite"
CONFIG, RESULTS, SHEET = HERE / "config.yaml", HERE / "results.jsonl", HERE / "contact-sheet.png"
STATION, PREFIX = "demo", "inspection"
STEPS = ("pictures", "audit and training", "conversion", "daemon")
LIMIT = 0.05  # of the defective cells may pass: what the plant of this demo asks for
# `--frozen` fits the last layer only, which takes a minute. The plain CNN is trained beside it, on
# the same pictures after the same audit. The test set is too small to show the limit.
TRAINING = (
    *("--network", "pretrained", "--frozen", "--name", "solar-cells"),
    *("--max-escape", str(LIMIT), "--allow-unshown"),
)
# The usual scheme only, for the runtime of this machine: trying all six takes three times as long.
CONVERSION = ("--scheme", "int8-float-head", "--without-tflite-runtime")


class DemoError(Exception):
    """A step of the demo failed; the text names it."""


def main() -> int:
    """Runs the steps. Exit code 0 when every picture has its verdict."""
    times: dict[str, float] = {}
    HERE.mkdir(exist_ok=True)
    try:
        with _step(1, "Pictures of monocrystalline solar cells: one product of one plant", times):
            call("trainer", "elpv", "--cells", "mono", "-o", str(DATA))
        with _step(2, "Audit, then train two networks: a plain CNN and a pretrained one", times):
            if is_older(RUN / "model.keras", DATA / COMPLETE_MARK):
                call("trainer", str(DATA), "-o", str(RUN), *TRAINING)
        runs = {PLAIN: RUN / BASELINE, PRETRAINED: RUN}
        chosen = better(runs)
        with _step(3, f"Convert the better one ({chosen}) for the box, compare with float", times):
            keras_file = runs[chosen] / "model.keras"
            if is_older(MODEL, keras_file):
                files = (str(keras_file), "--data", str(DATA), "-o", str(MODEL))
                call("converter", *files, *CONVERSION)
        with _step(4, "Run the daemon on the test set; a subscriber receives the verdicts", times):
            _run_daemon()
        _report(runs, chosen, times)
    except DemoError as error:
        sys.stderr.write(f"\nThe demo stopped: {error}\n")
        return 1
    return 0


def _run_daemon() -> None:
    port = free_port()
    for old in (HERE / "state").glob("demo-outbox.db*"):
        old.unlink()
    CONFIG.write_text(
        yaml.safe_dump(
            {
                "station": STATION,
                "model": {"path": MODEL.name},
                "cameras": [{"id": "cam1", "source": f"replay:{DATA.name}/test"}],
                "mqtt": {"embedded": True, "port": port, "prefix": PREFIX},
                "outbox": {"path": "state/demo-outbox.db"},
                "health": {"interval_s": 1},
            },
            sort_keys=False,
        )
    )
    subscriber = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "scripts.subscriber",
            "--port",
            str(port),
            "--topic",
            f"{PREFIX}/{STATION}",
            "--pictures",
            str(DATA / "test"),
            "--output",
            str(RESULTS),
        ]
    )
    daemon = subprocess.Popen([sys.executable, "-m", "edge", "run", "-c", str(CONFIG)])
    try:
        while subscriber.poll() is None:
            if daemon.poll() is not None:
                raise DemoError(f"the daemon ended with exit code {daemon.returncode}; see above")
            time.sleep(0.1)
    finally:
        daemon.send_signal(signal.SIGTERM)
        subscriber.terminate()
        code = daemon.wait(timeout=60)
    if subscriber.returncode != 0:
        raise DemoError("the subscriber did not receive exactly one verdict per picture; see above")
    if code != 0:
        raise DemoError(f"the daemon stopped with exit code {code}")


def _report(runs: Mapping[str, Path], chosen: str, times: Mapping[str, float]) -> None:
    results = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    health = json.loads(RESULTS.with_suffix(".health.json").read_text())
    judged = [_judged(body) for body in results if body["score"] is not None]
    if not cv2.imwrite(str(SHEET), contact_sheet(judged)):
        raise DemoError(f"{SHEET} could not be written")
    spec = load_model_file(MODEL).spec
    assert spec is not None
    figures = {name: test_figures(run) for name, run in runs.items()}
    figures[f"{chosen}, int8"] = spec.metrics
    compared, trained = spec.quantisation["compared"], spec.data["counts"]["train"]
    print(f"\n{RULE}\nThe limit: at most {100 * LIMIT:g} % of the defective cells may pass.")
    print(
        f"Trained on {trained['ok']} good and {trained['defect']} defective cells; thresholds are "
        "from other modules.\nOn the test set (modules without a training picture):\n"
    )
    print(side_by_side(figures))
    print(
        f"\n{compared['pass_fail_flips']} of {compared['pictures']} verdicts flip between pass and "
        f"fail from float to int8; {compared['review_moves']} move into or out of\nreview.\n\n"
        f"{why_wide(spec.metrics, LIMIT)}"
    )
    print(f"\nVerdicts: {len(results)} pictures were judged; each verdict arrived once:")
    print(verdict_table(judged))
    latency = health["latency_ms"]["inference"]
    print(
        f"\nSpeed: {_frames_per_second(results):.0f} frames/s through the whole daemon, "
        f"inference p50 {latency['p50']:.2f} ms; peak memory {health['memory']['peak_mb']:.0f} MB "
        f"(embedded broker included)\n\nTime:\n{times_table(times)}\n\n"
        f"See {SHEET} for the most confident, the closest and the wrong verdicts,\n"
        f"and {RUN}/report.html for the training report."
    )
    print(f"{RULE}\n{NEXT}")


NEXT = """Next steps:
  1. See the live topic:      .venv/bin/edge-inspect run
     and in a second window:  .venv/bin/python -m scripts.listen
  2. Use your own camera:     edit cameras in config.yaml, then .venv/bin/edge-inspect check
  3. Train on your pictures:  put them into pictures/ok/ and pictures/defect/, then
                              .venv/bin/edge-train pictures -o runs/first
                              .venv/bin/edge-convert runs/first/model.keras --data pictures \\
                                -o runs/first/model.tflite"""


def _judged(body: dict[str, Any]) -> Judged:
    at = body["thresholds"]
    return Judged(
        path=DATA / "test" / body["part"],
        truth=body["part"].partition("/")[0],
        verdict=body["verdict"],
        score=body["score"],
        reject_at=at["reject_at"],
        review_from=at["review_from"],
    )


def _frames_per_second(results: list[dict[str, Any]]) -> float:
    times = [datetime.fromisoformat(body["captured_at"]).timestamp() for body in results]
    return (len(times) - 1) / max(1e-3, max(times) - min(times))


def is_older(made: Path, source: Path) -> bool:
    """Whether `made` is missing, or was made before `source`."""
    return not made.exists() or made.stat().st_mtime < source.stat().st_mtime


def free_port() -> int:
    """A free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _step(number: int, text: str, times: dict[str, float]) -> Iterator[None]:
    """Announces a step and keeps its seconds in `times`."""
    print(f"\n[{number}/{len(STEPS)}] {text}", flush=True)
    started = time.monotonic()
    yield
    times[STEPS[number - 1]] = time.monotonic() - started


def call(*command: str) -> None:
    """Runs one of our commands. Raises DemoError."""
    # Small matrices are slower on several threads, and far slower when other programs run.
    one_thread = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", *command], check=False, env=one_thread)
    if done.returncode != 0:
        raise DemoError(f"`python -m {' '.join(command)}` ended with exit code {done.returncode}")


if __name__ == "__main__":
    sys.exit(main())
