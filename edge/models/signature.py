"""Signatures in the format of minisign: a public key, a signature file, and its trusted comment.

`minisign -S -m FILE -t "counter:12"` signs the file's BLAKE2b hash (mark `ED`); older versions sign
the file itself (`Ed`). The trusted comment is signed too. A word `counter:NUMBER` in it protects
against an older file; a comment without the word counts as 0.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edge.core.errors import EdgeInspectError, MissingPartError, RefusedError
from edge.core.regular_file import read_at_most
from edge.core.text import one_line

MAX_BYTES = 4096  # of a key file or a signature file; minisign writes some 300
SUFFIX = ".minisig"
_ID, _KEY, _SIGNATURE = 8, 32, 64  # bytes
_TRUSTED = "trusted comment: "
_COUNTER = re.compile(r"(?:^|\s)counter:(\S*)")
_MAX_COUNTER = 2**63 - 1


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key. `id`: 16 hexadecimal digits, as minisign prints them."""

    id: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Signed:
    """What a verified signature says."""

    key_id: str
    counter: int


def read_public_key(path: Path) -> PublicKey:
    """A file that `minisign -G` wrote. Raises EdgeInspectError."""
    mistake = f"{path}: is no public key of minisign; name the .pub file that `minisign -G` wrote"
    try:
        lines = read_at_most(path, MAX_BYTES).decode().splitlines()
    except OSError as error:
        raise EdgeInspectError(
            f"{path}: the public key cannot be read ({error.strerror}); correct models.keys"
        ) from error
    except UnicodeDecodeError as error:
        raise EdgeInspectError(mistake) from error
    found = _decoded(lines[1] if len(lines) > 1 else "".join(lines), 2 + _ID + _KEY)
    if found is None or found[:2] != b"Ed":
        raise EdgeInspectError(mistake)
    return PublicKey(_key_id(found), found[2 + _ID :])


def verify(content: bytes, signature: bytes, name: str, keys: Sequence[PublicKey]) -> Signed:
    """Checks a signature file against all keys that count. `name`: the signed file, for messages.

    Raises RefusedError when it is not a signature of `content` by one of `keys`, and
    MissingPartError without PyNaCl.
    """
    try:
        lines = signature.decode().split("\n")
    except UnicodeDecodeError:
        lines = []
    lines = [line.removesuffix("\r") for line in lines]
    sealed = _decoded(lines[1], 2 + _ID + _SIGNATURE) if len(lines) >= 4 else None
    seal = _decoded(lines[3], _SIGNATURE) if len(lines) >= 4 else None
    if sealed is None or seal is None or not lines[2].startswith(_TRUSTED):
        raise RefusedError(
            f"{name}{SUFFIX}: is no signature of minisign, or damaged; copy it again, or sign the "
            "model again"
        )
    kind, key_id, by = sealed[:2], _key_id(sealed), sealed[2 + _ID :]
    key = next((key for key in keys if key.id == key_id), None)
    if key is None:
        known = ", ".join(key.id for key in keys)
        raise RefusedError(
            f"{name}: is signed by the key {key_id}, which is not among models.keys ({known}); "
            "sign it by one of them, or add the key"
        )
    comment = lines[2].removeprefix(_TRUSTED)
    message = hashlib.blake2b(content).digest() if kind == b"ED" else content
    if kind not in (b"Ed", b"ED") or not _is_signed(message, by, key):
        raise RefusedError(
            f"{name}: was changed after it was signed by the key {key_id}; copy it again, or sign "
            "it again"
        )
    if not _is_signed(by + comment.encode(), seal, key):
        raise RefusedError(
            f"{name}{SUFFIX}: its trusted comment was changed; copy it again, or sign the model "
            "again"
        )
    return Signed(key_id, _counter(comment, name))


def _counter(comment: str, name: str) -> int:
    """The counter of a trusted comment; 0 without one. Raises RefusedError."""
    words = _COUNTER.findall(comment)
    if not words:
        return 0
    (word, *more) = words
    if more or not re.fullmatch("[0-9]{1,19}", word) or int(word) > _MAX_COUNTER:
        raise RefusedError(
            f"{name}{SUFFIX}: the trusted comment must have one counter: and a whole number from 0 "
            f"(got {one_line(comment[:80])}); sign the model again with -t 'counter:NUMBER'"
        )
    return int(word)


def _is_signed(message: bytes, signature: bytes, key: PublicKey) -> bool:
    try:
        from nacl.exceptions import BadSignatureError
        from nacl.signing import VerifyKey
    except ImportError as error:
        raise MissingPartError(
            "models.keys needs PyNaCl; run in edge-inspect's folder: pip install '.[signing]'"
        ) from error
    try:
        VerifyKey(key.data).verify(message, signature)
    except BadSignatureError:
        return False
    return True


def _decoded(line: str, length: int) -> bytes | None:
    try:
        data = base64.b64decode(line.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) == length else None


def _key_id(data: bytes) -> str:
    return f"{int.from_bytes(data[2 : 2 + _ID], 'little'):016X}"
