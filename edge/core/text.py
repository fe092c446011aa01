"""Text from outside: refuses control characters, and writes any text on one line.

- `fault_in` says why a name, key or value from outside is refused.
- `typed` gives names one Unicode form, so that those a person types are found.
- `escape` makes refused characters visible, for names that must be kept, such as file names.
- `one_line` is for logs and terminals: it also escapes what hides or reorders text.
- `decode_text` and `parse_json` turn bytes from outside into text and values.
"""

import codecs
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

Loc = tuple[str | int, ...]

_ENDS = "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(17))
_REFUSED = f"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef{_ENDS}"
_HIDDEN = "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff"  # bidi controls, zero width
_IS_REFUSED = re.compile(f"[{_REFUSED}]")
_IS_UNFIT_FOR_A_LINE = re.compile(f"[{_REFUSED}{_HIDDEN}]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# UTF-32 begins with the mark of UTF-16: the longer mark comes first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def fault_in(text: str) -> str | None:
    """What makes the text unfit as a name, key or value; None for good text.

    Refused: control characters, line separators, lone surrogates and non-characters.
    """
    found = _IS_REFUSED.search(text)
    if found is None:
        return None
    code = ord(found[0])
    if 0xD800 <= code <= 0xDFFF:
        kind = "a lone surrogate"
    elif code in (0x2028, 0x2029):
        kind = "a line separator"
    elif code < 0xA0:
        kind = "a control character"
    else:
        kind = "a non-character"
    return f"holds {kind} (U+{code:04X}); remove it"


def typed(text: str) -> str:
    """The text in the form that a keyboard writes (Unicode NFC).

    macOS stores Hangul and accents as several characters (NFD), which look the same.
    """
    return unicodedata.normalize("NFC", text)


def escape(text: str) -> str:
    """The text with all refused characters as escapes. Other text stays as it is."""
    return _IS_REFUSED.sub(_escaped, text)


def one_line(text: str) -> str:
    """The text as part of one line of a log or terminal, which it cannot forge or reorder."""
    return _IS_UNFIT_FOR_A_LINE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8
        code -= 0xDC00
    if code <= 0xFF:
        return _NAMED.get(character, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def decode_text(data: bytes) -> str:
    """A text file's content without its byte order mark; UTF-8 when there is none.

    Raises UnicodeDecodeError.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    return data.decode()


def faults_of(value: Any) -> Iterator[tuple[Loc, str]]:
    """The refused texts in nested dictionaries and lists: the place and the sentence.

    A refused key has the place of its dictionary.
    """
    left: list[tuple[Loc, Any]] = [((), value)]
    while left:
        loc, one = left.pop()
        if isinstance(one, str):
            if (fault := fault_in(one)) is not None:
                yield loc, fault
        elif isinstance(one, dict):
            for key, inner in one.items():
                if isinstance(key, str) and (fault := fault_in(key)) is not None:
                    yield loc, f"the key '{escape(key):.80}' {fault}"
                else:
                    left.append(((*loc, key), inner))
        elif isinstance(one, list | tuple):
            left += [((*loc, index), inner) for index, inner in enumerate(one)]


def parse_json(data: bytes) -> Any:
    """Values from JSON in UTF-8. Raises ValueError with a sentence.

    Refuses what readers understand differently: a key that stands twice, NaN and infinity. The
    values are not checked for refused text: `Model.read` and `fault_in` do that.
    """
    try:
        return json.loads(
            data.decode(), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{escape(twice):.80}' stands twice")
    return found


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
