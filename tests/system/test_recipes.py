"""Recipes, end to end: a real broker, a real daemon, and a PLC that changes products."""

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.core.unix_socket import connect
from edge.storage import read_journal, verify_journal
from tests.support.plant import BASE, Daemon, Plant
from tests.support.schemas import validator
from tests.support.waiting import wait_until
from tests.system.conftest import MakeDaemon

pytestmark = pytest.mark.broker
TRIGGER = {"kind": "request", "deadline_ms": 30_000, "queue": 50}


@pytest.fixture
def two_products(make_daemon: MakeDaemon, redness_model: Path, tmp_path: Path) -> Daemon:
    """A box with the recipes 1 and 2, of which 2 rejects nearly everything. It keeps failures."""
    archive = {"enabled": True, "path": str(tmp_path / "kept"), "keep": ["fail"]}
    recipes = [
        {"number": 1, "name": "cap", "decision": {"reject_at": 1.0, "review_from": 1.0}},
        {
            "number": 2,
            "name": "lid",
            "model": str(redness_model),
            "decision": {"reject_at": 0.0, "review_from": 0.0},
            "cameras": {"top": {"view": {"rotate": 180}}},
        },
    ]
    return make_daemon(
        "test:",
        mqtt={"allow_requests": ["recipe"]},
        fps=50,
        width=64,
        height=48,
        trigger=TRIGGER,
        sections={"recipes": recipes, "archive": archive},
    )


def ask(plant: Plant, name: str, **body: Any) -> dict[str, Any]:
    """Sends a request and waits for its answer, which is valid."""
    before = len(plant.bodies(f"response/{name}"))
    plant.publish(f"{BASE}/request/{name}", json.dumps({"transaction": "t", **body}).encode())
    wait_until(lambda: len(plant.bodies(f"response/{name}")) > before, f"answer to {name}")
    answer = plant.bodies(f"response/{name}")[-1]
    validator("response").validate(answer)
    return answer


def choose_on_the_box(daemon: Daemon, body: dict[str, Any]) -> dict[str, Any]:
    """The answer of POST /api/v1/recipe on the local socket."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = connect(daemon.outbox.with_name("api.sock"), 20)
    connection.request("POST", "/api/v1/recipe", json.dumps(body))
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def remembered(daemon: Daemon, recipe: str) -> list[str]:
    """The parts that `history --recipe` prints."""
    command = [sys.executable, "-m", "edge", "history", "-c", str(daemon.config)]
    done = subprocess.run(
        [*command, "--recipe", recipe, "--json"], check=True, capture_output=True, text=True
    )
    return [json.loads(line)["part"] for line in done.stdout.splitlines()]


def test_products_change_between_parts(two_products: Daemon, plant: Plant) -> None:
    """None chosen: not healthy, and `error`. Then each part has the recipe that it asked for, the
    choice survives `kill -9`, and each change is an event and a line of the journal."""
    two_products.start()
    plant.wait_for_state("online")
    wait_until(lambda: plant.bodies("health") != [], "health")
    assert plant.bodies("health")[-1]["healthy"] is False
    validator("info").validate(plant.bodies("info")[-1])
    assert plant.bodies("info")[-1]["recipes"] == [
        {"number": 1, "name": "cap", "fault": None},
        {"number": 2, "name": "lid", "fault": None},
    ]
    refused = ask(plant, "trigger", camera="top", part="P0")
    assert "no recipe is chosen" in refused["error"]
    chosen = ask(plant, "recipe", camera="top", recipe=1, by="anna")
    assert chosen["data"]["recipe"] == {"number": 1, "name": "cap"}
    ask(plant, "trigger", transaction="a", part="P1")
    ask(plant, "trigger", transaction="b", part="P2", recipe=2)
    ask(plant, "trigger", transaction="c", part="P3")
    unknown = ask(plant, "trigger", transaction="d", part="P4", recipe=9)
    assert "recipe 9 is not in config.yaml (recipes: 1, 2)" in unknown["error"]
    results = {one["part"]: one for one in plant.wait_for_results(5).values()}
    assert {part: (one["verdict"], one["recipe"]) for part, one in results.items()} == {
        "P0": ("error", None),
        "P1": ("pass", {"number": 1, "name": "cap"}),
        "P2": ("fail", {"number": 2, "name": "lid"}),
        "P3": ("fail", {"number": 2, "name": "lid"}),
        "P4": ("error", {"number": 9, "name": None}),
    }
    ask(plant, "recipe", camera="top", recipe=2)
    two_products.kill()
    two_products.start()
    plant.wait_for_state("online", "offline", "online")
    ask(plant, "trigger", transaction="e", part="P5")
    results = {one["part"]: one for one in plant.wait_for_results(6).values()}
    assert results["P5"]["recipe"] == {"number": 2, "name": "lid"}
    assert two_products.stop() == 0
    changes = [(one["before"], one["after"]) for one in plant.bodies("event")]
    numbers = [(b and b["number"], a["number"]) for b, a in changes]
    assert numbers == [(None, 1), (1, 2), (2, 9), (9, 2)]
    for body in plant.bodies("event"):
        validator("event").validate(body)
    journal = two_products.outbox.with_name("journal.jsonl")
    assert next(one["by"] for one in read_journal(journal)) == "mqtt: anna"
    assert (verify_journal(journal).entries, verify_journal(journal).problem) == (4, None)


def test_records_name_the_recipe(two_products: Daemon, plant: Plant, tmp_path: Path) -> None:
    """The local socket chooses a recipe; `history --recipe` and the kept picture's record have it,
    and the journal has the user's name."""
    two_products.start()
    plant.wait_for_state("online")
    ask(plant, "recipe", camera="top", recipe=1)
    ask(plant, "trigger", part="P1")
    chosen = choose_on_the_box(two_products, {"recipe": 2, "by": "anna"})
    assert chosen["before"] == {"number": 1, "name": "cap"}
    ask(plant, "trigger", part="P2")
    plant.wait_for_results(2)
    wait_until(lambda: remembered(two_products, "1") == ["P1"], "recipe 1 in the history")
    wait_until(lambda: remembered(two_products, "2") == ["P2"], "recipe 2 in the history")
    assert two_products.stop() == 0
    records = [json.loads(path.read_text("utf-8")) for path in tmp_path.glob("kept/**/*.json")]
    assert [one["result"]["recipe"] for one in records] == [{"number": 2, "name": "lid"}]
    journal = read_journal(two_products.outbox.with_name("journal.jsonl"))
    assert [one["by"] for one in journal] == ["mqtt: t", "local socket: anna"]


def test_recipes_are_off_unless_config_allows_them(make_daemon: MakeDaemon, plant: Plant) -> None:
    """By default the broker's clients may not change the recipe."""
    daemon = make_daemon("test:", trigger=TRIGGER)
    daemon.start()
    plant.wait_for_state("online")
    for name in ("recipe", "trigger"):
        answer = ask(plant, name, camera="top", recipe=1)
        assert "name recipe in mqtt.allow_requests" in answer["error"]
