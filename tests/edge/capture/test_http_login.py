"""The login to an HTTP camera: every scheme that cameras ask for, and sentences for the others."""

import socket
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.capture.drivers.http_login import Challenge, Login, LoginError, read_challenges
from edge.capture.drivers.mjpeg import MJPEGCamera
from edge.core.clock import StopEvent
from edge.core.errors import CameraError
from tests.edge.capture.conftest import camera_config
from tests.support.network_camera import (
    MULTIPART,
    OK,
    DigestCheck,
    Request,
    as_part,
    basic_is_right,
    network_camera,
    scene,
    to_jpeg,
)

NAME, PASSWORD = "box", 'p:w@d"\\'
JPEG = to_jpeg(scene(1))


def digest(algorithm: str | None, *more: str, nonce: str = "n0", qop: str | None = "auth") -> str:
    """A challenge for a Digest."""
    fields = ['realm="camera"', f'nonce="{nonce}"', 'opaque="zz"', *more]
    fields += [f"algorithm={algorithm}"] if algorithm else []
    fields += [f'qop="{qop}"'] if qop is not None else []
    return "Digest " + ", ".join(fields)


BASIC = 'Basic realm="camera"'
Right = Callable[[Request], bool]


def opens(
    challenges: Sequence[str], right: Right, name: str | None = NAME, password: str = PASSWORD
) -> list[Request]:
    """The requests until the camera has opened and delivered a picture. Raises CameraError."""

    def serve(client: socket.socket, request: Request) -> None:
        if right(request):
            client.sendall(OK + MULTIPART + b"\r\n" + as_part(JPEG, length=len(JPEG)))
            return
        heads = b"".join(b"WWW-Authenticate: " + c.encode() + b"\r\n" for c in challenges)
        client.sendall(b"HTTP/1.1 401 No\r\n" + heads + b"Content-Length: 4\r\n\r\nnope")

    with network_camera(serve) as server, pytest.MonkeyPatch.context() as patched:
        config = camera_config(server.url, timeout_s=10)
        credentials = None if name is None else (name, password)
        patched.setattr(
            "edge.capture.drivers.http_stream.split_source",
            lambda config: (config.source, credentials),
        )
        camera = MJPEGCamera(config)
        read = camera.read(StopEvent())
        camera.close()
        assert read is not None
        assert read.pixels is not None
        return server.requests


def check(algorithms: str = "", name: str = NAME, password: str = PASSWORD) -> Right:
    """Whether the answer is a right Digest, of this algorithm when one is named."""
    of = DigestCheck(name.encode(), password.encode())

    def right(request: Request) -> bool:
        header = request.headers.get("authorization", b"").decode("latin-1")
        return of.is_right(request) and (not algorithms or f"algorithm={algorithms}" in header)

    return right


@pytest.mark.parametrize(
    ("challenges", "algorithm"),
    [
        ([digest("MD5")], "MD5"),
        ([digest(None)], ""),
        ([digest("MD5", qop=None)], "MD5"),
        ([digest("md5-sess")], "md5-sess"),
        ([digest("SHA-256")], "SHA-256"),
        ([digest("SHA-256-sess")], "SHA-256-sess"),
        ([digest("SHA-512-256")], "SHA-512-256"),
        ([digest("SHA-256", qop="auth-int")], "SHA-256"),
        ([digest("SHA-256", qop="auth-int, auth")], "SHA-256"),
        ([digest("SHA-256", "userhash=true")], "SHA-256"),
        ([digest("MD5"), digest("SHA-256")], "SHA-256"),
        ([digest("SHA-256"), digest("MD5")], "SHA-256"),
        ([f"{digest('MD5')}, {digest('SHA-256')}, {BASIC}"], "SHA-256"),
        ([BASIC, digest("MD5")], "MD5"),
        ([f"Bearer, NTLM, Negotiate abc==, {BASIC}, {digest('MD5')}"], "MD5"),
        (["Bearer", digest("SHA-3-999"), digest("MD5", qop="future"), digest("MD5")], "MD5"),
        (['Digest realm="camera",nonce="n0",stale=FALSE,algorithm="MD5",qop="auth"'], "MD5"),
    ],
)
def test_the_strongest_challenge_is_answered(challenges: list[str], algorithm: str) -> None:
    """Several challenges come in one header or several; each Digest of RFC 7616 is answered, in
    one attempt."""
    assert len(opens(challenges, check(algorithm))) == 2


@pytest.mark.parametrize("challenge", [digest("SHA-256", "charset=UTF-8"), digest("MD5"), BASIC])
@pytest.mark.parametrize("name", ["box", "검사기", "prüfer"])
def test_names_and_passwords_of_any_language(challenge: str, name: str) -> None:
    """They are sent as UTF-8."""
    password = "pässwörd 암호"

    def right(request: Request) -> bool:
        if challenge == BASIC:
            return basic_is_right(request, name.encode(), password.encode())
        return check("", name, password)(request)

    assert len(opens([challenge], right, name, password)) == 2


@pytest.mark.parametrize("challenge", [digest("MD5"), BASIC])
def test_a_camera_of_before_utf8(challenge: str) -> None:
    """A camera that refuses UTF-8 gets Latin-1, where the password fits into it."""
    name, password = "prüfer", "geheim-ä"
    of = DigestCheck(name.encode("latin-1"), password.encode("latin-1"))

    def right(request: Request) -> bool:
        return of.is_right(request) or basic_is_right(request, of.name, of.password)

    assert len(opens([challenge], right, name, password)) == 3


def test_a_camera_that_knows_names_only_by_the_letter_of_the_rfc() -> None:
    """With charset=UTF-8 the name is also sent as `username*`."""
    right = check("", "검사기")
    requests = opens(
        [digest("SHA-256", "charset=UTF-8")],
        lambda request: (
            b"username*=" in request.headers.get("authorization", b"") and right(request)
        ),
        "검사기",
    )
    assert len(requests) == 3


def test_an_old_nonce_is_replaced() -> None:
    """A camera that says `stale` gets the same name and password with its new nonce."""
    of = DigestCheck(NAME.encode(), PASSWORD.encode(), nonce="new")
    asked: list[str] = []

    def serve(client: socket.socket, request: Request) -> None:
        if of.is_right(request):
            client.sendall(OK + MULTIPART + b"\r\n" + as_part(JPEG, length=len(JPEG)))
            return
        question = digest("MD5", "stale=true", nonce="new") if asked else digest("MD5")
        asked.append(question)
        head = f"HTTP/1.1 401 No\r\nWWW-Authenticate: {question}\r\n\r\n"
        client.sendall(head.encode())

    with network_camera(serve) as server:
        source = server.url.replace("//", "//box:p%3Aw%40d%22%5C@")
        camera = MJPEGCamera(camera_config(source, timeout_s=10))
        assert camera.read(StopEvent()) is not None
        camera.close()
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("challenges", "name", "words"),
    [
        ([digest("SHA-256"), BASIC], None, "asks for a name and a password (HTTP 401, Digest, Ba"),
        ([], None, "(HTTP 401, no known way), and none is configured"),
        (["Bearer"], NAME, "a login that is not supported (HTTP 401, Bearer); set the camera to"),
        ([], NAME, "a login that is not supported (HTTP 401, no known way)"),
        ([digest("SHA-3")], NAME, "not supported (HTTP 401, Digest)"),
        ([digest("MD5")], NAME, "refuses the name and password (HTTP 401); check credentials_file"),
        ([digest("MD5", "stale=true")], NAME, "refuses the name and password (HTTP 401)"),
        ([BASIC], NAME, "refuses the name and password (HTTP 401); check credentials_file"),
    ],
)
def test_a_login_that_fails_is_one_sentence(
    challenges: list[str], name: str | None, words: str
) -> None:
    """The sentence says what is missing, and never shows the password."""
    with pytest.raises(CameraError) as caught:
        opens(challenges, lambda _request: False, name)
    assert words in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_a_password_goes_to_no_other_host() -> None:
    """A redirection is followed; another host or plain HTTP gets no password."""
    seen: list[Request] = []

    def elsewhere(client: socket.socket, request: Request) -> None:
        seen.append(request)
        client.sendall(b"HTTP/1.1 401 No\r\nWWW-Authenticate: " + BASIC.encode() + b"\r\n\r\n")

    with network_camera(elsewhere) as other:
        target = other.url.replace("127.0.0.1", "localhost")

        def serve(client: socket.socket, _request: Request) -> None:
            client.sendall(f"HTTP/1.1 302 Found\r\nLocation: {target}\r\n\r\n".encode())

        with network_camera(serve) as server, pytest.raises(CameraError) as caught:
            MJPEGCamera(camera_config(server.url.replace("//", "//a:s3cret@"), timeout_s=10))
    assert "redirects to http://localhost" in str(caught.value)
    assert "write that address as source" in str(caught.value)
    assert [request.headers.get("authorization") for request in seen] == [None]


def test_a_redirection_on_the_same_host_is_followed() -> None:
    """Also to an address that asks for a login; an endless one is a sentence."""
    right = check("MD5")

    def serve(client: socket.socket, request: Request) -> None:
        if request.target == "/video":
            client.sendall(b"HTTP/1.1 301 Moved\r\nLocation: live?a=1\r\n\r\n")
        elif request.target == "/loop":
            client.sendall(b"HTTP/1.1 302 Found\r\nLocation: /loop\r\n\r\n")
        elif right(request):
            client.sendall(OK + MULTIPART + b"\r\n" + as_part(JPEG, length=len(JPEG)))
        else:
            head = f"HTTP/1.1 401 No\r\nWWW-Authenticate: {digest('MD5')}\r\n\r\n"
            client.sendall(head.encode())

    with network_camera(serve) as server:
        source = server.url.replace("//", "//box:p%3Aw%40d%22%5C@")
        camera = MJPEGCamera(camera_config(source, timeout_s=10))
        assert camera.read(StopEvent()) is not None
        camera.close()
        assert server.requests[-1].target == "/live?a=1"
        with pytest.raises(CameraError, match="redirects again and again"):
            MJPEGCamera(camera_config(source.replace("/video", "/loop"), timeout_s=10))


_PIECES = ["Digest ", "Basic ", "realm=", "nonce=", "qop=", "auth", "algorithm=", "SHA-256", "MD5"]
_HEADERS = st.lists(st.sampled_from([*_PIECES, ",", " ", "=", '"', "\\", "é"]), max_size=20).map(
    "".join
)


@given(st.lists(st.text(max_size=80) | _HEADERS, max_size=4))
def test_no_header_breaks_the_reader(headers: list[str]) -> None:
    """Whatever the camera sends as its challenge, the answer is a header or one sentence."""
    login = Login(("a", "b"))
    for _ in range(4):
        try:
            assert login.answer(headers, "GET", "/") != b""
        except LoginError:
            return


def test_challenges_are_read_by_the_letter() -> None:
    """Commas and equals signs in quotes, token68, and a scheme without fields."""
    found = read_challenges(
        ['Negotiate abc==, Digest realm="a, b=\\"c\\"", qop="auth, x",nc=1, New']
    )
    assert found == [
        Challenge("negotiate", {"abc": "="}),
        Challenge("digest", {"realm": 'a, b=\\"c\\"', "qop": "auth, x", "nc": "1"}),
        Challenge("new"),
    ]
