"""TLS to the broker: the context from config.yaml, with what is wrong with its files in words."""

import ssl
from pathlib import Path

from edge.config import TLSConfig
from edge.mqtt.diagnostics import LinkError


def context_from(tls: TLSConfig) -> ssl.SSLContext:
    """TLS 1.2 or newer; the broker's certificate is always checked, its host name unless
    config.yaml says otherwise. Raises LinkError when a file cannot be used."""
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
    """The text of a secret's file without its line end. Raises LinkError, naming the config key."""
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise LinkError(f"{key}: {path} cannot be read ({why}); check path and owner") from error


def _load_authority(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(str(ca))
    except ssl.SSLError as error:
        raise LinkError(
            f"mqtt.tls.ca: {ca} holds no certificate ({error.reason or error}); give the PEM file "
            "of the authority that signed the broker's certificate"
        ) from error
    except OSError as error:
        raise LinkError(
            f"mqtt.tls.ca: {ca} cannot be read ({error.strerror}); check path and owner"
        ) from error


def _load_identity(
    context: ssl.SSLContext, cert: Path, key: Path, password_file: Path | None
) -> None:
    password = ""  # never None: OpenSSL would ask a terminal that nobody watches
    if password_file is not None:
        password = read_secret(password_file, "mqtt.tls.key_password_file")
    for name, path in (("cert", cert), ("key", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise LinkError(
                f"mqtt.tls.{name}: {path} cannot be read ({error.strerror}); check path and owner"
            ) from error
    try:
        context.load_cert_chain(str(cert), str(key), lambda: password)
    except (ssl.SSLError, ValueError) as error:
        reason = (error.reason if isinstance(error, ssl.SSLError) else None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            raise LinkError(
                f"mqtt.tls.key: {key} does not belong to the certificate {cert}; give the pair "
                "that was made together"
            ) from error
        raise LinkError(
            f"mqtt.tls: {cert} and {key} cannot be used ({reason}); both must be PEM; a key with a "
            "password needs the right mqtt.tls.key_password_file"
        ) from error
