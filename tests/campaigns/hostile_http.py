"""Malformed HTTP for the page's server: routes, methods, headers, chunks, multipart bodies, and
clients that are slow."""

import contextlib
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable

from tests.campaigns.hostile_messages import hostile_message

_ROUTES = (
    "/", "/predict", "/healthz", "/metrics", "/trigger", "/frame", "/verdicts", "/recipe",
    "/api/v1/openapi.json", "/api/v1/events", "/../../etc/passwd", "/%00", "/%2e%2e/x", "//",
    "*", "/" + "a" * 3000, "/predict?x=%ff", "/한글", "/healthz/", "/static/../config.yaml",
)  # fmt: skip
_METHODS = ("GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "TRACE", "PATCH", "get", "X" * 200)


def _head(rng: random.Random, method: str, route: str, *headers: str) -> bytes:
    lines = [f"{method} {route} HTTP/1.{rng.randint(0, 1)}", "Host: 127.0.0.1", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


def _plain(rng: random.Random) -> bytes:
    return _head(rng, rng.choice(_METHODS), rng.choice(_ROUTES))


def _long_headers(rng: random.Random) -> bytes:
    many = [f"X-{n}: {'v' * rng.randint(0, 300)}" for n in range(rng.choice((5, 80, 2000)))]
    return _head(rng, "GET", "/healthz", *many, "Cookie: " + "c" * rng.choice((10, 9000, 70_000)))


def _chunked(rng: random.Random) -> bytes:
    sizes = ("5", "0", "ffffffffffffffff", "-1", "zz", "5;ext=1", "00000005", "")
    body = "".join(f"{rng.choice(sizes)}\r\nabcde\r\n" for _ in range(rng.randint(1, 5)))
    head = _head(rng, "POST", rng.choice(_ROUTES), "Transfer-Encoding: chunked")
    return head + body.encode() + rng.choice((b"0\r\n\r\n", b""))


def _lengths(rng: random.Random) -> bytes:
    length = rng.choice(("-5", "99999999999999999999", "5, 6", "0x10", "", "3", "1e3"))
    return _head(rng, "POST", "/predict", f"Content-Length: {length}") + b"abc"


def _multipart(rng: random.Random) -> bytes:
    mark = rng.choice(("m", "x" * 70, '"q"', "a b", ""))
    name = rng.choice(("image", "Image", 'im"age', "\u202e", "x" * 5000))
    data = rng.choice((b"", rng.randbytes(500), b"\xff\xd8\xff\xe0" + rng.randbytes(300), b"BM"))
    field = f'Content-Disposition: form-data; name="{name}"; filename="../../x\\"'.encode()
    part = b"--" + mark.encode() + b"\r\n" + field + b"\r\n\r\n" + data + b"\r\n"
    body = part * rng.choice((1, 2, 200)) + rng.choice((b"--" + mark.encode() + b"--\r\n", b""))
    headers = (
        f"Content-Type: multipart/form-data; boundary={mark}",
        f"Content-Length: {len(body)}",
    )
    return _head(rng, "POST", "/predict", *headers) + body


def _json(rng: random.Random) -> bytes:
    body = hostile_message(rng)[1].body
    headers = (f"Content-Length: {len(body)}", "Content-Type: application/json")
    return _head(rng, "POST", rng.choice(("/trigger", "/recipe", "/predict")), *headers) + body


def _mutated(rng: random.Random) -> bytes:
    data = bytearray(rng.choice((_plain, _multipart, _json))(rng))
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


_KINDS: dict[str, Callable[[random.Random], bytes]] = {
    "route and method": _plain,
    "long headers": _long_headers,
    "chunks": _chunked,
    "lengths": _lengths,
    "multipart": _multipart,
    "JSON": _json,
    "changed bytes": _mutated,
    "noise": lambda rng: rng.randbytes(rng.randint(1, 500)),
    "two requests at once": lambda rng: _plain(rng) + _plain(rng),
    "cut": lambda rng: _json(rng)[: rng.randint(1, 80)],
}


class HttpAttacker:
    """Sends one request after the other, and holds some connections that send a byte a second."""

    def __init__(self, port: int, slow: int = 20) -> None:
        """`slow`: how many connections are held open."""
        self.kinds: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self._port, self._slow = port, slow
        self._held: list[socket.socket] = []
        self._dripped_at = 0.0

    def step(self, rng: random.Random) -> None:
        """One request."""
        kind = rng.choice([*_KINDS])
        self.kinds[kind] += 1
        answer = b"refused"
        address = ("127.0.0.1", self._port)
        with contextlib.suppress(OSError), socket.create_connection(address, 5) as sock:
            sock.settimeout(2)
            sock.sendall(_KINDS[kind](rng))
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            answer = sock.recv(64)
        self.answers[answer[9:12].decode("latin-1") if answer[:5] == b"HTTP/" else "closed"] += 1
        self._drip()

    def close(self) -> None:
        """Ends the held connections."""
        for sock in self._held:
            sock.close()

    def _drip(self) -> None:
        if time.monotonic() - self._dripped_at < 1:
            return
        self._dripped_at = time.monotonic()
        open_still = []
        for sock in self._held:
            try:
                sock.sendall(b"x")
            except OSError:
                sock.close()
            else:
                open_still.append(sock)
        self._held = open_still
        with contextlib.suppress(OSError):
            while len(self._held) < self._slow:
                sock = socket.create_connection(("127.0.0.1", self._port), 2)
                self._held.append(sock)
                sock.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 900000\r\n")


def well(port: int) -> bool:
    """Whether /healthz answers with JSON."""
    with contextlib.suppress(OSError, ValueError):
        with socket.create_connection(("127.0.0.1", port), 10) as sock:
            sock.settimeout(10)
            sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            data = b""
            while more := sock.recv(65536):
                data += more
        return isinstance(json.loads(data.partition(b"\r\n\r\n")[2]), dict)
    return False
