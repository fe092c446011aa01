"""POST /predict and /trigger refuse what two programs may read differently: nothing is dropped."""

import base64
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import WritePicture
from tests.edge.web.conftest import Client, Serve

MARK = "frontier"
FORM = f"multipart/form-data; boundary={MARK}"


@pytest.fixture
def picture(write_picture: WritePicture) -> bytes:
    """A good PNG."""
    return write_picture().read_bytes()


def part(
    data: bytes, disposition: str = 'name="image"; filename="a.png"', extra: str = ""
) -> bytes:
    """One part of a multipart body."""
    head = f"--{MARK}\r\nContent-Disposition: form-data; {disposition}\r\n{extra}\r\n"
    return head.encode() + data + b"\r\n"


def send(client: Client, body: bytes, kind: str = FORM, path: str = "/predict") -> tuple[int, Any]:
    """Status and JSON of a POST with these exact bytes."""
    status, _, answer = client.ask("POST", path, body, **{"Content-Type": kind})
    return status, json.loads(answer)


END = f"--{MARK}--\r\n".encode()


def test_two_pictures_are_refused(serve: Serve, picture: bytes) -> None:
    """One of them would be judged, and nobody could say which."""
    status, body = send(serve(), part(picture) + part(picture) + END)
    assert (status, body) == (400, {"error": "2 fields `image`; send one picture a request"})


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (part(b"x", 'name="picture"; filename="b.png"'), "field 'picture' is unknown"),
        (part(b"x", 'name="note"'), "field 'note' is unknown"),
        (part(b"x", 'name="image"'), "send the picture as a file"),
        (part(b"top", 'name="camera"') * 2, "2 fields `camera`; send one"),
        (part(b"top", 'name="camera"; filename="c"'), "send the picture as a file"),
    ],
)
def test_other_fields_are_refused(serve: Serve, picture: bytes, extra: bytes, words: str) -> None:
    """Before or behind the picture."""
    client = serve()
    for body in (part(picture) + extra + END, extra + part(picture) + END):
        status, answer = send(client, body)
        assert status == 400
        assert words in answer["error"]


def test_pictures_in_another_form_are_refused(serve: Serve, picture: bytes) -> None:
    """Without a file name, without a name, encoded, nested, or as the whole body."""
    client = serve()
    nested = (
        b"--inner\r\nContent-Disposition: file; filename=a.png\r\n\r\n" + picture + b"\r\n--inner--"
    )
    mixed = "Content-Type: multipart/mixed; boundary=inner\r\n"
    encoded = "Content-Transfer-Encoding: base64\r\n"
    for body, kind, words in (
        (part(picture, 'name="image"') + END, FORM, "send the picture as a file"),
        (part(picture, 'filename="a.png"') + END, FORM, ""),
        (part(base64.b64encode(picture), extra=encoded) + END, FORM, "is encoded as 'base64'"),
        (part(nested, extra=mixed) + END, FORM, "holds several files"),
        (picture, "image/png", "the body is 'image/png'; send the picture as a file"),
        (picture, "", "the body is ''"),
        (part(picture) + END, "multipart/form-data", "send the picture as a file"),
        (part(picture) + END, "multipart/mixed; boundary=frontier", "the body is 'multipart/mixed"),
        (part(picture) + END, f"{FORM}, {FORM.replace('frontier', 'x')}", ""),
        (b"", FORM, "send the picture as a file"),
    ):
        status, answer = send(client, body, kind)
        assert status == 400, (kind, answer)
        assert words in answer["error"]


def test_a_body_without_its_end_is_refused(serve: Serve, picture: bytes) -> None:
    """The client has cut it: the picture may be cut too."""
    client = serve()
    for body in (part(picture), part(picture)[:-40], part(picture) + b"--fron"):
        status, answer = send(client, body)
        assert status == 400, answer


def test_parameters_in_the_address_are_refused(serve: Serve, picture: bytes) -> None:
    """`?camera=left` would be ignored, and another camera's view would judge."""
    client = serve()
    status, answer = send(client, part(picture) + END, path="/predict?camera=left")
    assert status == 400
    assert "parameter 'camera'" in answer["error"]
    status, answer = send(client, b"{}", "application/json", "/trigger?camera=left")
    assert status == 400
    assert "parameter 'camera'" in answer["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"camera": "a", "camera": "b"}', "the key 'camera' stands twice"),
        (b'{"part": "\\ud800"}', "part: holds a lone surrogate (U+D800); remove it"),
        (b'{"part": "a\\nb"}', "part: holds a control character (U+000A); remove it"),
        (b'{"\\ufdd0": "b"}', "the key '\\ufdd0' holds a non-character (U+FDD0); remove it"),
        (b'{"transaction": "\\u0000"}', "transaction: holds a control character (U+0000)"),
        (b'{"part": NaN}', "NaN is no JSON"),
        (b'{"part": "\xff"}', "in UTF-8 (byte 10)"),
    ],
)
def test_text_that_nothing_may_hold_is_refused(serve: Serve, body: bytes, words: str) -> None:
    """A part id goes into topics, files, logs and other programs."""
    status, answer = send(serve(), body, "application/json", "/trigger")
    assert status == 400
    assert words in answer["error"]


def test_a_file_name_from_outside_is_escaped(serve: Serve, picture: bytes) -> None:
    """It is shown as the part; control characters in it become visible."""
    body = part(picture, 'name="image"; filename="a\x1b[31m.png"') + END
    status, answer = send(serve(), body)
    assert status == 200
    assert answer["part"] == "a\\x1b[31m.png"


def raw(client: Client, head: str, body: bytes) -> int:
    """The status of a request with these exact bytes; 0 when the connection is closed."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)
        connection.shutdown(socket.SHUT_WR)
        received = connection.makefile("rb").readline().split()
    return int(received[1]) if len(received) > 1 else 0


def test_a_request_with_two_lengths_or_encodings_is_refused(serve: Serve, picture: bytes) -> None:
    """Two programs on the way could divide the stream differently."""
    client = serve()
    body = part(picture) + END
    start = f"POST /predict HTTP/1.1\nHost: x\nContent-Type: {FORM}\n"
    length = f"Content-Length: {len(body)}\n"
    assert raw(client, start + length, body) == 200
    for head in (
        f"{start}{length}Content-Length: {len(body) - 1}\n",
        f"{start}Content-Length: +{len(body)}\n",
        f"{start}Content-Length: {len(body)}, {len(body)}\n",
        f"{start}{length}Transfer-Encoding: gzip\n",
        f"{start}{length}Transfer-Encoding: chunked, identity\n",
        f"{start}{length}Content-Type: text/plain\n",
        f"{start}{length}Content-Encoding: gzip\n",
    ):
        assert raw(client, head, body) in (400, 415, 501), head


def test_a_second_authorization_header_gives_no_access(
    serve: Serve, picture: bytes, tmp_path: Path
) -> None:
    """Neither of two headers counts."""
    (tmp_path / "token").write_bytes("\ufeffright\r\n".encode())  # as Notepad writes it
    client = serve(token_file=str(tmp_path / "token"))
    body = part(picture) + END
    start = f"POST /predict HTTP/1.1\nHost: x\nContent-Type: {FORM}\nContent-Length: {len(body)}\n"
    assert raw(client, f"{start}Authorization: Bearer right\n", body) == 200
    for headers in ("Authorization: Bearer right\nAuthorization: Bearer wrong\n", ""):
        assert raw(client, start + headers, body) == 401
