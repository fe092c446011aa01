"""An https: camera with its own certificate, and sentences for certificates that do not fit."""

import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge.capture.drivers.mjpeg import MJPEGCamera
from edge.core.clock import StopEvent
from edge.core.errors import CameraError
from edge.core.threads import start_thread
from tests.edge.capture.conftest import camera_config
from tests.support.certificates import make_authority, make_certificate
from tests.support.network_camera import (
    MULTIPART,
    OK,
    Request,
    as_part,
    network_camera,
    scene,
    server_tls,
    to_jpeg,
)

JPEG = to_jpeg(scene(1))
EXPIRED = ("20200101000000Z", "20210101000000Z")


def send(client: socket.socket, _request: Request) -> None:
    """One picture."""
    client.sendall(OK + MULTIPART + b"\r\n" + as_part(JPEG, length=len(JPEG)))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """own: self-signed for camera.local; here, there, old: signed by `ca`, for 127.0.0.1, another
    name, and expired."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("own", "ca", "other"):
        make_authority(folder, name)
    make_certificate(folder, "here", "ca", "IP:127.0.0.1")
    make_certificate(folder, "there", "ca", "DNS:camera.local")
    make_certificate(folder, "old", "ca", "IP:127.0.0.1", EXPIRED)
    return folder


def opened(certificates: Path, name: str, tls: dict[str, Any] | None) -> None:
    """Opens a camera with that certificate, and reads a picture. Raises CameraError."""
    if tls is not None and "ca" in tls:
        tls = {**tls, "ca": str(certificates / tls["ca"])}
    context = server_tls(certificates / f"{name}.pem", certificates / f"{name}.key")
    with network_camera(send, context) as server:
        options = {} if tls is None else {"tls": tls}
        camera = MJPEGCamera(camera_config(server.url, timeout_s=10, **options))
        read = camera.read(StopEvent())
        camera.close()
    assert read is not None
    assert read.pixels is not None


@pytest.mark.parametrize(
    ("name", "tls"),
    [
        ("own", {"ca": "own.pem", "insecure_skip_hostname": True}),
        ("here", {"ca": "ca.pem"}),
        ("here", {"ca": "here.pem"}),  # pinned; its authority is not known
        ("there", {"ca": "there.pem", "insecure_skip_hostname": True}),
    ],
)
def test_the_cameras_own_certificate_is_accepted(
    certificates: Path, name: str, tls: dict[str, Any]
) -> None:
    """`tls.ca` is the camera's own certificate, or that of its authority."""
    opened(certificates, name, tls)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "tls", "words"),
    [
        ("own", None, "self-signed certificate; save the camera's certificate as a PEM file"),
        ("here", {"ca": "other.pem"}, "unable to get local issuer certificate; save the camera's"),
        ("own", {"ca": "own.pem"}, "use the certificate's name in source, or set tls.insecure_ski"),
        ("there", {"ca": "ca.pem"}, "set tls.insecure_skip_hostname: true"),
        ("old", {"ca": "ca.pem"}, "certificate has expired; renew it in the camera, and check the"),
        ("here", {"ca": "here.key"}, "here.key holds no certificate ("),
        ("here", {"insecure_skip_hostname": True}, "name it under tls.ca"),
    ],
)
def test_a_certificate_that_does_not_fit_is_one_sentence(
    certificates: Path, name: str, tls: dict[str, Any] | None, words: str
) -> None:
    """The sentence says what does not fit, and what to do."""
    with pytest.raises(CameraError) as caught:
        opened(certificates, name, tls)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_plain_http_at_the_port_is_said() -> None:
    """https: where the camera speaks plain HTTP."""

    def answer(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            client.recv(100)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            client.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = start_thread("plain", partial(answer, server))
        source = f"https://127.0.0.1:{server.getsockname()[1]}/video"
        with pytest.raises(CameraError, match="speaks no TLS at this port; use http://"):
            MJPEGCamera(camera_config(source, timeout_s=10))
        thread.join(10)
