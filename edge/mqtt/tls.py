"""The TLS context of config.yaml, and the secrets of the connection."""

import ssl
from pathlib import Path

from edge.config import TLSConfig
from edge.config import read_secret as secret_text
from edge.mqtt.diagnostics import BrokerConnectionError


def context_from(tls: TLSConfig) -> ssl.SSLContext:
    """A context for TLS 1.2 or newer. It always checks the broker's certificate, and its host name
    unless config.yaml switches that off. Raises BrokerConnectionError for an unusable file."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = not tls.insecure_skip_hostname
    if tls.ca is None:
        context.load_default_certs()
    else:
        _load_authority(context, tls.ca)
    if tls.cert is not None and tls.key is not None:
        _load_identity(context, tls.cert, tls.key, tls.key_password_file)
    return context


def read_secret(path: Path, key: str) -> str:
    """The text of a file without its line end. `key` is its config key, for the sentence of a
    BrokerConnectionError."""
    try:
        return secret_text(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, key, error) from error


def _unreadable(path: Path, key: str, error: Exception) -> BrokerConnectionError:
    why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
    return BrokerConnectionError(f"{key}: {path} cannot be read ({why}); check path and owner")


def _load_authority(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(str(ca))
    except ssl.SSLError as error:
        raise BrokerConnectionError(
            f"mqtt.tls.ca: {ca} holds no certificate ({error.reason or error}); give the PEM file "
            "of the authority that signed the broker's certificate"
        ) from error
    except OSError as error:
        raise _unreadable(ca, "mqtt.tls.ca", error) from error


def _load_identity(
    context: ssl.SSLContext, cert: Path, key: Path, password_file: Path | None
) -> None:
    password = ""  # never None: OpenSSL would ask for it on the terminal
    if password_file is not None:
        password = read_secret(password_file, "mqtt.tls.key_password_file")
    for path, config_key in ((cert, "mqtt.tls.cert"), (key, "mqtt.tls.key")):
        try:
            path.open("rb").close()
        except OSError as error:
            raise _unreadable(path, config_key, error) from error
    try:
        context.load_cert_chain(str(cert), str(key), lambda: password)
    except (ssl.SSLError, ValueError) as error:
        reason = (error.reason if isinstance(error, ssl.SSLError) else None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            raise BrokerConnectionError(
                f"mqtt.tls.key: {key} does not belong to the certificate {cert}; give the pair "
                "that was made together"
            ) from error
        raise BrokerConnectionError(
            f"mqtt.tls: {cert} and {key} cannot be used ({reason}); both must be PEM; a key with a "
            "password needs the right mqtt.tls.key_password_file"
        ) from error
