"""A report and health messages with figures that are easy to recognise."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from edge_bench.listener import HealthSample

_SCHEMA = Path(__file__).parents[2] / "docs" / "schema" / "bench.schema.json"


def bench_validator() -> Draft202012Validator:
    """The validator of docs/schema/bench.schema.json."""
    return Draft202012Validator(json.loads(_SCHEMA.read_text(encoding="utf-8")))


def spread(p50: float) -> dict[str, float]:
    """Percentiles from a median."""
    return {"p50": p50, "p95": 2 * p50, "p99": 3 * p50}


def health_sample(
    second: float, acked: int, *, cpu_s: float = 0.0, state: str = "live", **changed: Any
) -> HealthSample:
    """The health message of a daemon with one camera, `second` seconds after its start.

    The daemon has read, judged and sent `acked` pictures. `changed` may have `frames`, `error`,
    `skipped`, `distrusted` and `faults`.
    """
    body = {
        "cameras": {
            "bench-1": {
                "state": state,
                "frames": changed.get("frames", acked),
                "skipped": changed.get("skipped", 0),
                "distrusted": changed.get("distrusted", {}),
            }
        },
        "verdicts": {
            "pass": acked - changed.get("error", 0),
            "review": 0,
            "fail": 0,
            "error": changed.get("error", 0),
        },
        "outbox": {"acked": acked, "dropped": 0},
        "latency_ms": {"prepare": spread(0.5), "inference": spread(0.25)},
        "faults": changed.get("faults", []),
    }
    return HealthSample(body, 1000.0 + second, 50.0 + second, cpu_s)


def report(problems: tuple[str, ...] = ()) -> dict[str, Any]:
    """A whole report: all measurements, one size in both formats."""
    bare = {"fps": 250.0, "cpu_ms": 4.0, "stages_ms": _stages(2.5, 1.0, 0.5, "invoke")}
    daemon = {"fps": 240.0, "cpu_ms": 4.4, "stages_ms": _stages(2.5, 1.0, 0.5, "inference")}
    baseline = {"fps": 60.0, "cpu_ms": 16.0, "stages_ms": _stages(10.0, 5.0, 0.5, "invoke")}
    return {
        "schema": "edge-inspect/bench/1",
        "time": "2026-11-28T12:56:18+00:00",
        "version": "0.1.0",
        "machine": {
            "processor": "A <processor> & more",
            "architecture": "x86_64",
            "cores": 2,
            "memory_mb": 4096,
            "kernel": "6.1",
            "python": "3.11.7",
            "load_before": 0.1,
            "packages": {"numpy": "2.4.6"},
        },
        "setup": {
            "model": "redness 1",
            "input": [16, 16, 3],
            "threads": 1,
            "interpreters": ["litert"],
            "broker": "mosquitto",
            "outbox_on_its_disk": True,
            "durability": "strict",
            "rounds": 1,
            "seconds": 3.0,
            "workers": [1, 2],
            "pictures": "drawn",
            "notes": ["tflite-runtime is not installed"],
            "sizes": [
                {
                    "size": "1080p",
                    "width": 1920,
                    "height": 1080,
                    "pictures": 8,
                    "jpeg_kb": 215.0,
                    "left_out": 0,
                }
            ],
        },
        "throughput": [_cell("jpeg", bare, daemon, baseline), _cell("yuyv", bare, daemon, None)],
        "latency": [
            {
                "source": "http",
                "durability": "strict",
                "size": "1080p",
                "rate": 10.0,
                "bare_ms": 4.0,
                "bare_paced_ms": 4.5,
                "flush_ms": spread(0.7),
                "frames": 60,
                "ms": spread(4.8),
                "over_bare_ms": spread(0.8),
                "over_bare_paced_ms": spread(0.3),
                "rounds": [spread(4.8)],
            }
        ],
        "start": [
            {
                "source": "replay",
                "size": "1080p",
                "ready_s": 0.4,
                "first_verdict_s": 0.45,
                "rounds": [{"ready_s": 0.4, "first_verdict_s": 0.45}],
            }
        ],
        "memory": [_memory(1, 90.0), _memory(3, 130.0)],
        "rates": [
            {
                "rate": 10.0,
                "size": "1080p",
                "cpu_percent": 7.0,
                "frames_s": 9.9,
                "rounds": [{"cpu_percent": 7.0, "frames_s": 9.9, "seconds": 5.0}],
            }
        ],
        "idle": [{"source": "folder", **_idle(), "rounds": [{**_idle(), "seconds": 8.0}]}],
        "problems": list(problems),
        "seconds": 61.5,
    }


def _stages(decode: float, prepare: float, invoke: float, name: str) -> dict[str, Any]:
    return {"decode": spread(decode), "prepare": spread(prepare), name: spread(invoke)}


def _run(rates: dict[str, Any]) -> dict[str, Any]:
    return {**rates, "frames": 700, "seconds": 3.0}


def _cell(form: str, bare: Any, daemon: Any, baseline: Any) -> dict[str, Any]:
    ratios = {
        "frames": 700,
        "skipped": 0,
        "fps_to_bare": 0.96,
        "cpu_to_bare": 1.1,
        "fps_to_by_hand": 4.0 if baseline else None,
    }
    return {
        "size": "1080p",
        "width": 1920,
        "height": 1080,
        "format": form,
        "interpreter": "litert",
        "reduced": 8 if form == "jpeg" else 1,
        "bare": bare,
        "by_hand": baseline,
        "side_by_side": [{**bare, "loops": 2, "fps_to_bare": 1.95}] if baseline else [],
        "daemon": [
            {**daemon, **ratios, "workers": 1, "fps_to_first": 1.0},
            {**daemon, **ratios, "workers": 2, "fps_to_first": 1.85},
        ],
        "rounds": [
            {
                "bare": _run(bare),
                "by_hand": _run(baseline) if baseline else None,
                "side_by_side": [_run(bare)] if baseline else [],
                "daemon": [_run(daemon) | {"skipped": 0}, _run(daemon) | {"skipped": 0}],
            }
        ],
    }


def _memory(cameras: int, steady: float) -> dict[str, Any]:
    use = {"steady_mb": steady, "steady_alone_mb": steady + 10, "peak_mb": steady + 20}
    return {"cameras": cameras, "size": "1080p", "rate": 10.0, **use, "rounds": [use]}


def _idle() -> dict[str, float]:
    return {
        "cpu_percent": 0.4,
        "wakeups_s": 12.5,
        "daemon_cpu_percent": 0.3,
        "daemon_wakeups_s": 7.25,
    }
