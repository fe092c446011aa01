"""Of a camera's source only kind, host and path leave the box."""

import base64
import hashlib
import string
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from edge.core.redaction import mask_credentials, mask_secrets, redact

ALPHABET = string.ascii_letters + string.digits + "!$%&*()=.,;:@/?#+-_~"
SECRET = st.text(ALPHABET, min_size=5, max_size=12).map("47Q11".__add__)

EVERYWHERE = [
    "rtsp://user:{}@cam.local:554/stream",
    "rtsp://{}@cam.local/stream",
    "rtsp://{}:pw@cam.local/stream",
    "http://cam/mjpg/video.cgi?user=admin&pwd={}",
    "http://cam/video?{}",
    "http://cam/video#{}",
    "http://cam/video;token={}",
    "http://cam/{}/video",
    "http://cam/token/{}",
    "https://u:{}@cam",
    "rtsp://cam/user=admin_password={}_channel=1_stream=0.sdp",
    "gstreamer:rtspsrc location=rtsp://u:{}@cam/1 ! decodebin",
    "gstreamer:rtspsrc location=rtsp://cam/1 user-id=admin user-pw={} ! decodebin",
    'gstreamer:rtspsrc user-pw="{} ! x" ! decodebin',
    "gstreamer:souphttpsrc location=http://cam/?k={} cookies={} ! decodebin",
    "gstreamer:rtspsrc user-pw='{} ! decodebin",
    "v4l2:/dev/video0?key={}",
    "http://u%3A{}%40cam/video",
    "http://cam\\@{}/video",
    "http://cam/pwd%2F{}%23/video",
    "gstreamer:rtspsrc user-pw = {} ! decodebin",
    "rtps://u:{}@cam",
    "{}@cam",
]


@pytest.mark.parametrize("place", [one for one in EVERYWHERE if "cam/{}/" not in one])
@settings(max_examples=30)
@given(secret=SECRET)
def test_no_secret_survives(place: str, secret: str) -> None:
    """Raw or with escapes: neither the public form nor a library's sentence shows it."""
    for written in (secret, quote(secret, safe="")):
        source = place.replace("{}", written)
        assert secret not in mask_credentials(source)
        assert written not in mask_credentials(source)


@given(st.binary(min_size=9, max_size=9))
@example(b"\xaa\xaa\xca\xca\xa0\x01B\xca\xeb")
def test_random_tokens_in_a_path_are_hidden(data: bytes) -> None:
    """As cameras make them: hexadecimal or base64."""
    for secret in (data.hex(), base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()):
        assume(len(set(secret)) > 7)
        assert mask_credentials(f"http://cam/{secret}/video") == "http://cam/***/video"


@pytest.mark.parametrize("place", EVERYWHERE[:21])
def test_no_secret_survives_in_a_sentence(place: str) -> None:
    """The sentence of a library that quotes the source, a part of it, or the secret alone."""
    secret = "Hunter2Xq9z7"
    source = place.replace("{}", secret)
    for sentence in (f"cannot open {source} (401)", f"bad value '{secret}'", source[8:]):
        assert secret not in redact(sentence, source), sentence


@pytest.mark.parametrize(
    ("source", "public"),
    [
        ("rtsp://u:p@10.0.0.1:554/Streaming/Channels/101", "rtsp://10.0.0.1:554/Streaming/Channels/101"),
        ("http://h:81/axis-cgi/mjpg/video.cgi?camera=1", "http://h:81/axis-cgi/mjpg/video.cgi"),
        ("rtsp://h/h264Preview_01_main", "rtsp://h/h264Preview_01_main"),
        ("rtsp://[fe80::1%eth0]/x", "rtsp://[fe80::1%eth0]/x"),
        ("rtsp://u:a/b@host", "rtsp://***"),
        ("rtsp://u:123/b@host", "rtsp://***"),
        ("http://h/k7Jh2Lq9Zx/video", "http://h/***/video"),
        ("gstreamer:v4l2src device=/dev/video0 ! video/x-raw,width=640 ! jpegdec",
         "gstreamer:v4l2src ! video/x-raw ! jpegdec"),
        ("v4l2:/dev/v4l/by-id/usb-M_0123-index0", "v4l2:/dev/v4l/by-id/usb-M_0123-index0"),
        ("folder:/srv/가/a@b?c", "folder:/srv/가/a@b?c"),
        ("picamera:0", "picamera:0"),
        ("test:", "test:"),
        ("usb", "usb"),
    ],
)  # fmt: skip
def test_public_forms(source: str, public: str) -> None:
    """Enough to know which camera it is."""
    assert mask_credentials(source) == public


def test_sentences_of_ours_stay() -> None:
    """Examples of addresses are no addresses."""
    sentence = "must be v4l2:/dev/video0, rtsp://…, http://…, folder:PATH; see https://x.org/a."
    assert redact(sentence, "http://u:p@h/") == sentence


def test_values_of_config_keys() -> None:
    """A password under a wrong key is hidden, at any depth; a pin named pass is not."""
    assert mask_secrets({"password": "x", "a": [{"api_key": 1}], "pass": 4}, "mqtt") == {
        "password": "***",
        "a": [{"api_key": "***"}],
        "pass": 4,
    }
    assert mask_secrets("/run/secret", "password_file") == "/run/secret"
