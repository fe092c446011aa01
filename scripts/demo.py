"""`make demo`: downloads pictures of solar cells, trains, converts, and publishes verdicts by MQTT.

Files of an earlier run are used again. Delete the folder `demo` to start from nothing.
"""

import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import yaml

from edge.inspection import load_model_file
from scripts.contact_sheet import Judged, contact_sheet

HERE = Path("demo")
DATA, RUN, MODEL = HERE / "data", HERE / "run", HERE / "model.tflite"
CONFIG, RESULTS, SHEET = HERE / "config.yaml", HERE / "results.jsonl", HERE / "contact-sheet.png"
STATION, PREFIX = "demo", "inspection"


class DemoError(Exception):
    """A step of the demo failed; the text names it."""


def main() -> int:
    """Runs the steps. Exit code 0 when every picture has its verdict."""
    started = time.monotonic()
    HERE.mkdir(exist_ok=True)
    try:
        _step(1, "Pictures of 2,223 solar cells, good and defective")
        if not (DATA / "manifest.csv").exists():
            _call("trainer", "elpv", "-o", str(DATA))
        _step(2, "Train the network")
        if not (RUN / "model.keras").exists():
            # a small network, so that the demo does not take half an hour
            plain = ("--network", "baseline", "--name", "solar-cells")
            _call("trainer", str(DATA), "-o", str(RUN), *plain)
        _step(3, "Convert it for the box, and compare with float")
        if not MODEL.exists() or MODEL.stat().st_mtime < (RUN / "model.keras").stat().st_mtime:
            _call("converter", str(RUN / "model.keras"), "--data", str(DATA), "-o", str(MODEL))
        _step(4, "Run the daemon on the test set; a subscriber receives the verdicts")
        _run_daemon()
    except DemoError as error:
        sys.stderr.write(f"\nThe demo stopped: {error}\n")
        return 1
    _report(time.monotonic() - started)
    return 0


def _run_daemon() -> None:
    port = _free_port()
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


def _report(seconds: float) -> None:
    results = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    health = json.loads(RESULTS.with_suffix(".health.json").read_text())
    judged = [_judged(body) for body in results if body["score"] is not None]
    if not cv2.imwrite(str(SHEET), contact_sheet(judged)):
        raise DemoError(f"{SHEET} could not be written")
    spec = load_model_file(MODEL).spec
    assert spec is not None
    compared, trained = spec.quantisation["compared"], spec.data["counts"]["train"]
    print(f"\n{'─' * 78}\nTrained on {trained['ok']} good and {trained['defect']} defective cells.")
    print("On the test set (cells of solar modules without a training picture):")
    print(f"  float  {_figures(spec.quantisation['float_metrics'])}")
    print(f"  int8   {_figures(spec.metrics)}")
    print(
        f"  {compared['pass_fail_flips']} of {compared['pictures']} verdicts flip between pass and "
        f"fail from float to int8, {compared['review_moves']} move into or out of review"
    )
    print(f"\nVerdicts: {len(results)} pictures were judged; each verdict arrived once:")
    table = Counter((j.truth, j.verdict) for j in judged)
    print(f"  {'truth':<10}{'pass':>8}{'review':>8}{'fail':>8}")
    for truth in sorted({j.truth for j in judged}, key=lambda label: (label != "ok", label)):
        print(
            f"  {truth:<10}" + "".join(f"{table[truth, v]:>8}" for v in ("pass", "review", "fail"))
        )
    latency = health["latency_ms"]["inference"]
    print(
        f"\nSpeed: {_frames_per_second(results):.0f} frames/s through the whole daemon, "
        f"inference p50 {latency['p50']:.2f} ms; peak memory {health['memory']['peak_mb']:.0f} MB "
        f"(embedded broker included)\nThis took {seconds:.0f} s. See {SHEET} for the "
        f"most confident, the closest and the wrong verdicts,\n"
        f"and {RUN}/report.html for the training report."
    )
    print(f"{'─' * 78}\n{NEXT}")


NEXT = """Next steps:
  1. See the live topic:      .venv/bin/edge-inspect run
     and in a second window:  .venv/bin/python -m scripts.listen
  2. Use your own camera:     edit cameras in config.yaml, then .venv/bin/edge-inspect check
  3. Train on your pictures:  put them into pictures/ok/ and pictures/defect/, then
                              .venv/bin/edge-train pictures -o runs/first
                              .venv/bin/edge-convert runs/first/model.keras --data pictures \\
                                -o runs/first/model.tflite"""


def _figures(test: dict[str, Any]) -> str:
    escapes, rejects = test["escapes"], test["false_rejects"]
    low, high = test["auroc_interval"]
    return (
        f"AUROC {test['auroc']:.3f} ({low:.2f}–{high:.2f})  escapes {_share(escapes)}  "
        f"false rejects {_share(rejects)}"
    )


def _share(counted: dict[str, Any]) -> str:
    low, high = (100 * edge for edge in counted["interval"])
    return f"{counted['k']}/{counted['n']} ({low:.0f}–{high:.0f} %)"


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


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _step(number: int, text: str) -> None:
    print(f"\n[{number}/4] {text}", flush=True)


def _call(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", *command], check=False)
    if done.returncode != 0:
        raise DemoError(f"`python -m {' '.join(command)}` ended with exit code {done.returncode}")


if __name__ == "__main__":
    sys.exit(main())
