"""Reading config.yaml: all mistakes at once, each with its place, value and fix."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.config import Config, load_config, read_secret
from edge.config.loader import parse_config
from edge.core.errors import EXIT_USAGE, ConfigError
from tests.conftest import WriteConfig


def problems(text: str, folder: Path = Path("/cfg")) -> list[str]:
    """The sentences about a text."""
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "config.yaml", folder)
    assert caught.value.exit_code == EXIT_USAGE
    return caught.value.problems


EVERY_MISTAKE = """\
statoin: line1
model:
  path: m.tflite
  threds: 2
cameras:
  - id: a
    source: usb
  - id: b
    source: "test:"
    fps: fast
  - id: b
    source: "test:"
mqtt:
  port: 70000
  host: x
  host: y
"""


def test_every_mistake_at_once_at_its_place() -> None:
    """Eight mistakes give eight sentences, in the file's order, each with line and column."""
    found = problems(EVERY_MISTAKE)
    starts = [
        "config.yaml:1:1: station: is missing; add it",
        "config.yaml:1:1: statoin: unknown key; did you mean 'station'? (got \"line1\")",
        "config.yaml:4:3: model.threds: unknown key; did you mean 'threads'? (got 2)",
        "config.yaml:7:5: cameras[0].source: must be v4l2:/dev/video0, rtsp://…",
        'config.yaml:10:5: cameras[1].fps: must be a number (got "fast")',
        "config.yaml:11:5: cameras[2].id: camera 2 has this id too; give each its own (got 'b')",
        "config.yaml:14:3: mqtt.port: must be less than or equal to 65535 (got 70000)",
        "config.yaml:16:3: mqtt.host: appears twice (first in line 15); remove one",
    ]
    assert len(found) == len(starts)
    for sentence, start in zip(found, starts):
        assert sentence.startswith(start)


INDENT = 'check indentation and quotes here and in the line above ("test:" needs quotes)'


@pytest.mark.parametrize(
    ("text", "start", "fix"),
    [
        ("cameras:\n  - id: top\n    source: test:\n", "3:17: not YAML: mapping val", INDENT),
        ("station: 'a\n", "2:1: not YAML: found unexpected end", INDENT),
        ("a: [1, 2\n", "2:1: not YAML: ", INDENT),
        ("a: 1\n---\nb: 2\n", "2:1: not YAML: but found another document", "remove the line ---"),
        ("station: s\n\tmodel: x\n", "2:1: not YAML: found character '\\t'", "not with tabs"),
        ("a: *x\n", "1:4: not YAML: found undefined alias 'x'", "*name repeats what &name marks"),
        ('p: "C:\\models"\n', "1:8: not YAML: found unknown escape", "use single quotes, or /"),
        ("p: %TEMP%\n", "1:4: not YAML: found character '%'", "put the value in quotes"),
        ("station: 'a”\n", "2:1: not YAML: found unexpected end", INDENT),
        ("a: b\x1b[31m\n", "1:5: holds a control character (U+001B)", "remove it"),
        ("a: 1\nb: \x00\n", "2:4: holds a control character (U+0000)", "remove it"),
        ("a: b\x85c: d\n", "1:5: holds a control character (U+0085)", "remove it"),
        ("# b\u2028c: d\n", "1:4: holds a line separator (U+2028)", "remove it"),
    ],
)
def test_yaml_syntax_error_has_its_place(text: str, start: str, fix: str) -> None:
    """A text that is no YAML gives one sentence with line, column and fix."""
    (sentence,) = problems(text)
    assert sentence.startswith(f"config.yaml:{start}")
    assert fix in sentence


@pytest.mark.parametrize("text", ["", "# nothing\n", "just text\n", "- a\n- b\n", "42\n"])
def test_file_without_keys(text: str) -> None:
    """A file that holds no keys says where to start from."""
    (sentence,) = problems(text)
    assert sentence.startswith("config.yaml:1:1: holds no keys; start from the config.yaml")


def test_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    """A missing file, and a folder in its place, are errors with the fix."""
    with pytest.raises(ConfigError, match=r"No such file.*-c FILE"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load_config(tmp_path)


def test_file_that_is_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8, and a file far too large, are refused."""
    path = tmp_path / "config.yaml"
    path.write_bytes(b"station: \xff\n")
    with pytest.raises(ConfigError, match="not UTF-8 text \\(byte 9\\)"):
        load_config(path)
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ConfigError, match="larger than 1000000 bytes"):
        load_config(path)


def test_paths_count_from_the_files_folder(write_config: WriteConfig, tmp_path: Path) -> None:
    """Relative paths, those of folder: and replay: too, count from config.yaml's folder."""
    path = write_config(
        model={"path": "m/a.tflite"},
        outbox={"path": "/abs/outbox.db"},
        cameras=[
            {"id": "a", "source": "folder:drop"},
            {"id": "b", "source": "replay:/abs/pictures"},
            {"id": "c", "source": "v4l2:dev"},
        ],
    )
    config = load_config(path)
    assert config.model.path == tmp_path / "m/a.tflite"
    assert config.outbox.path == Path("/abs/outbox.db")
    assert [camera.rest for camera in config.cameras] == [
        f"{tmp_path}/drop",
        "/abs/pictures",
        "dev",
    ]


def test_unreadable_secret_is_found_at_start(write_config: WriteConfig, tmp_path: Path) -> None:
    """A missing password file is found before the connection."""
    path = write_config(mqtt={"username": "u", "password_file": "secret"})
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    (sentence,) = caught.value.problems
    assert "mqtt.password_file: cannot be read (No such file or directory); check" in sentence
    assert str(tmp_path / "secret") in sentence


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "not UTF-8")]
)
@pytest.mark.parametrize("section", ["mqtt", "web"])
def test_secret_that_is_none(
    content: bytes, words: str, section: str, write_config: WriteConfig, tmp_path: Path
) -> None:
    """An empty or garbled secret is refused: an empty token would admit everyone."""
    (tmp_path / "secret").write_bytes(content)
    path = (
        write_config(mqtt={"username": "u", "password_file": "secret"})
        if section == "mqtt"
        else write_config(web={"token_file": "secret"})
    )
    with pytest.raises(ConfigError, match=words):
        load_config(path)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_secret_of_any_editor_is_read(encoding: str, end: str, tmp_path: Path) -> None:
    """Byte order mark and line end are no part of it, blanks are."""
    (tmp_path / "secret").write_bytes(f" pässword {end}".encode(encoding))
    assert read_secret(tmp_path / "secret") == " pässword "


def test_password_in_a_source_is_never_shown() -> None:
    """A mistake in a camera shows its value without the password, however long that is."""
    secret = "s3cret" * 30
    text = f"station: s\nmodel: {{path: m}}\ncameras: [{{id: a, source: 'rtps://u:{secret}@h'}}]"
    found = problems(text + "\n")
    assert "s3cret" not in "\n".join(found)
    assert "rtps://h" in found[0]


def test_dates_stay_text(write_config: WriteConfig) -> None:
    """A station that looks like a date is a name."""
    text = "station: 2026-01-02\nmodel: {path: m}\ncameras: [{id: a, source: 'test:'}]\n"
    assert load_config(write_config(text)).station == "2026-01-02"


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*Config.model_fields, "extra"]), VALUES))
def test_any_values_give_a_config_or_sentences(values: dict[str, object]) -> None:
    """No value in any section gives anything but a configuration or a ConfigError."""
    text = yaml.safe_dump(values)
    sentences: list[str] = []
    try:
        parse_config(text, "config.yaml", Path("/cfg"))
    except ConfigError as error:
        sentences = error.problems
    assert all(sentence.startswith("config.yaml:") for sentence in sentences)


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs"]), max_size=60))
def test_any_text_gives_a_config_or_sentences(text: str) -> None:
    """No text at all gives anything but a ConfigError."""
    with pytest.raises(ConfigError):
        parse_config(text, "config.yaml", Path("/cfg"))
