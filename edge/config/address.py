"""Addresses in config.yaml: a broker's host, the HTTP server's bind address, a camera's URL."""

import ipaddress
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

_NAME = re.compile(r"[^\W_]([\w.-]*\w)?\.?|_[\w.-]*")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?:[^/?#]*@)?([^/?#]*)")
_WITH_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*):(\d+)")
_TLS = frozenset({"mqtts", "ssl", "tls", "wss"})
_WEBSOCKETS = frozenset({"ws", "wss"})
_AUTHORITY = re.compile(
    r"//(?:[^/?#\\]*@)?(?:[^\s/?#@:\[\]%\\]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\])(?::([0-9]{1,9}))?(?=[/?#]|$)"
)


def _check_for(key: str) -> Callable[[str], str]:
    def check(host: str) -> str:
        """Refuses text that is neither a host name nor an address. The sentences show
        no user part, because it may hold a password."""
        if _is_address(host) or (_NAME.fullmatch(host) and not host.isdigit()):
            return host
        raise PydanticCustomError("rule", "{text}", {"text": _how_to_write(host, key)})

    return check


def _how_to_write(host: str, key: str) -> str:
    found = _URL.match(host)
    scheme, rest = (found[1].lower(), found[2]) if found else ("", host.partition("/")[0])
    _user, at, rest = rest.rpartition("@")
    with_port = _WITH_PORT.fullmatch(rest)
    name, port = (with_port[1], with_port[2]) if with_port else (rest, "")
    name = name.strip("[]")
    if not (_is_address(name) or _NAME.fullmatch(name)):
        return f"must be a host name or IP address, such as 192.0.2.1; correct {key}"
    lines = [f"{key}: {name}" if ":" not in name else f'{key}: "{name}"']
    if port:
        lines.append(f"port: {port}")
    if scheme in _WEBSOCKETS:
        lines.append("transport: websockets")
    if scheme in _TLS:
        lines.append("tls: {}")
    if at or (found is not None and "@" in host):
        lines.append("username and password_file")
    return f"must be a host name or IP address alone; write {', '.join(lines)}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def is_loopback(bind: str) -> bool:
    """Whether only programs of this machine reach the address."""
    if bind.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(bind)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def check_url(kind: str, rest: str) -> None:
    """Raises ValueError for an address that libraries would divide otherwise than its writer."""
    if not rest.startswith("//"):
        raise ValueError(f"must begin with {kind}://, followed by the camera's address")
    if any(character.isspace() for character in rest):
        raise ValueError("holds a space; write %20 for it")
    authority = _AUTHORITY.match(rest)
    if authority is None:
        raise ValueError(
            "needs a host, or host:port, right behind the slashes; a password with / ? # or @ "
            "belongs into credentials_file (one line, name:password)"
        )
    port = authority[1]
    if port is not None and not 1 <= int(port) <= 65535:
        raise ValueError(f"has the port {port}; a port is a number from 1 to 65535")


Host = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_check_for("host"))]
BindAddress = Annotated[
    str, Field(min_length=1, max_length=255), AfterValidator(_check_for("bind"))
]
