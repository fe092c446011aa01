"""Reads the user name and password of a network camera from its file or address."""

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from edge.config import CameraConfig, read_secret
from edge.core.errors import CameraError

Credentials = tuple[str, str]


def split_source(config: CameraConfig) -> tuple[str, Credentials | None]:
    """The address without credentials, and (name, password) or None.

    `credentials_file` comes before the address; it holds one line `name:password`. Raises
    CameraError, which never shows a password.
    """
    parts = urlsplit(config.source)
    plain = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    if config.credentials_file is not None:
        return plain, _from_file(config.credentials_file)
    if parts.username is None:
        return plain, None
    return plain, (unquote(parts.username), unquote(parts.password or ""))


def with_credentials(address: str, credentials: Credentials | None) -> str:
    """The address with its credentials, for a library that reads them only there."""
    if credentials is None:
        return address
    parts = urlsplit(address)
    name, password = (quote(text, safe="") for text in credentials)
    return urlunsplit(parts._replace(netloc=f"{name}:{password}@{parts.netloc}"))


def _from_file(path: Path) -> Credentials:
    try:
        line = read_secret(path).strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise CameraError(f"credentials_file: {path}: cannot be read ({why})") from None
    name, colon, password = line.partition(":")
    if not colon or "\n" in line:
        raise CameraError(
            f"credentials_file: {path}: must hold one line, name:password; write it so"
        )
    return name, password
