"""The requests `history` and `label` through a real mosquitto, while the daemon judges."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.plant import BASE, Plant, draw_many
from tests.support.schemas import validator
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon
from tests.system.test_reload import edit, reload

pytestmark = pytest.mark.broker


def ask(plant: Plant, name: str, transaction: str, **fields: Any) -> dict[str, Any]:
    """Sends a request; returns its answer, checked against the schema."""
    body = json.dumps({"transaction": transaction, **fields}).encode()
    plant.publish(f"{BASE}/request/{name}", body)

    def answers() -> list[dict[str, Any]]:
        said = plant.bodies(f"response/{name}")
        return [one for one in said if one["transaction"] == transaction]

    wait_until(answers, f"an answer to {transaction}")
    validator("response").validate(answers()[0])
    return answers()[0]


def test_the_plant_asks_and_labels(make_daemon: MakeDaemon, plant: Plant, tmp_path: Path) -> None:
    """`history` answers with the bodies that the plant has had; `label` is off until config.yaml
    allows it, which a reload applies; bad input is answered with a sentence."""
    draw_many(tmp_path / "parts", 60)
    daemon = make_daemon(f"replay:{tmp_path / 'parts'}", rate=20, loop=100)
    daemon.start()
    plant.wait_for_results(60)
    numbers = count()
    wait_until(
        lambda: ask(plant, "history", f"h{next(numbers)}", verdict="fail")["data"]["verdicts"],
        "a remembered verdict",
        poll_s=0.5,
    )
    said = ask(plant, "history", "a", verdict="fail", limit=5)
    sent = plant.results()
    assert said["status"] == "ok"
    for body in said["data"]["verdicts"]:
        assert body.pop("truth") is None
        assert sent[body["seq"]] == body
    name = next(iter(sent.values()))["id"]
    refused = ask(plant, "label", "b", ids=[name], label="dent", by="mes")
    assert refused["error"] == (
        "request/label is not allowed on this box: name label in mqtt.allow_requests"
    )
    edit(daemon, mqtt={"allow_requests": ["reload", "label"]})
    assert reload(plant, "r")["status"] == "ok"
    plant.wait_for_state("stopped", "online")
    wrong = ask(plant, "label", "c", ids=["00000000"], label="dent", by="mes")
    assert wrong["error"].startswith("00000000: no verdict with this id is remembered")
    assert ask(plant, "history", "d", verdict="bad")["error"] == (
        "verdict: must be one of pass, review, fail, error (got 'bad')"
    )
    wait_until(lambda: _labelled(plant, name), "the first verdict is remembered", poll_s=0.5)
    truth = ask(plant, "history", "e", truth="dent")["data"]["verdicts"]
    assert [(body["id"], body["truth"]) for body in truth] == [(name, "dent")]
    edit(daemon, mqtt={"allow_requests": []})
    assert reload(plant, "s")["status"] == "ok"
    plant.wait_for_state("stopped", "online")
    assert "mqtt.allow_requests" in reload(plant, "t")["error"]
    assert daemon.stop() == 0


def _labelled(plant: Plant, name: str) -> bool:
    """The history has a verdict up to 5 s after it was sent."""
    transaction = f"l{len(plant.bodies('response/label'))}"
    return bool(
        ask(plant, "label", transaction, ids=[name], label="dent", by="mes")["status"] == "ok"
    )
