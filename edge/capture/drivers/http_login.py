"""Logs in to an HTTP camera: Digest (RFC 7616) and Basic (RFC 7617), the strongest that it offers.

urllib knows no SHA-256, and no HTTP library chooses among several challenges.
"""

import base64
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from edge.capture.drivers.credentials import Credentials

_HASHES = {  # the weakest first
    "MD5": "md5",
    "SHA": "sha1",
    "SHA-256": "sha256",
    "SHA-512": "sha512",
    "SHA-512-256": "sha512_256",
}
_ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
_WORD = re.compile(r"\s*([\w!#$%&'*+.^`|~-]+)\s*(.*)", re.DOTALL)
_FIELD = re.compile(
    r'([\w!#$%&\'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"?|([^\s"]*))\s*$', re.DOTALL
)


class LoginError(Exception):
    """The camera cannot be logged in to. The text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in that the camera offers. `fields` are as sent, without quotes."""

    scheme: str
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def algorithm(self) -> str:
        """The hash of a Digest, in capitals, without `-SESS`."""
        return self.fields.get("algorithm", "MD5").upper().removesuffix("-SESS")

    @property
    def strength(self) -> int:
        """More is better; 0: unknown to this module."""
        if self.scheme == "basic":
            return 1
        if self.scheme != "digest" or self.algorithm not in _HASHES or self.qop is None:
            return 0
        return 2 + list(_HASHES).index(self.algorithm)

    @property
    def qop(self) -> str | None:
        """auth, auth-int, or "" for a camera of before 1999; None: unknown."""
        offered = [text.strip().lower() for text in self.fields.get("qop", "").split(",")]
        return next((text for text in ("auth", "auth-int", "") if text in offered), None)


def read_challenges(headers: Sequence[str]) -> list[Challenge]:
    """The challenges of all WWW-Authenticate headers; one header may hold several."""
    found: list[Challenge] = []
    for item in (item for header in headers for item in _ITEM.findall(header)):
        word = _WORD.match(item)
        if word is None:
            continue
        rest = item
        if not word[2].startswith("="):
            found.append(Challenge(word[1].lower()))
            rest = word[2]
        if found and (named := _FIELD.match(rest.strip())) is not None:
            value = named[3] if named[2] is None else named[2]
            found[-1].fields.setdefault(named[1].lower(), value)
    return found


class Login:
    """The login to one camera while it is opened."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials
        self._tried: set[tuple[int, str, bool]] = set()
        self._stale = 0

    def answer(self, headers: Sequence[str], method: str, target: str) -> bytes:
        """The Authorization header that answers a 401 with these WWW-Authenticate headers.

        A name or password that is not ASCII is sent as UTF-8, then as Latin-1. Raises LoginError.
        """
        offered = read_challenges(headers)
        names = ", ".join(dict.fromkeys(one.scheme.title() for one in offered)) or "no known way"
        if self._credentials is None:
            raise LoginError(
                f"asks for a name and a password (HTTP 401, {names}), and none is configured; "
                "write name:password into a file, and name it as credentials_file"
            )
        best = max(offered, key=lambda one: one.strength, default=Challenge(""))
        if not best.strength:
            raise LoginError(
                f"asks for a login that is not supported (HTTP 401, {names}); set the camera to "
                "digest or basic authentication"
            )
        if best.fields.get("stale", "").lower() == "true" and self._stale < 2:
            self._stale += 1  # the name and password were right, the nonce was old
            self._tried.clear()
        for encoding, extended in self._spellings(best):
            key = (best.strength, encoding, extended)
            if key not in self._tried:
                self._tried.add(key)
                if best.scheme == "basic":
                    return self._basic(encoding)
                return self._digest(best, method, target, encoding, extended=extended)
        raise LoginError("refuses the name and password (HTTP 401); check credentials_file")

    def _spellings(self, challenge: Challenge) -> Iterator[tuple[str, bool]]:
        """Encodings to try; whether the name is sent as `username*`, which few cameras know."""
        assert self._credentials is not None
        name, password = self._credentials
        yield "utf-8", False
        if challenge.scheme == "digest" and not name.isascii() and _is_utf8(challenge):
            yield "utf-8", True
        text = name + password
        if not text.isascii() and not _is_utf8(challenge) and _fits_latin1(text):
            yield "latin-1", False

    def _basic(self, encoding: str) -> bytes:
        assert self._credentials is not None
        return b"Basic " + base64.b64encode(":".join(self._credentials).encode(encoding))

    def _digest(
        self, challenge: Challenge, method: str, target: str, encoding: str, *, extended: bool
    ) -> bytes:
        assert self._credentials is not None
        name, password = (text.encode(encoding) for text in self._credentials)
        fields, qop = challenge.fields, challenge.qop
        # latin-1 is how http.client reads headers: the bytes come back as they were sent
        realm, nonce = (fields.get(key, "").encode("latin-1") for key in ("realm", "nonce"))
        uri, cnonce = target.encode("latin-1"), os.urandom(8).hex().encode()

        def digest(*parts: bytes) -> bytes:
            function = hashlib.new(_HASHES[challenge.algorithm], usedforsecurity=False)
            function.update(b":".join(parts))
            return function.hexdigest().encode()

        first = digest(name, realm, password)
        if fields.get("algorithm", "").upper().endswith("-SESS"):
            first = digest(first, nonce, cnonce)
        body = [digest(b"")] if qop == "auth-int" else []
        second = digest(method.encode(), uri, *body)
        middle = [b"00000001", cnonce, qop.encode()] if qop else []
        sent = {
            "realm": b'"%s"' % realm,
            "nonce": b'"%s"' % nonce,
            "uri": b'"%s"' % uri,
            "response": b'"%s"' % digest(first, nonce, *middle, second),
        }
        if "algorithm" in fields:
            sent["algorithm"] = fields["algorithm"].encode("latin-1")
        if "opaque" in fields:
            sent["opaque"] = b'"%s"' % fields["opaque"].encode("latin-1")
        if qop:
            sent |= {"qop": qop.encode(), "nc": b"00000001", "cnonce": b'"%s"' % cnonce}
        if fields.get("userhash", "").lower() == "true":
            sent |= {"username": b'"%s"' % digest(name, realm), "userhash": b"true"}
        elif extended:
            sent["username*"] = b"UTF-8''" + quote(name, safe="").encode()
        else:
            sent["username"] = b'"%s"' % re.sub(rb'(["\\])', rb"\\\1", name)
        return b"Digest " + b", ".join(key.encode() + b"=" + sent[key] for key in sent)


def _is_utf8(challenge: Challenge) -> bool:
    return challenge.fields.get("charset", "").upper() == "UTF-8"


def _fits_latin1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
