"""config.yaml as people write it: merge keys, anchors, tags, quotes, and files that are hostile."""

import resource
import time
from pathlib import Path

import pytest

from edge.config import Config, load_config
from edge.config.loader import parse_config
from edge.core.errors import ConfigError

REST = "model: {path: m.tflite}\ncameras: [{id: a, source: 'test:'}]\n"
GOOD = f"station: s\n{REST}"


def config_of(text: str) -> Config:
    """A text without mistakes."""
    return parse_config(text, "config.yaml", Path("/cfg"))


def sentence_of(text: str) -> str:
    """The only sentence about a text."""
    with pytest.raises(ConfigError) as caught:
        config_of(text)
    (sentence,) = caught.value.problems
    return sentence


def test_a_merge_key_is_overridden() -> None:
    """`<<: *name` gives the keys that the mapping itself does not have."""
    config = config_of(
        "station: s\nmodel: {path: m}\ncameras:\n"
        "  - &cam\n    id: left\n    source: 'test:'\n    timeout_s: 8\n"
        "  - <<: *cam\n    id: right\n"
    )
    assert [(c.id, c.timeout_s) for c in config.cameras] == [("left", 8.0), ("right", 8.0)]


def test_of_several_merged_mappings_the_first_wins() -> None:
    """A list of aliases, and a merged mapping that merges another; anchors stand under x-…."""
    config = config_of(
        "x-low: &low {port: 1, keepalive_s: 10}\nx-high: &high {<<: *low, port: 2, prefix: p}\n"
        f"{GOOD}mqtt: {{<<: [*high, *low], host: h}}\n"
    )
    mqtt = config.mqtt
    assert (mqtt.host, mqtt.port, mqtt.keepalive_s, mqtt.prefix) == ("h", 2, 10, "p")


def test_a_mistake_in_a_merged_value_has_the_anchors_place() -> None:
    """The place is the line that must be changed."""
    text = f"x-broker: &b\n  prot: 1\n{GOOD}mqtt:\n  <<: *b\n"
    assert sentence_of(text).startswith("config.yaml:2:3: mqtt.prot: unknown key; did you mean")


def test_x_keys_are_for_the_top_level() -> None:
    """They change nothing, not even the hash. Below they are mistakes."""
    assert config_of(f"{GOOD}x-note: {{any: [1, text]}}\n").hash == config_of(GOOD).hash
    assert "move it there" in sentence_of(f"{GOOD}mqtt: {{x-note: 1}}\n")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0755", 'reads 0755 as the number 493; put text in quotes ("0755")'),
        ("12:30", 'reads 12:30 as the number 750; put text in quotes ("12:30")'),
        ("1:30:00.5", "as the number 5400.5; put text in quotes"),
        ("NO", 'must be text; put it in quotes: "NO" (got NO, which YAML reads as false)'),
        ("on", 'put it in quotes: "on"'),
        ("~", 'put it in quotes: "~"'),
        ("5", 'put it in quotes: "5"'),
        ("1.5e+3", 'put it in quotes: "1.5e+3"'),
        ("0x1F", 'put it in quotes: "0x1F" (got 0x1F, which YAML reads as 31)'),
        ("", "must be text; write one, or remove the key (got nothing)"),
        ("“s”", "has typographic quotes (“)"),
        ("a\u00a0b", "holds U+00A0, which only looks like a space or nothing"),
        ("!!binary aGk=", "the tag !!binary is not for config.yaml; remove it"),
        ("!vault x", "the tag !vault is not for config.yaml"),
        ("!!python/name:os.system x", "the tag !!python/name:os.system is not"),
        ("!!int abc", "cannot be read as a whole number; correct it (got abc)"),
        ("!!bool maybe", "cannot be read as true or false"),
        ('"\\ud800"', "holds a lone surrogate (U+D800)"),
        ('"a\\nb"', "holds a control character (U+000A)"),
        ('"\\ufdd0"', "holds a non-character (U+FDD0)"),
        ('"\\u2028"', "holds a line separator (U+2028)"),
        ('"C:\\temp"', "in double quotes \\ begins an escape"),
        ("{{ name }}", "a key must be text, not a list or {…}; put {{…}} in quotes"),
    ],
)
def test_a_value_that_yaml_reads_otherwise_says_how_to_write_it(value: str, words: str) -> None:
    """The sentence stands at the value and names the fix."""
    sentence = sentence_of(f"station: {value}\n{REST}")
    assert sentence.startswith("config.yaml:1:")
    assert words in sentence


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("outbox: {max_mb: 1e3}", "must be a number; YAML reads 1e3 as text, write 1000"),
        ("mqtt: {port: 01883}", "YAML reads 01883 as text, write 1883"),
        ("mqtt: {port: 00755}", "YAML reads 00755 as the number 493"),
        ("mqtt: {embedded: ja}", 'must be true or false (got "ja")'),
        ("“mqtt”: {}", "the key '“mqtt”' has typographic quotes"),
        ('"\\ud800": 1', "the key '\\ud800' holds a lone surrogate (U+D800)"),
        ("outbox: !!set {a}", "the tag !!set"),
        ("mqtt: {<<: 5}", "must be *name of keys and values"),
    ],
)
def test_other_keys_too(line: str, words: str) -> None:
    """Numbers, booleans and keys have their own fix."""
    assert words in sentence_of(f"{GOOD}{line}\n")


def test_tags_of_plain_types_are_allowed() -> None:
    """`!!str 0755` is text, `!!int "1883"` is a number."""
    config = config_of(f"station: !!str 0755\n{REST}mqtt: {{port: !!int '1883'}}\n")
    assert (config.station, config.mqtt.port) == ("0755", 1883)


def test_a_block_of_lines_becomes_one_line() -> None:
    """A long pipeline may be written over several lines."""
    camera = "  - id: a\n    source: |\n      gstreamer:videotestsrc\n      ! queue\n"
    config = config_of(f"station: s\nmodel: {{path: m}}\ncameras:\n{camera}")
    assert config.cameras[0].source == "gstreamer:videotestsrc ! queue"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom", "utf-32"]
)
def test_files_of_windows_are_read(encoding: str, tmp_path: Path) -> None:
    """Byte order marks and CRLF, as Notepad and PowerShell write them."""
    text = GOOD.replace("station: s", "station: 라인").replace("\n", "\r\n")
    if encoding.endswith("-bom"):
        text, encoding = f"\ufeff{text}", encoding.removesuffix("-bom")
    path = tmp_path / "config.yaml"
    path.write_bytes(text.encode(encoding))
    assert load_config(path).station == "라인"


BOMB = "x-a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"x-{chr(98 + i)}: &{chr(98 + i)} [{','.join([f'*{chr(97 + i)}'] * 9)}]\n" for i in range(8)
)
MERGE_BOMB = "x-m0: &m0 {k: v}\n" + "".join(
    f"x-m{i}: &m{i} {{<<: [{','.join([f'*m{i - 1}'] * 9)}], k{i}: 1}}\n" for i in range(1, 10)
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB + GOOD, "aliases (*name) expanded"),
        (MERGE_BOMB + GOOD, "aliases (*name) expanded"),
        (f"x-a: &a [*a]\n{GOOD}", "nested more than 32 levels deep, or in itself"),
        (f"x-a: &a {{<<: *a}}\n{GOOD}", "nested more than 32 levels deep, or in itself"),
        ("a: " + "[" * 300_000, "nested more than 32 levels deep"),
        ("{a: " * 50_000, "nested more than 32 levels deep"),
        ("- " * 200_000, "nested more than 32 levels deep"),
        ("".join(f"k{i}: {i}\n" for i in range(50_000)), "more than 10000 keys and values"),
        ("a: [" + "1," * 300_000 + "]", "more than 10000 keys and values"),
        (f"station: {'s' * 900_000}\n{REST}", "must have at most 64 characters"),
        (f"station: s\n{REST}decision: {{reject_at: {'9' * 900_000}}}\n", "as a whole number"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_a_hostile_file_is_refused_quickly(text: str, words: str) -> None:
    """In one short sentence, within seconds of processor time, and without memory for the
    expansion: 1 kB of aliases would be 400 MB."""
    before_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.process_time()
    sentence = sentence_of(text)
    assert words in sentence
    assert len(sentence) < 300
    assert time.process_time() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before_mb < 60


@pytest.mark.slow
def test_thousands_of_mistakes_give_fifty_sentences() -> None:
    """The list goes into messages, so it is limited."""
    with pytest.raises(ConfigError) as caught:
        config_of(GOOD + "".join(f"k{i}: {i}\n" for i in range(3000)))
    assert len(caught.value.problems) == 51
    assert caught.value.problems[-1].endswith("2950 more mistakes; correct these first")


def test_a_device_is_no_configuration() -> None:
    """An endless device must not fill the memory or block a reload."""
    with pytest.raises(ConfigError, match="is no file"):
        load_config(Path("/dev/zero"))


@pytest.mark.parametrize(
    "line",
    [
        "mqtt: {password: hunter2}",
        "mqtt: {pasword: hunter2}",
        "mqtt: {kennwort: hunter2}",
        "mqtt: [{password: hunter2}]",
        "mqtt: {tls: {key_password: hunter2}}",
        "mqtt: {host: 'mqtt://user:hunter2@broker'}",
        "mqtt: {host: 'user:hunter2@broker'}",
        "web: {token: hunter2, port: 0}",
        "archive: 'ftp://u:hunter2@h'",
    ],
)
def test_a_secret_in_the_wrong_place_is_not_shown(line: str) -> None:
    """A mistake goes into the log and into `info`: it shows no password."""
    with pytest.raises(ConfigError) as caught:
        config_of(f"{GOOD}{line}\n")
    assert "hunter2" not in str(caught.value)
