"""Certificate authorities and certificates for TLS tests, made by openssl."""

import subprocess
from pathlib import Path

VALID_TODAY = ("20200101000000Z", "20400101000000Z")


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)


def make_authority(folder: Path, name: str) -> None:
    """Writes NAME.pem and NAME.key of a certificate authority."""
    subject = f"/CN={name}"
    _openssl(
        folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", subject,
        "-keyout", f"{name}.key", "-out", f"{name}.pem",
    )  # fmt: skip


def make_certificate(
    folder: Path, name: str, ca: str, host: str, validity: tuple[str, str] = VALID_TODAY
) -> None:
    """Writes NAME.pem and NAME.key for `host`, signed by `ca`. `validity` is (from, to)."""
    config = folder / "ca.conf"
    (folder / "index").touch()
    if not (folder / "serial").exists():
        (folder / "serial").write_text("01\n")
    config.write_text(
        "[ca]\ndefault_ca=d\n[d]\nnew_certs_dir=.\ndatabase=index\nserial=serial\n"
        "default_md=sha256\npolicy=p\nunique_subject=no\nx509_extensions=x\n"
        f"[p]\ncommonName=supplied\n[x]\nsubjectAltName={host}\n"
    )
    _openssl(
        folder, "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
        "-keyout", f"{name}.key", "-out", f"{name}.csr",
    )  # fmt: skip
    _openssl(
        folder, "ca", "-batch", "-config", "ca.conf", "-cert", f"{ca}.pem", "-keyfile",
        f"{ca}.key", "-in", f"{name}.csr", "-out", f"{name}.pem", "-notext",
        "-startdate", validity[0], "-enddate", validity[1],
    )  # fmt: skip
