"""Breakages of trainer, converter and edge_bench, and the tests that must notice them."""

from scripts.breakages.breakage import Breakage
from scripts.code_edit import Edit

WORKSTATION = [
    Breakage(
        "an escape is counted as caught",
        Edit(
            "trainer.evaluation.metrics:evaluate",
            "confusion[name]['pass']",
            "confusion[name]['fail']",
        ),
        "tests/trainer/evaluation/test_evaluation.py",
    ),
    Breakage(
        "the gate lets flips through",
        Edit(
            "converter.selection.quality_gate:objections",
            "score_diff.flip_share > limits.max_flips",
            "False",
        ),
        "tests/converter",
    ),
    Breakage(
        "bench: a verdict that was not acknowledged is not noticed",
        Edit(
            "edge_bench.interleave:refuse_losses",
            "stored != acked or waiting",
            "False",
        ),
        "tests/edge_bench/test_interleave.py",
    ),
    Breakage(
        "bench: frames that were not judged are not noticed",
        Edit(
            "edge_bench.interleave:refuse_faults",
            "missing > _MAX_PENDING * len(last.body['cameras'])",
            "False",
        ),
        "tests/edge_bench/test_interleave.py",
    ),
    Breakage(
        "bench: the turns of other candidates count too",
        Edit(
            "edge_bench.interleave:rates",
            "min(end, last.measured) - max(started, first.measured)",
            "last.measured - first.measured",
        ),
        "tests/edge_bench/test_interleave.py",
    ),
    Breakage(
        "bench: a run with an error verdict is a measurement",
        Edit(
            "edge_bench.interleave:refuse_faults",
            "last.errors",
            "False",
        ),
        "tests/edge_bench/test_interleave.py",
    ),
    Breakage(
        "bench: CPU of processes that have ended is forgotten",
        Edit(
            "edge_bench.process_tree:ProcessTree.cpu_s",
            "(int(n) for n in fields[11:15])",
            "(int(n) for n in fields[11:13])",
        ),
        "tests/edge_bench/test_process_tree.py",
    ),
    Breakage(
        "bench: grandchildren are not counted",
        Edit(
            "edge_bench.process_tree:ProcessTree.pids",
            "waiting += sorted(children[pid], reverse=True)",
            "found += children[pid] if pid == self.pid else []",
        ),
        "tests/edge_bench/test_process_tree.py",
    ),
    Breakage(
        "bench: a verdict is timed from the newest picture",
        Edit(
            "edge_bench.latency:match_pictures",
            "bisect.bisect(times, captured + _MAX_EARLY_S)",
            "len(times)",
        ),
        "tests/edge_bench/test_latency.py",
    ),
    Breakage(
        "bench: MQTT 5 properties are taken for the body",
        Edit(
            "edge_bench.packets:PublishParser._publish",
            "self._version >= _V5",
            "False",
        ),
        "tests/edge_bench/test_packets.py",
    ),
]
