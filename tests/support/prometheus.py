"""Reads /metrics with the parser of Prometheus, and the queries of docs/monitoring."""

import json
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "docs" / "monitoring"


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels."""
    parser = pytest.importorskip("prometheus_client.parser", reason="run: pip install '.[web]'")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def expressions() -> list[str]:
    """All queries of the dashboard and the alerts."""
    board = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    queries += [variable["query"] for variable in board["templating"]["list"]]
    return queries + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
