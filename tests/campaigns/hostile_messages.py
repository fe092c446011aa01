"""Malformed messages for `request/…`: bad JSON, wrong types, huge and deep bodies, unknown names,
retained messages, invalid response topics.
"""

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
class HostileMessage:
    """One message. `name` is the topic after `request/`."""

    name: str
    body: bytes
    retain: bool = False
    properties: Properties | None = None


def _text(rng: random.Random, max_length: int) -> str:
    return "".join(rng.choices(string.printable + "äß한\x00\u202e", k=rng.randint(0, max_length)))


def _anything(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.randrange(8 if depth < 3 else 6)
    if kind < 6:
        huge = 10 ** rng.randint(1, 400)
        return (None, True, huge, -1.5e308, _text(rng, 200), "")[kind]
    if kind == 6:
        return [_anything(rng, depth + 1) for _ in range(rng.randint(0, 5))]
    return {_text(rng, 12): _anything(rng, depth + 1) for _ in range(rng.randint(0, 5))}


def _fields(rng: random.Random) -> dict[str, Any]:
    """A request that is almost valid."""
    body: dict[str, Any] = {"transaction": f"t{rng.getrandbits(40)}"}
    keys = ("camera", "part", "id", "transaction", "__class__", "path", "config", "constructor")
    values = ("top", "cam1", "../../etc/passwd", "$(reboot)", "'; DROP TABLE outbox; --", "%n%s")
    for _ in range(rng.randint(1, 3)):
        wrong = rng.random() < 0.5
        body[rng.choice(keys)] = _anything(rng) if wrong else rng.choice(values)
    return body


def _mutated(rng: random.Random) -> bytes:
    body = bytearray(json.dumps({"transaction": "1", "camera": "top", "part": "P-1"}).encode())
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(body))
        cut = rng.randrange(3)
        if cut == 0:
            body[at] = rng.randrange(256)
        elif cut == 1:
            del body[at:]
        else:
            body[at:at] = rng.randbytes(3)
        if not body:
            break
    return bytes(body)


def _invalid_response_topic(rng: random.Random) -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
    topics = ("$SYS/broker", f"{BASE}/status", f"{BASE}/result", "a/" * 100, f"{BASE}/response/x")
    properties.ResponseTopic = rng.choice(topics)
    properties.CorrelationData = rng.randbytes(rng.choice((0, 16, 4000)))
    return properties


_BODIES: dict[str, Callable[[random.Random], bytes]] = {
    "nothing": lambda _: b"",
    "binary": lambda rng: rng.randbytes(rng.randint(1, 300)),
    "not JSON": lambda rng: _text(rng, 300).encode(),
    "JSON, no object": lambda rng: json.dumps(rng.choice([1, [], "x", None, [{}]])).encode(),
    "cut or changed JSON": _mutated,
    "nested deep": lambda rng: rng.choice((b"[", b'{"a":')) * rng.randint(500, 8000),
    "huge": lambda rng: b'{"transaction":"' + b"x" * rng.choice((20_000, 60_000)) + b'"}',
    "numbers past all bounds": lambda _: b'{"transaction":"1","part":' + b"9" * 6000 + b"}",
    "NaN and Infinity": lambda _: b'{"transaction":"1","part":NaN,"camera":-Infinity}',
    "one key twice": lambda _: b'{"transaction":"1","transaction":[]}',
    "lone surrogates": lambda _: rb'{"transaction":"\ud800","camera":"\udfff"}',
    "wrong transaction": lambda rng: json.dumps({"transaction": _anything(rng)}).encode(),
    "nearly right": lambda rng: json.dumps(_fields(rng)).encode(),
}


def hostile_message(rng: random.Random) -> tuple[str, HostileMessage]:
    """One hostile message and its kind."""
    kind = rng.choice([*_BODIES, "unknown name", "retained", "strange answer topic"])
    body = _BODIES.get(kind, _BODIES["nearly right"])(rng)
    name = rng.choice(_NAMES)
    if kind == "unknown name":
        name = rng.choice(("nothing", "TRIGGER", "x" * 300, "한글", "trigger ", "-"))
    if kind == "strange answer topic":
        return kind, HostileMessage(name, body, properties=_invalid_response_topic(rng))
    return kind, HostileMessage(name, body, kind == "retained" and bool(body))


class Attacker:
    """Publishes malformed messages with QoS 1 at a rate."""

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

    def send(self, count: int, per_s: float, seed: int) -> float:
        """Sends `count` messages at `per_s` per second. Returns the seconds."""
        rng, start = random.Random(seed), time.monotonic()
        info = None
        for number in range(count):
            kind, one = hostile_message(rng)
            self.kinds[kind] += 1
            if info is not None and number % 100 == 0:
                info.wait_for_publish(_WAIT_S)  # notices a disconnect by the broker
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
        """Disconnects."""
        self._client.disconnect()
        self._client.loop_stop()
