"""Runs the measurements of the plan and collects the report, one JSON object."""

import datetime
import time
from collections.abc import Callable
from typing import Any

import edge
from edge_bench import latency, resources, startup, throughput
from edge_bench.host_facts import machine_facts
from edge_bench.plan import Section
from edge_bench.rig import Rig
from edge_bench.rounds import Rounds

SCHEMA = "edge-inspect/bench/1"
Report = dict[str, Any]
_MEASURE: dict[Section, Callable[[Rig, Rounds], list[dict[str, Any]]]] = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "start": startup.measure,
    "memory": resources.measure_memory,
    "rates": resources.measure_rates,
    "idle": resources.measure_idle,
}


def run(rig: Rig) -> Report:
    """The report, in the form of docs/schema/bench.schema.json.

    `problems` is empty when every run was valid. Raises EdgeInspectError when nothing can be
    measured.
    """
    started = time.monotonic()
    facts = machine_facts()
    plan, rounds = rig.plan, Rounds()
    model = rig.bare(plan.interpreters[0])
    report: Report = {
        "schema": SCHEMA,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "version": edge.__version__,
        "machine": facts,
        "setup": {
            "model": model["model"],
            "input": model["input"],
            "threads": rig.config.model.threads,
            "interpreters": list(plan.interpreters),
            "broker": rig.broker.name,
            "outbox_on_its_disk": rig.on_its_disk,
            "durability": rig.config.outbox.durability,
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "workers": list(plan.workers),
            "pictures": str(plan.pictures) if plan.pictures else "drawn",
            "notes": list(plan.notes),
        },
    }
    for section in plan.sections:
        report[section] = _MEASURE[section](rig, rounds)
    report["setup"]["sizes"] = [
        {
            "size": size,
            "width": pictures.width,
            "height": pictures.height,
            "pictures": len(pictures.jpegs),
            "jpeg_kb": pictures.jpeg_kb,
            "left_out": pictures.left_out,
        }
        for size, pictures in rig.image_sets.items()
    ]
    report["problems"] = rounds.problems
    report["seconds"] = round(time.monotonic() - started, 1)
    return report
