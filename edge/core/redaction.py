"""Removes secrets from all text that leaves the box: messages, logs, answers and command output.

Of a camera's source only kind, host and path are public. An unreadable one is not shown.

- `mask_credentials`: the public form of a source.
- `redact`: a sentence without the secrets of a source, and without addresses' secrets in general.
- `mask_secrets`: a value of config.yaml, for a sentence about a mistake.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
_SHORTEST_PIECE = 6
_SHORTEST = 3  # replacing shorter texts would garble the sentence
_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*)://(?!…)([^\s'\"<>`]+)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z+.-]{0,15}")
_HOST = re.compile(r"(?:[^\s/?#@:\[\]…%\\]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\])(?::\d{0,5})?")
_SECRET_NAME = re.compile(
    r"pass[\w-]*(?:w|ph|code|key)|[_-]pass\b|pwd|pw\b|\bpw|token|secret|credential|api[_-]?key|auth|user|cookie|sig\b|signature",
    re.IGNORECASE,
)
_ASSIGNED = re.compile(
    r"(?i)\b([\w-]*(?:pass|pwd|pw|token|secret|credential|api[_-]?key|auth)[\w-]*=)"
    r"(\"[^\"]*\"|'[^']*'|[^\s,;&\"']+)"
)
_ELEMENT = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:/[A-Za-z0-9_-]+)?")
_PLAIN_REST = re.compile(r"[\w./: +,~()-]*")
_FOLDER_KINDS = frozenset({"folder", "replay"})
_DEVICE_KINDS = frozenset({"v4l2", "picamera", "pylon", "test"})


def mask_credentials(source: str) -> str:
    """A camera's source as kind, host and path; of a pipeline its elements."""
    kind, colon, rest = source.partition(":")
    if not colon:
        return source if _PLAIN_REST.fullmatch(source) else HIDDEN
    if kind == "gstreamer":
        return f"{kind}:{' ! '.join(_elements(rest)) or HIDDEN}"
    if rest.startswith("//") and _SCHEME.fullmatch(kind):
        return _public_url(kind, rest[2:])
    if kind in _FOLDER_KINDS:
        return source
    if kind in _DEVICE_KINDS:
        return source.partition("?")[0]
    return source if _PLAIN_REST.fullmatch(source) else HIDDEN


def redact(text: str, source: str = "", secrets: Iterable[str] = ()) -> str:
    """The text without `secrets` and those of `source`, and with every address in its public
    form."""
    given = {secret for secret in secrets if len(secret) >= _SHORTEST}
    for secret in sorted(_secrets(source) | given, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _URL.sub(_public_match, text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", text)


def mask_secrets(value: Any, key: object = "") -> Any:
    """The value of a key of config.yaml without secrets; also nested dictionaries and lists."""
    if isinstance(value, dict):
        return {name: mask_secrets(inner, name) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mask_secrets(inner, key) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    if is_secret_name(key):
        return HIDDEN
    if not isinstance(value, str):
        return value
    return mask_credentials(value) if key == "source" else redact(value)


def is_secret_name(key: object) -> bool:
    """Whether a key's name says that its value is a secret. Files of secrets are none."""
    name = str(key)
    return _SECRET_NAME.search(name) is not None and not name.endswith("_file")


def _public_match(found: re.Match[str]) -> str:
    rest = found[2].rstrip(".,;:)]}")
    return _public_url(found[1], rest) + found[2][len(rest) :]


def _public_url(kind: str, rest: str) -> str:
    """`rest` follows the two slashes. Everything is hidden when it cannot be divided safely."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    path = re.split(r"[?#]", rest[len(authority) :], maxsplit=1)[0]
    if _HOST.fullmatch(host) is None or "\\" in authority or "@" in path:
        return f"{kind}://{HIDDEN}"
    return f"{kind}://{host}{'/'.join(_public_segments(path.split('/')))}"


def _public_segments(segments: Iterable[str]) -> Iterator[str]:
    after_secret_name = False
    for segment in segments:
        secret = after_secret_name or _is_secret_segment(segment)
        yield HIDDEN if secret and segment else segment
        after_secret_name = is_secret_name(segment) and not secret


def _is_secret_segment(segment: str) -> bool:
    """Whether a part of a path holds a value (`user=…`) or looks like a random token."""
    text = unquote(segment)
    if re.search(r"[=:;&@/?#]", text) or re.fullmatch(r"[0-9A-Fa-f]{12,}", text):
        return True
    changes = len(re.findall(r"[A-Za-z](?=\d)|\d(?=[A-Za-z])|[a-z](?=[A-Z])", text))
    digits = sum(character.isdigit() for character in text)
    return len(text) > 32 or (len(text) >= 8 and (changes >= 3 or digits >= 6))


def _tokens(pipeline: str) -> list[str]:
    try:
        return shlex.split(pipeline, posix=True)
    except ValueError:  # a quote is not closed, so no word of it can be separated
        return []


def _elements(pipeline: str) -> Iterator[str]:
    """The elements of a GStreamer pipeline without their properties."""
    first = True
    for word in _tokens(pipeline):
        if word == "!":
            first = True
            continue
        if first and _ELEMENT.fullmatch(word.partition(",")[0]):
            yield word.partition(",")[0]
        first = False


def _secrets(source: str) -> set[str]:
    """Texts of a source that must not appear in a sentence."""
    kind, _, rest = source.partition(":")
    if kind == "gstreamer":
        found = set(_pipeline_secrets(rest))
    elif rest.startswith("//"):
        found = set(_url_secrets(kind, rest[2:]))
    else:
        found = {rest.partition("?")[2]} if kind in _DEVICE_KINDS else set()
    found |= {unquote(text) for text in found}
    pieces = {piece for text in found for piece in re.split(r"[\s=&;:@_/?#]+", text)}
    return {text for text in found if len(text) >= _SHORTEST} | {
        piece for piece in pieces if len(piece) >= _SHORTEST_PIECE
    }


def _pipeline_secrets(pipeline: str) -> Iterator[str]:
    pipeline = re.sub(r"\s*=\s*", "=", pipeline)  # GStreamer allows spaces there
    for word in _tokens(pipeline) or pipeline.split():
        name, equals, value = word.partition("=")
        value = value.strip("\"'")
        if equals and (is_secret_name(name) or "pass" in name.lower()):
            yield value
        kind, slashes, rest = (value if equals else word).partition("://")
        if slashes:
            yield from _url_secrets(kind, rest)


def _url_secrets(kind: str, rest: str) -> Iterator[str]:
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    userinfo, _, host = authority.rpartition("@")
    if _public_url(kind, rest).endswith(f"://{HIDDEN}"):
        yield from re.split(r"[/?#@:]+", rest)
        yield rest
        return
    yield userinfo
    yield from userinfo.partition(":")[::2]
    parts = urlsplit(f"x://{host}{rest[len(authority) :]}")
    shown = _public_segments(parts.path.split("/"))
    yield from (one for one, public in zip(parts.path.split("/"), shown) if public != one)
    for text in (parts.query, parts.fragment):
        yield text
        yield from (pair.rpartition("=")[2] for pair in re.split(r"[&;]", text))
