"""The Grafana dashboard and the Prometheus alerts name what /metrics has."""

import json
import re

from edge.monitoring.faults import KINDS
from edge.mqtt.snapshots import SKIPS
from tests.edge.web.conftest import Serve
from tests.support.healthy_components import HealthyComponents
from tests.support.prometheus import FOLDER, expressions, samples

_METRIC = re.compile(r"\bedge_inspect_\w+")
_CHOICE = re.compile(r"(\w+)(!?=)\"([^\"$]*)\"")


def test_every_metric_that_is_asked_for_exists(serve: Serve, house: HealthyComponents) -> None:
    """Every metric of a panel or alert exists."""
    house.reader.state = "lost"
    house.reader.distrusted = {"lost": 1}
    for stage in ("inference", "capture_to_verdict"):
        house.latencies.add({stage: 4.0})
    there = samples(serve().ask("GET", "/metrics")[2].decode())
    names = {name for text in expressions() for name in _METRIC.findall(text)}
    assert len(names) > 15
    assert names <= {name for name, _ in there}


def test_every_label_that_is_asked_for_has_such_a_value(
    serve: Serve, house: HealthyComponents
) -> None:
    """A selector with a word that no sample ever carries would never find anything."""
    house.latencies.add({"capture_to_verdict": 4.0})
    there = samples(serve().ask("GET", "/metrics")[2].decode())
    known = {pair for _, labels in there for pair in labels}
    known |= {("kind", kind) for kind in KINDS} | {("why", why) for why in SKIPS}
    known |= {("severity", severity) for severity in KINDS.values()}
    known.add(("job", "edge-inspect"))
    chosen = {(key, word) for text in expressions() for key, _, word in _CHOICE.findall(text)}
    assert chosen
    assert chosen <= known


def test_panels_do_not_lie_on_each_other() -> None:
    """Each panel has its own id and place on Grafana's 24 columns."""
    panels = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
