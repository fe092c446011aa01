"""Checks the offsets in a .tflite file.

tflite-runtime follows every offset unchecked: a truncated copy crashes the process, and the user
gets no message.
"""

import struct
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class _Table:
    """The fields of a table in TFLite's schema that hold offsets, by field number."""

    vectors: dict[int, int] = field(default_factory=dict)  # vectors and strings: bytes per element
    tables: dict[int, "_Table"] = field(default_factory=dict)
    lists: dict[int, "_Table"] = field(default_factory=dict)  # vectors of tables


_QUANTISATION = _Table(vectors={0: 4, 1: 4, 2: 4, 3: 8})
_TENSOR = _Table(vectors={0: 4, 3: 1, 7: 4}, tables={4: _QUANTISATION})
_OPERATOR = _Table(vectors={1: 4, 2: 4, 5: 1, 7: 1, 8: 4}, tables={4: _Table()})
_SUBGRAPH = _Table(vectors={1: 4, 2: 4, 4: 1}, lists={0: _TENSOR, 3: _OPERATOR})
_SIGNATURE = _Table(vectors={2: 1}, lists={0: _Table({0: 1}), 1: _Table({0: 1})})
_MODEL = _Table(
    vectors={3: 1, 5: 4},
    lists={
        1: _Table(vectors={1: 1}),
        2: _SUBGRAPH,
        4: _Table(vectors={0: 1}),
        6: _Table(vectors={0: 1}),
        7: _SIGNATURE,
    },
)


def is_intact(model: bytes) -> bool:
    """Whether every table, vector and string lies inside the file."""
    try:
        _check_table(model, _follow(model, 0), _MODEL)
    except (struct.error, IndexError):
        return False
    return True


def _check_table(model: bytes, at: int, table: _Table) -> None:
    vtable = at - _read("<i", model, at)
    vtable_bytes, table_bytes = _read("<H", model, vtable), _read("<H", model, vtable + 2)
    _inside(model, vtable, vtable_bytes)
    _inside(model, at, table_bytes)

    def target(number: int) -> int | None:
        slot = 4 + 2 * number
        offset = _read("<H", model, vtable + slot) if slot < vtable_bytes else 0
        return _follow(model, at + offset) if offset else None

    for number, size in table.vectors.items():
        if (vector := target(number)) is not None:
            _inside(model, vector + 4, _read("<I", model, vector) * size)
    for number, inner in table.tables.items():
        if (place := target(number)) is not None:
            _check_table(model, place, inner)
    for number, inner in table.lists.items():
        if (vector := target(number)) is not None:
            count = _read("<I", model, vector)
            _inside(model, vector + 4, count * 4)
            for index in range(count):
                _check_table(model, _follow(model, vector + 4 + 4 * index), inner)


def _follow(model: bytes, at: int) -> int:
    return at + _read("<I", model, at)


def _read(form: str, model: bytes, at: int) -> int:
    _inside(model, at, struct.calcsize(form))
    (value,) = struct.unpack_from(form, model, at)
    return int(value)


def _inside(model: bytes, at: int, size: int) -> None:
    if at < 0 or at + size > len(model):
        raise IndexError(at)
