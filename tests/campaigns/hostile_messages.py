"""What may arrive on `request/…` and should not: bad JSON, wrong types, huge and deep bodies,
unknown names, retained messages, strange answer topics."""

import json
import random
import string
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.support.plant import BASE
from tests.support.waiting import wait_until

_WAIT_S = 120.0
_NAMES = ("trigger", "snapshot", "reload")


@dataclass(frozen=True)
class Shot:
    """One message. `name` is what follows `request/`."""

    name: str
    body: bytes
    retain: bool = False
    properties: Properties | None = None


def _text(chance: random.Random, most: int) -> str:
    return "".join(chance.choices(string.printable + "äß한\x00\u202e", k=chance.randint(0, most)))


def _anything(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(8 if depth < 3 else 6)
    if kind < 6:
        huge = 10 ** chance.randint(1, 400)
        return (None, True, huge, -1.5e308, _text(chance, 200), "")[kind]
    if kind == 6:
        return [_anything(chance, depth + 1) for _ in range(chance.randint(0, 5))]
    return {_text(chance, 12): _anything(chance, depth + 1) for _ in range(chance.randint(0, 5))}


def _fields(chance: random.Random) -> dict[str, Any]:
    """A request that is nearly right."""
    body: dict[str, Any] = {"transaction": f"t{chance.getrandbits(40)}"}
    keys = ("camera", "part", "id", "transaction", "__class__", "path", "config", "constructor")
    values = ("top", "cam1", "../../etc/passwd", "$(reboot)", "'; DROP TABLE outbox; --", "%n%s")
    for _ in range(chance.randint(1, 3)):
        wrong = chance.random() < 0.5
        body[chance.choice(keys)] = _anything(chance) if wrong else chance.choice(values)
    return body


def _mutated(chance: random.Random) -> bytes:
    body = bytearray(json.dumps({"transaction": "1", "camera": "top", "part": "P-1"}).encode())
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body))
        cut = chance.randrange(3)
        if cut == 0:
            body[at] = chance.randrange(256)
        elif cut == 1:
            del body[at:]
        else:
            body[at:at] = chance.randbytes(3)
        if not body:
            break
    return bytes(body)


def _strange_answer_topic(chance: random.Random) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
    topics = ("$SYS/broker", f"{BASE}/status", f"{BASE}/result", "a/" * 100, f"{BASE}/response/x")
    properties.ResponseTopic = chance.choice(topics)
    properties.CorrelationData = chance.randbytes(chance.choice((0, 16, 4000)))
    return properties


_BODIES: dict[str, Callable[[random.Random], bytes]] = {
    "nothing": lambda _: b"",
    "binary": lambda chance: chance.randbytes(chance.randint(1, 300)),
    "not JSON": lambda chance: _text(chance, 300).encode(),
    "JSON, no object": lambda chance: json.dumps(chance.choice([1, [], "x", None, [{}]])).encode(),
    "cut or changed JSON": _mutated,
    "nested deep": lambda chance: chance.choice((b"[", b'{"a":')) * chance.randint(500, 8000),
    "huge": lambda chance: b'{"transaction":"' + b"x" * chance.choice((20_000, 60_000)) + b'"}',
    "numbers past all bounds": lambda _: b'{"transaction":"1","part":' + b"9" * 6000 + b"}",
    "NaN and Infinity": lambda _: b'{"transaction":"1","part":NaN,"camera":-Infinity}',
    "one key twice": lambda _: b'{"transaction":"1","transaction":[]}',
    "lone surrogates": lambda _: rb'{"transaction":"\ud800","camera":"\udfff"}',
    "wrong transaction": lambda chance: json.dumps({"transaction": _anything(chance)}).encode(),
    "nearly right": lambda chance: json.dumps(_fields(chance)).encode(),
}


def shot(chance: random.Random) -> tuple[str, Shot]:
    """One hostile message and its kind."""
    kind = chance.choice([*_BODIES, "unknown name", "retained", "strange answer topic"])
    body = _BODIES.get(kind, _BODIES["nearly right"])(chance)
    name = chance.choice(_NAMES)
    if kind == "unknown name":
        name = chance.choice(("nothing", "TRIGGER", "x" * 300, "한글", "trigger ", "-"))
    if kind == "strange answer topic":
        return kind, Shot(name, body, properties=_strange_answer_topic(chance))
    return kind, Shot(name, body, kind == "retained" and bool(body))


class Attacker:
    """Publishes, QoS 1, at a pace."""

    def __init__(self, port: int) -> None:
        self.kinds: Counter[str] = Counter()
        self.sent = 0
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="attacker", protocol=paho.MQTTv5
        )
        self._client.max_inflight_messages_set(1000)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        wait_until(self._client.is_connected, "the attacker's connection")

    def fire(self, count: int, per_s: float, seed: int) -> float:
        """`count` messages at `per_s`; the seconds that it took."""
        chance, start = random.Random(seed), time.monotonic()
        info = None
        for number in range(count):
            kind, one = shot(chance)
            self.kinds[kind] += 1
            if info is not None and number % 100 == 0:
                info.wait_for_publish(_WAIT_S)  # a broker that throws us out shall be seen here
            info = self._client.publish(
                f"{BASE}/request/{one.name}", one.body, 1, one.retain, one.properties
            )
            self.sent += 1
            early = start + number / per_s - time.monotonic()
            if early > 0:
                time.sleep(early)
        assert info is not None
        info.wait_for_publish(_WAIT_S)
        return time.monotonic() - start

    def close(self) -> None:
        """Leaves."""
        self._client.disconnect()
        self._client.loop_stop()
