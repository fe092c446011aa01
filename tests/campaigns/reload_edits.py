"""Random valid and invalid edits of config.yaml while the daemon judges.

It counts lost verdicts, verdicts that mix two configurations, and mistakes without a line number.

    python -m tests.campaigns.reload_edits --count 500 --seed 7
"""

import argparse
import json
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import psutil
import yaml

from tests.support.models import MODELS
from tests.support.mosquitto import Mosquitto
from tests.support.plant import BASE, DEADLINE_S, Daemon, Plant, draw_many
from tests.support.waiting import wait_until

Values = dict[str, Any]
Edit = tuple[str, Callable[[random.Random, Values], None]]


def _camera(rng: random.Random, values: Values) -> Values:
    found: Values = rng.choice(values["cameras"][1:])
    return found


def _thresholds(rng: random.Random, values: Values) -> None:
    low, high = sorted(round(rng.uniform(0.05, 0.95), 3) for _ in range(2))
    values["decision"].update(review_from=low, reject_at=high)


def _model(rng: random.Random, values: Values) -> None:
    folder = Path(values["model"]["path"]).parent
    values["model"]["path"] = str(folder / rng.choice(["a.tflite", "b.tflite"]))


def _rate(rng: random.Random, values: Values) -> None:
    _camera(rng, values)["rate"] = rng.choice([50, 100, 200])


def _add_or_remove_camera(_chance: random.Random, values: Values) -> None:
    cameras = values["cameras"]
    if len(cameras) > 2:
        cameras.pop()
    else:
        cameras.append({**deepcopy(cameras[1]), "id": "third"})


def _view(rng: random.Random, values: Values) -> None:
    _camera(rng, values)["view"] = {"rotate": rng.choice([0, 90, 180, 270])}


def _trigger(rng: random.Random, values: Values) -> None:
    values["cameras"][0]["trigger"] = rng.choice(
        [
            {"kind": "interval", "every_s": 0.1, "frames": rng.choice([2, 3]), "rule": "mean"},
            {"kind": "continuous"},
        ]
    )


def _archive(rng: random.Random, values: Values) -> None:
    values["archive"]["enabled"] = rng.random() < 0.5


def _broker(rng: random.Random, values: Values) -> None:
    values["mqtt"]["keepalive_s"] = rng.randint(5, 60)


def _log(rng: random.Random, values: Values) -> None:
    values["log"] = {"level": rng.choice(["info", "warning"])}


GOOD: tuple[Edit, ...] = (
    ("thresholds", _thresholds),
    ("model", _model),
    ("rate of a camera", _rate),
    ("a camera comes or goes", _add_or_remove_camera),
    ("view of a camera", _view),
    ("trigger", _trigger),
    ("archive", _archive),
    ("broker", _broker),
    ("log level", _log),
)

# the mistake, the text to replace, and the wrong text, whose line the error must name
BAD: tuple[tuple[str, str, str], ...] = (
    ("unknown key", "decision:", "decision:\n  reject_att: 0.5"),
    ("out of range", "  deadline_ms:", "  hysteresis: 7\n  deadline_ms:"),
    ("not a number", "  deadline_ms: 60000", '  deadline_ms: "soon"'),
    ("broken YAML", "mqtt:", "mqtt: [:"),
    ("no such source", "source: 'test:'", "source: 'tests:'"),
    ("same camera twice", "id: side", "id: top"),
    ("no such model", "a.tflite", "none.tflite"),
    ("no such model", "b.tflite", "none.tflite"),
    ("broken model", "a.tflite", "broken.tflite"),
    ("no such file", "log:", "web:\n  token_file: /none/such\nlog:"),
)


def _first(folder: Path, port: int) -> Values:
    replay = {"source": f"replay:{folder / 'parts'}", "rate": 100, "loop": 100_000}
    return {
        "station": "line1",
        "model": {"path": str(folder / "a.tflite"), "labels": ["ok", "red"]},
        "cameras": [
            {"id": "top", "source": "test:", "width": 64, "height": 48, "fps": 50},
            {"id": "side", **replay},
        ],
        "decision": {"deadline_ms": 60000, "reject_at": 0.5, "review_from": 0.4},
        "mqtt": {"port": port},
        "archive": {"enabled": False, "path": str(folder / "kept"), "keep": ["fail"]},
        "health": {"interval_s": 0.5},
        "log": {"level": "info"},
    }


class Session:
    """A daemon under load, with all its messages."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        draw_many(folder / "parts", 40)
        shutil.copy(MODELS / "redness.tflite", folder / "a.tflite")
        shutil.copy(MODELS / "plain.tflite", folder / "b.tflite")
        (folder / "broken.tflite").write_bytes(b"no model")
        # with persistence, the disk of the broker would be the bottleneck
        self.broker = Mosquitto(folder / "broker", "allow_anonymous true", "persistence false")
        self.broker.start()
        self.values = _first(folder, self.broker.port)
        self.daemon = Daemon(folder, self.values)
        self.values = yaml.safe_load(self.daemon.config.read_text(encoding="utf-8"))
        self.plant = Plant(self.broker.port)
        self.expected_configs: dict[str, Values] = {}
        self.config_order: list[str] = []
        self.reload_ms: list[float] = []
        self.finished_with_old_config = 0
        self.daemon.start()
        self.plant.wait_for_results(5)
        first = self.plant.bodies("info")[-1]["config"]
        self.expected_configs[first] = deepcopy(self.values)
        self.config_order.append(first)

    def reload(self, number: int) -> Values:
        """Requests one reload. Returns the answer."""
        started = time.monotonic()
        self.plant.publish(
            f"{BASE}/request/reload", json.dumps({"transaction": str(number)}).encode()
        )
        found: list[Values] = []

        def answered() -> bool:
            found[:] = [
                a for a in self.plant.bodies("response/reload") if a["transaction"] == str(number)
            ]
            return bool(found)

        wait_until(answered, f"an answer to reload {number}", DEADLINE_S)
        self.reload_ms.append((time.monotonic() - started) * 1000)
        return found[0]

    def good(self, number: int) -> tuple[str, str]:
        """Makes one valid edit. Returns its name and the problem of the answer, or ""."""
        name, edit = self.rng.choice(GOOD)
        edit(self.rng, self.values)
        self._write(yaml.safe_dump(self.values))
        answer = self.reload(number)
        if answer["status"] != "ok":
            return name, f"refused: {answer['error']}"
        config = answer["data"]["config"]
        self.expected_configs[config] = deepcopy(self.values)
        self.config_order.append(config)
        return name, ""

    def bad(self, number: int) -> tuple[str, str]:
        """Makes one invalid edit. Returns its name and the problem of the answer, or ""."""
        text = yaml.safe_dump(self.values)
        fitting = [bad for bad in BAD if bad[1] in text]
        name, old, new = self.rng.choice(fitting)
        broken = text.replace(old, new, 1)
        self._write(broken)
        changed = [
            n
            for n, (a, b) in enumerate(
                zip([*text.splitlines(), *[""] * 3], broken.splitlines()), start=1
            )
            if a != b
        ]
        answer = self.reload(number)
        self._write(text)
        if answer["status"] == "ok":
            return name, "was accepted"
        lines = [f"config.yaml:{n}:" for n in range(changed[0], changed[0] + 2)]
        if not any(line in answer["error"] for line in lines):
            return name, f"no line {changed[0]} in: {answer['error']}"
        return name, ""

    def _write(self, text: str) -> None:
        part = self.daemon.config.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.rename(self.daemon.config)

    def mixtures(self, results: dict[int, Values]) -> list[str]:
        """Verdicts that mix configurations or come from an earlier one."""
        found = []
        position = 0
        for seq in sorted(results):
            body = results[seq]
            expected_configs = self.expected_configs.get(body["config"])
            if expected_configs is None:
                found.append(f"{seq}: of no configuration ({body['config']})")
                continue
            found += [f"{seq}: {difference}" for difference in _differences(body, expected_configs)]
            if (
                len(body["rule"]["scores"]) > 1
                and body["config"] in self.config_order[position - 1 : position]
            ):
                self.finished_with_old_config += (
                    1  # a part of several frames keeps its configuration
                )
            elif body["config"] in self.config_order[position:]:
                position = self.config_order.index(body["config"], position)
            else:
                found.append(f"{seq}: of an earlier configuration ({body['config']})")
        return found


def _differences(body: Values, expected_configs: Values) -> list[str]:
    decision = expected_configs["decision"]
    at = {key: decision[key] for key in ("reject_at", "review_from")}
    wrong = []
    if body["thresholds"] != at:
        wrong.append(f"thresholds {body['thresholds']}, not {at}")
    if body["camera"] not in [camera["id"] for camera in expected_configs["cameras"]]:
        wrong.append(f"of camera {body['camera']}, which does not exist")
    if body["score"] is not None:
        expected = (
            "fail"
            if body["score"] >= at["reject_at"]
            else "review"
            if body["score"] >= at["review_from"]
            else "pass"
        )
        if body["verdict"] != expected:
            wrong.append(f"{body['verdict']} with {body['score']} at {at}")
    return wrong


def main() -> int:
    """Prints the table. Exit code 1 for a lost or mixed verdict, or a mistake without its line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        session = Session(Path(folder), arguments.seed)
        try:
            return _run(session, arguments.count)
        finally:
            session.daemon.close()
            session.plant.close()
            session.broker.close()


def _run(session: Session, count: int) -> int:
    edit_counts: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    assert session.daemon.process is not None
    process = psutil.Process(session.daemon.process.pid)
    memory = process.memory_info().rss
    for number in range(count):
        kind, edit = session.rng.choice([("good", session.good), ("bad", session.bad)])
        time.sleep(session.rng.uniform(0.0, 0.3))  # a random time
        name, problem = edit(number)
        edit_counts[kind, name] += 1
        if problem:
            wrong.append(f"edit {number}, {name}: {problem}")
    grown = (process.memory_info().rss - memory) / 2**20
    threads = process.num_threads()
    session.daemon.process.send_signal(signal.SIGTERM)
    code = session.daemon.exit_code()
    stored = session.daemon.last_seq()
    results = session.plant.wait_for_results(stored)
    missing = set(range(1, stored + 1)) - set(results)
    mixed = session.mixtures(results)
    sys.stdout.write("edit | times\n---|---\n")
    for (kind, name), times in sorted(edit_counts.items()):
        sys.stdout.write(f"{kind}: {name} | {times}\n")
    errors = Counter(r["reason"] for r in results.values() if r["verdict"] == "error")
    sys.stdout.write(
        f"\n{stored} verdicts, {len(missing)} missing, {len(mixed)} mixed, "
        f"{len(wrong)} edits with a wrong answer, exit code {code}\n"
        f"memory +{grown:.1f} MB, {threads} threads at the end; reload p50 "
        f"{statistics.median(session.reload_ms):.0f} ms, longest {max(session.reload_ms):.0f} ms\n"
    )
    sys.stdout.write(
        f"{session.finished_with_old_config} parts of several frames kept their initial "
        "configuration\n"
    )
    for reason, times in errors.most_common(5):
        sys.stdout.write(f"error verdicts: {times} × {reason}\n")
    for line in [*wrong, *mixed][:20]:
        sys.stdout.write(f"WRONG {line}\n")
    return int(bool(missing or mixed or wrong or code))


if __name__ == "__main__":
    sys.exit(main())
