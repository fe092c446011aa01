"""Packs the body of a verdict into a few bytes, and restores it exactly.

Most of a body is the same in thousands of verdicts. `Packer` cuts out the values that differ (id,
number, times, scores, latencies, part, reason); the rest is the template, which is stored once.
Numbers take a fixed width. A body that this would not restore byte for byte is kept whole.
"""

import contextlib
import json
import re
import uuid
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

WHOLE = b"\x0e"  # the template of a body that is kept whole
ID_AT, ID_BYTES = 4, 10  # where the end of the id stands in `PackedBody.numbers`
_TIME_BYTES = 6  # of the id, after `captured_at`
_HEAD = ID_AT + ID_BYTES + _TIME_BYTES  # bytes before the other numbers

# A control character cannot stand in JSON, so in a template it marks the place of a value.
_ID, _SEQ, _CAPTURED, _TIME, _COUNT, _MICRO, _MILLI, _PART, _TEXT, _PLACES = range(1, 11)
_MARK = re.compile(rb"[\x01-\x0a]")
_WIDTH = {_TIME: 4, _COUNT: 4, _MICRO: 3, _MILLI: 4}  # bytes
_SCALE = {_MICRO: 1e6, _MILLI: 1e3}
_TIMESTAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
_STRING = rb'(?:[^"\\]|\\.)*'
_VALUES = {
    _ID: rb"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    _SEQ: rb"\d{1,18}",
    _CAPTURED: _TIMESTAMP,
    _TIME: _TIMESTAMP,
    _COUNT: rb"\d{1,10}",
    _MICRO: rb"0\.\d{1,6}|1\.0|\d(?:\.\d)?e-0[56]",
    _MILLI: rb"\d{1,7}\.\d{1,3}",
    _PART: _STRING,
    _TEXT: _STRING,
    _PLACES: rb"\[[^\]]*\]",
}
# What stands before a value of each kind, and after it. The rest of a body is its template.
_AROUND: tuple[tuple[int, bytes, bytes], ...] = (
    (_ID, rb'"id":"', rb'"'),
    (_SEQ, rb'"seq":', rb',"boot_id":'),
    (_CAPTURED, rb'"captured_at":"', rb'"'),
    (_TIME, rb'"at":"', rb'"'),
    (_COUNT, rb'"(?:seq|number(?=":\d+,"transaction"))":', rb"[,}]"),
    (_MILLI, rb'"(?:capture_to_verdict|inference|to_verdict_ms)":', rb"[,}]"),
    (_MICRO, rb'":|[\[,](?=[\d.e,-]+\])', rb"[\],}]"),
    (_PART, rb'"part":"', rb'"'),
    (_TEXT, rb'"(?:reason|transaction)":"', rb'"'),
    (_PLACES, rb'"location":', rb"[,}]"),
)
_FIXED = rb'"thresholds":\{[^}]*\}|"hysteresis":[^,}]*'
_ANY = re.compile(
    b"|".join(
        [_FIXED, *(b"(?:%b)(%b)(?=%b)" % (left, _VALUES[k], right) for k, left, right in _AROUND)]
    )
)
_KINDS = (0, *(kind for kind, _, _ in _AROUND))  # by the number of the group in _ANY
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_KNOWN = 24  # templates that are tried first
_SEEN = 64


@dataclass(frozen=True, slots=True)
class PackedBody:
    """A body in parts.

    template: the body with marks in place of its values.
    seq: its number.
    captured_ms: when it was captured, ms since the epoch.
    part, texts: as in the JSON, with its escapes; None: there is none.
    numbers: checksum, id, and the other numbers.
    """

    template: bytes
    seq: int
    captured_ms: int
    part: str | None
    texts: str | None
    numbers: bytes

    @property
    def made_ms(self) -> int:
        """When its id was made, ms since the epoch."""
        after = self.numbers[ID_AT + ID_BYTES : _HEAD]
        return self.captured_ms + int.from_bytes(after, "big", signed=True)


@dataclass(frozen=True, slots=True)
class Layout:
    """A template, taken apart. There is one more piece than kinds."""

    pieces: tuple[bytes, ...]
    kinds: tuple[int, ...]

    def score(self, numbers: bytes) -> int | None:
        """The score in millionths; None without a judgement."""
        return self._number(b'"score":', _MICRO, numbers)

    def latency_us(self, numbers: bytes) -> int:
        """From capture to verdict."""
        return self._number(b'"capture_to_verdict":', _MILLI, numbers) or 0

    def _number(self, name: bytes, wanted: int, numbers: bytes) -> int | None:
        at = _HEAD
        for kind, piece in zip(self.kinds, self.pieces):
            if kind == wanted and piece.endswith(name):
                return int.from_bytes(numbers[at : at + _WIDTH[kind]], "big")
            at += _WIDTH.get(kind, 0)
        return None


@lru_cache(maxsize=256)
def layout_of(template: bytes) -> Layout:
    """The pieces and the kinds of values of a template."""
    kinds = tuple(found[0] for found in _MARK.findall(template))
    return Layout(tuple(_MARK.split(template)), kinds)


class Packer:
    """Packs bodies. Not safe between threads."""

    def __init__(self) -> None:
        self._known: list[tuple[Callable[[bytes], re.Match[bytes] | None], bytes]] = []
        self._once: dict[bytes, None] = {}  # templates that were seen once

    def pack(self, body: bytes) -> PackedBody:
        """Raises ValueError when the body is no verdict."""
        try:
            return self._pack(body)
        except (ValueError, OverflowError, KeyError):
            return keep_whole(body)

    def _pack(self, body: bytes) -> PackedBody:
        for place, (match, template) in enumerate(self._known):
            if (found := match(body)) is not None:
                if place:
                    self._known.insert(0, self._known.pop(place))
                return _packed(body, template, found.groups())
        template, values = _cut(body)
        packed = _packed(body, template, values)
        if restore(packed) != body:
            raise ValueError("is not restored exactly")
        if template in self._once:
            self._learn(template)
        else:
            self._once[template] = None
            if len(self._once) > _SEEN:
                del self._once[next(iter(self._once))]
        return packed

    def _learn(self, template: bytes) -> None:
        """The next body of this template is matched as a whole, which is much faster."""
        del self._once[template]
        layout = layout_of(template)
        pattern = re.escape(layout.pieces[0])
        for kind, piece in zip(layout.kinds, layout.pieces[1:]):
            pattern += b"(%b)%b" % (_VALUES[kind], re.escape(piece))
        self._known.insert(0, (re.compile(pattern, re.DOTALL).fullmatch, template))
        del self._known[_KNOWN:]


def keep_whole(body: bytes) -> PackedBody:
    """A body that is not cut. Raises ValueError when it is no verdict."""
    try:
        values = json.loads(body)
        captured_ms, seq = to_ms(values["captured_at"]), int(values["seq"])
        name = str(values["id"])
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"is no verdict ({error!r:.200})") from None
    head = bytes(_HEAD - ID_AT)
    with contextlib.suppress(ValueError, OverflowError):
        head = _head(name, captured_ms)
    return PackedBody(WHOLE, seq, captured_ms, None, body.decode(), _checksum(body) + head)


def restore(packed: PackedBody) -> bytes:
    """The body. Raises ValueError when it is not as it was packed: the file is damaged."""
    if packed.template == WHOLE:
        body = (packed.texts or "").encode()
    else:
        body = _join(layout_of(packed.template), packed)
    if _checksum(body) != packed.numbers[:ID_AT]:
        raise ValueError(f"verdict {packed.seq} has a wrong checksum")
    return body


def id_parts(name: str) -> tuple[int, bytes]:
    """The time of a UUIDv7, ms since the epoch, and its end. Raises ValueError for another id."""
    value = uuid.UUID(name)
    if value.version != 7:
        raise ValueError(f"{name}: is no UUIDv7")
    return int.from_bytes(value.bytes[:6], "big"), value.bytes[6:]


def to_ms(text: str) -> int:
    """RFC 3339 as ms since the epoch. Raises ValueError."""
    return (datetime.fromisoformat(text) - _EPOCH) // _MS


def _cut(body: bytes) -> tuple[bytes, list[bytes]]:
    """The template and the values of a body that no known template matches."""
    pieces: list[bytes] = []
    values: list[bytes] = []
    at = 0
    for match in _ANY.finditer(body):
        if group := match.lastindex:
            pieces += [body[at : match.start(group)], bytes((_KINDS[group],))]
            values.append(match[group])
            at = match.end(group)
    return b"".join([*pieces, body[at:]]), values


def _packed(body: bytes, template: bytes, values: Sequence[bytes]) -> PackedBody:
    """Raises ValueError, KeyError and OverflowError when the values cannot be restored exactly."""
    kinds = layout_of(template).kinds
    numbers: list[bytes] = []
    texts: list[str] = []
    single: dict[int, bytes] = {}
    captured_ms = to_ms(values[kinds.index(_CAPTURED)].decode())
    for kind, value in zip(kinds, values):
        if kind in _WIDTH:
            numbers.append(_to_bytes(kind, value, captured_ms))
        elif kind in (_TEXT, _PLACES):
            texts.append(value.decode())
        elif single.setdefault(kind, value) != value:
            raise ValueError("a value stands twice")
    part = single.get(_PART)
    head = _head(single[_ID].decode(), captured_ms)
    return PackedBody(
        template=template,
        seq=int(single[_SEQ]),
        captured_ms=captured_ms,
        part=None if part is None else part.decode(),
        texts="\n".join(texts) if texts else None,
        numbers=b"".join([_checksum(body), head, *numbers]),
    )


def _head(name: str, captured_ms: int) -> bytes:
    data = bytes.fromhex(name.replace("-", ""))
    if len(data) != 16 or data[6] >> 4 != 7:
        raise ValueError(f"{name}: is no UUIDv7")
    after = int.from_bytes(data[:6], "big") - captured_ms
    return data[6:] + after.to_bytes(_TIME_BYTES, "big", signed=True)


def _to_bytes(kind: int, value: bytes, captured_ms: int) -> bytes:
    """Raises ValueError and OverflowError when these bytes would not give the same text."""
    if kind == _TIME:
        return (to_ms(value.decode()) - captured_ms).to_bytes(4, "big", signed=True)
    if kind == _COUNT:
        number, text = int(value), value
    else:
        number = round(float(value) * _SCALE[kind])
        text = repr(number / _SCALE[kind]).encode()
    if text != value:
        raise ValueError("has more digits")
    return number.to_bytes(_WIDTH[kind], "big")


def _join(layout: Layout, packed: PackedBody) -> bytes:
    numbers, at = packed.numbers, _HEAD
    texts = iter(() if packed.texts is None else packed.texts.split("\n"))
    body = [layout.pieces[0]]
    for kind, piece in zip(layout.kinds, layout.pieces[1:]):
        if kind in _WIDTH:
            value = _to_text(kind, numbers[at : at + _WIDTH[kind]], packed.captured_ms)
            at += _WIDTH[kind]
        elif kind == _SEQ:
            value = str(packed.seq)
        elif kind == _PART:
            value = packed.part or ""
        elif kind == _CAPTURED:
            value = _to_time(packed.captured_ms)
        elif kind == _ID:
            value = _to_id(packed)
        else:
            value = next(texts, "")
        body += [value.encode(), piece]
    return b"".join(body)


def _to_text(kind: int, number: bytes, captured_ms: int) -> str:
    if kind == _TIME:
        return _to_time(captured_ms + int.from_bytes(number, "big", signed=True))
    value = int.from_bytes(number, "big")
    return repr(value / _SCALE[kind]) if kind in _SCALE else str(value)


def _to_time(ms: int) -> str:
    try:
        return f"{(_EPOCH + ms * _MS).isoformat(timespec='milliseconds')[:-6]}Z"
    except OverflowError as error:
        raise ValueError(str(error)) from None


def _to_id(packed: PackedBody) -> str:
    made_ms = packed.made_ms & (2**48 - 1)  # a damaged row may have any time
    text = f"{made_ms:012x}{packed.numbers[ID_AT : ID_AT + ID_BYTES].hex()}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _checksum(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "big")
