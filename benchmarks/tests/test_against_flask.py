"""benchmarks/against_flask.py, as far as it goes without Flask and TensorFlow."""

import email
import importlib.util
import sys
from email.message import Message

import pytest

from benchmarks import against_flask
from edge.core.errors import EXIT_USAGE


def test_what_is_missing_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without Flask or Keras: one sentence, and exit code 2."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(sys, "argv", ["against_flask"])
    assert against_flask.main() == EXIT_USAGE
    assert "flask and keras not installed" in (said := capsys.readouterr().err)
    assert "pip install '.[bench,train]'" in said


def test_a_picture_is_uploaded_as_a_form() -> None:
    """The body is what a browser sends: one part, named `image`, with the picture's bytes."""
    body = against_flask.multipart(b"\xff\xd8picture\xff\xd9")
    head = f"Content-Type: multipart/form-data; boundary={against_flask.BOUNDARY}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body)
    part = message.get_payload(0)
    assert isinstance(part, Message)
    assert len(message.get_payload()) == 1
    assert part.get_param("name", header="content-disposition") == "image"
    assert part.get_payload(decode=True) == b"\xff\xd8picture\xff\xd9"


def test_ratios_are_of_each_round() -> None:
    """Frames/s more is better, CPU a frame less is; a slow round is slow for both."""
    app = [{"fps": 10.0, "cpu_ms": 100.0}, {"fps": 5.0, "cpu_ms": 200.0}]
    daemon = [{"fps": 200.0, "cpu_ms": 5.0}, {"fps": 100.0, "cpu_ms": 10.0}]
    assert against_flask.against(app, daemon) == {
        "fps": 150.0,
        "cpu_ms": 7.5,
        "times_the_frames": 20.0,
        "times_the_cpu": 20.0,
    }
    assert against_flask.workers()[0] == 1
