"""Packing and reading the model file. The reader trusts nothing."""

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.core.errors import EXIT_USAGE, ModelError
from edge.inspection.model_file import (
    INSPECTION,
    LABELS,
    MAX_MEMBER,
    ModelFile,
    OutputSpec,
    load_model_file,
    pack_model_file,
    parse_model_file,
)
from tests.edge.inspection.conftest import with_members

MANY = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def load(content: bytes, folder: Path) -> ModelFile:
    """Loads these bytes as a model file."""
    path = folder / "model.tflite"
    path.write_bytes(content)
    return load_model_file(path)


def refusal(content: bytes, folder: Path) -> str:
    """The error sentence for these bytes."""
    with pytest.raises(ModelError) as caught:
        load(content, folder)
    assert caught.value.exit_code == EXIT_USAGE
    text = str(caught.value)
    assert text.startswith(f"{folder}/model.tflite: ")
    assert "\n" not in text
    return text


def test_packing_and_loading_come_back(redness: ModelFile, tflite: bytes, tmp_path: Path) -> None:
    """A packed file reads back, and the same arguments give the same bytes."""
    assert redness.spec is not None
    assert redness.labels == ("ok", "red")
    packed = pack_model_file(tflite, redness.labels, redness.spec, redness.golden)
    # the committed file is of an earlier version, which wrote no checksum at the end
    assert packed[:-73] == redness.content[:-2]
    assert pack_model_file(tflite, redness.labels, redness.spec, redness.golden) == packed
    again = load(packed, tmp_path)
    assert (again.spec, again.golden) == (redness.spec, redness.golden)


def test_what_no_box_could_read_is_not_written(redness: ModelFile) -> None:
    """An inspection.json with a value that a box refuses is refused where it is made."""
    with pytest.raises(ValueError, match="greater than 0"):
        OutputSpec(kind="logits", temperature=0.0)
    assert redness.spec is not None
    with pytest.raises(ValueError, match="greater than or equal to 8"):
        redness.spec.replace(input=redness.spec.input.replace(width=0))


def test_anyone_can_list_the_files(redness_model: Path) -> None:
    """`unzip -l` and zipfile list the appended files."""
    with zipfile.ZipFile(redness_model) as archive:
        assert archive.namelist()[:2] == [LABELS, INSPECTION]
        assert archive.read(LABELS) == b"ok\nred\n"
        assert json.loads(archive.read(INSPECTION))["schema"] == "edge-inspect/model/1"


def test_plain_model_has_no_labels(plain_model: Path) -> None:
    """A plain .tflite loads, names itself by its file and says nothing of labels."""
    plain = load_model_file(plain_model)
    assert (plain.labels, plain.spec, plain.golden) == (None, None, {})
    assert (plain.identity.name, plain.identity.version) == ("plain", "0")


def test_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    """A missing model is one sentence with the fix, and so is a folder in its place."""
    with pytest.raises(ModelError, match=r"No such file.*make demo.*model\.path"):
        load_model_file(tmp_path / "none.tflite")
    with pytest.raises(ModelError, match="Is a directory"):
        load_model_file(tmp_path)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\x89PNG\r\n\x1a\n" + bytes(50), b"text\n" * 9])
def test_not_a_model(content: bytes, tmp_path: Path) -> None:
    """Bytes without TFLite's mark are refused before anything looks at them."""
    assert "not a TFLite model" in refusal(content, tmp_path)


def test_copy_that_broke_off_is_no_plain_model(redness: ModelFile, tmp_path: Path) -> None:
    """A packed model cut anywhere in its appendix is refused, never taken for a plain one."""
    start = redness.content.index(b"PK\x03\x04")
    for cut in range(start + 60, len(redness.content) - 1, 7):
        assert "copy it again" in refusal(redness.content[:cut], tmp_path)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (b"ok\n", "at least two"),
        (b"", "at least two"),
        (b"ok\nok\n", "all different"),
        (b"good\nbad\n", "'ok' is not among its labels"),
        (b"ok\n\xff\xfe\n", "not UTF-8"),
        (None, "labels.txt is missing"),
    ],
)
def test_labels_that_are_none(
    labels: bytes | None, words: str, redness: ModelFile, tflite: bytes, tmp_path: Path
) -> None:
    """Labels that are missing, garbled, repeated or without the good class are refused."""
    assert redness.spec is not None
    members = {INSPECTION: json.dumps(redness.spec.to_dict()).encode()}
    if labels is not None:
        members[LABELS] = labels
    assert words in refusal(with_members(tflite, members), tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "edge-inspect/model/3"}, "it was made by a newer edge-inspect: update"),
        ({"schema": "edge-inspect/model/0"}, "'edge-inspect/model/2'; convert the model"),
        ({"schema": "edge-inspect/model/2"}, "edge-inspect/model/2 has input.decoding"),
        ({"schema": None}, "has schema None"),
        (
            {"unknown": 1},
            "says 'unknown', which this version does not know; it was made by a newer",
        ),
        ({"name": ""}, "name: "),
        ({"thresholds": {"reject_at": 0.4, "review_from": 0.6}}, "above reject_at"),
        ({"thresholds": {"reject_at": float("nan"), "review_from": 0}}, "NaN is no JSON"),
        ({"output": {"kind": "logits", "temperature": 0}}, "output.temperature"),
        ({"output": {"kind": "logits", "temperature": float("inf")}}, "Infinity is no JSON"),
        ({"input": {"width": 16}}, "input.height: is missing"),
        (
            {"golden": [{"file": "../x", "label": "ok", "score": 0}]},
            "golden[0].file: must lie in golden/ (got '../x')",
        ),
    ],
)
def test_recipe_that_is_none(
    change: dict[str, Any], words: str, redness: ModelFile, tflite: bytes, tmp_path: Path
) -> None:
    """An inspection.json of a newer schema, or with an unknown key or value, is refused by name."""
    assert redness.spec is not None
    spec = {**redness.spec.to_dict(), **change}
    members = {LABELS: b"ok\nred\n", INSPECTION: json.dumps(spec).encode()}
    assert words in refusal(with_members(tflite, members), tmp_path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000])
def test_recipe_that_is_no_json(text: bytes, tflite: bytes, tmp_path: Path) -> None:
    """Bytes that are no JSON object are refused, however deep they nest."""
    sentence = refusal(with_members(tflite, {LABELS: b"a\nok\n", INSPECTION: text}), tmp_path)
    assert INSPECTION in sentence


@pytest.mark.slow
def test_members_are_bounded(tflite: bytes, tmp_path: Path) -> None:
    """A member that would inflate past the limit, and too many members, are refused."""
    bomb = with_members(tflite, {LABELS: bytes(MAX_MEMBER + 1)})
    assert "labels.txt inside is too large" in refusal(bomb, tmp_path)
    together = with_members(tflite, {f"golden/{n}.png": bytes(MAX_MEMBER) for n in range(3)})
    assert len(together) < 2 * MAX_MEMBER // 100 + len(tflite)
    assert "more than 64 MB unpacked" in refusal(together, tmp_path)
    many = with_members(tflite, {f"golden/{n}.png": b"" for n in range(300)})
    assert "300 files inside, at most 256" in refusal(many, tmp_path)


def test_names_inside_are_never_paths(tflite: bytes, tmp_path: Path) -> None:
    """Nothing is unpacked to the disk, whatever a file inside is called."""
    evil = {"golden/../../../evil.png": b"x", "../evil.txt": b"x", "/etc/evil": b"x"}
    (tmp_path / "box").mkdir()
    loaded = load(with_members(tflite, {**evil, LABELS: b"ok\nred\n"}), tmp_path / "box")
    assert loaded.labels == ("ok", "red")
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert not [name for name in found if "evil" in name]
    assert not Path("/etc/evil").exists()


def test_files_of_other_tools_do_no_harm(tflite: bytes, tmp_path: Path) -> None:
    """Another tool's appended files are left alone."""
    loaded = load(with_members(tflite, {"README.md": b"hi", LABELS: b"ok\nred\n"}), tmp_path)
    assert loaded.labels == ("ok", "red")
    assert loaded.spec is None


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_no_damage_to_the_appendix_gives_another_error(
    data: st.DataObject, redness: ModelFile, tmp_path: Path
) -> None:
    """Cut or flipped anywhere in the appendix, a file loads validly or is a ModelError."""
    start = redness.content.index(b"PK\x03\x04")
    content = bytearray(redness.content)
    size = len(content)
    for at in data.draw(st.lists(st.integers(start, size - 1), max_size=3)):
        content[at] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.just(size) | st.integers(start + 60, size))
    try:
        loaded = load(bytes(content[:cut]), tmp_path)
    except ModelError:
        return
    if loaded.spec is not None:
        assert loaded.labels is not None
        assert loaded.spec.ok_label in loaded.labels


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.slow
@MANY
@given(data=st.data())
def test_no_value_in_the_recipe_gives_another_error(
    data: st.DataObject, redness: ModelFile, tflite: bytes, tmp_path: Path
) -> None:
    """Any JSON value at any key of inspection.json loads validly or is a ModelError."""
    assert redness.spec is not None
    spec = redness.spec.to_dict()
    key = data.draw(st.sampled_from(sorted(spec)))
    inner = spec[key]
    if isinstance(inner, dict) and inner and data.draw(st.booleans()):
        inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(JSON)
    else:
        spec[key] = data.draw(JSON)
    members = {LABELS: b"ok\nred\n", INSPECTION: json.dumps(spec).encode()}
    sentence = ""
    try:
        load(with_members(tflite, members), tmp_path)
    except ModelError as error:
        sentence = str(error)
    assert "\n" not in sentence


def appended(tflite: bytes, members: list[tuple[str, bytes]]) -> bytes:
    """A model with these files in its archive, in this order; a name may stand twice."""
    buffer = io.BytesIO(tflite)
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")
        for name, data in members:
            archive.writestr(name, data)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "twin", ["labels.txt", "./labels.txt", "/labels.txt", "x/../labels.txt", "x\\..\\labels.txt"]
)
def test_a_file_that_stands_twice_is_refused(
    twin: str, redness: ModelFile, tflite: bytes, tmp_path: Path
) -> None:
    """Programs differ in which of the two they read, and the labels decide what is good."""
    assert redness.spec is not None
    spec = json.dumps(redness.spec.to_dict()).encode()
    members = [(LABELS, b"ok\nred\n"), (INSPECTION, spec), (twin, b"red\nok\n")]
    for order in (members, members[::-1]):
        said = refusal(appended(tflite, order), tmp_path)
        assert "labels.txt stands more than once in the files appended to the model" in said


def test_two_golden_pictures_of_one_name_are_refused(
    redness: ModelFile, tflite: bytes, tmp_path: Path
) -> None:
    """Whatever the name is."""
    assert redness.spec is not None
    spec = json.dumps(redness.spec.to_dict()).encode()
    members = [(LABELS, b"ok\nred\n"), (INSPECTION, spec), ("golden/a", b"1"), ("golden/a", b"2")]
    assert "golden/a stands more than once" in refusal(appended(tflite, members), tmp_path)


def test_two_archives_are_refused(redness: ModelFile, tflite: bytes, tmp_path: Path) -> None:
    """One program reads the first, another one the last."""
    assert redness.spec is not None
    members = {LABELS: b"ok\nred\n", INSPECTION: json.dumps(redness.spec.to_dict()).encode()}
    twice = with_members(tflite, members) + with_members(b"", members)
    assert "stands more than once" in refusal(twice, tmp_path)


def test_a_member_that_needs_much_to_unpack_is_refused(tflite: bytes, tmp_path: Path) -> None:
    """A bomb by its size, and methods whose dictionary may have any size."""
    for method, data, words in (
        (zipfile.ZIP_DEFLATED, bytes(40_000_000), "is too large (40000000 bytes"),
        (zipfile.ZIP_LZMA, b"ok\nred\n", "is compressed by method 14, not by deflate"),
        (zipfile.ZIP_BZIP2, b"ok\nred\n", "is compressed by method 12, not by deflate"),
    ):
        buffer = io.BytesIO(tflite)
        with zipfile.ZipFile(buffer, "a", method) as archive:
            archive.writestr(LABELS, data)
        assert words in refusal(buffer.getvalue(), tmp_path)


def test_a_wrong_checksum_is_damage(redness: ModelFile, tflite: bytes, tmp_path: Path) -> None:
    """A changed byte in a stored file is found by its CRC."""
    buffer = io.BytesIO(tflite)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(LABELS, b"ok\nred\n")
    changed = buffer.getvalue().replace(b"ok\nred\n", b"ok\nrod\n")
    assert "are damaged (Bad CRC-32" in refusal(changed, tmp_path)


def test_text_inside_that_nothing_may_hold(
    redness: ModelFile, tflite: bytes, tmp_path: Path
) -> None:
    """Labels and names go into messages; a key that stands twice is refused too."""
    assert redness.spec is not None
    spec = json.dumps(redness.spec.to_dict())
    for labels, text, words in (
        ("ok\nr\x1bed\n", spec, "a label holds a control character (U+001B)"),
        ("ok\nred\n", spec.replace('"redness"', '"\\ud800"'), "holds a lone surrogate (U+D800)"),
        ("ok\nred\n", spec.replace("{", '{"ok_label": "red", ', 1), "the key 'ok_label' stands"),
    ):
        members = {LABELS: labels.encode(), INSPECTION: text.encode()}
        assert words in refusal(with_members(tflite, members), tmp_path)


@pytest.fixture
def summed(redness: ModelFile, tflite: bytes) -> bytes:
    """A model file that ends with its checksum."""
    assert redness.spec is not None
    return pack_model_file(tflite, redness.labels or (), redness.spec, redness.golden)


def test_a_flipped_byte_is_refused(summed: bytes) -> None:
    """In the network, the archive and the checksum: one bit."""
    places = [*range(0, len(summed), 7), *range(len(summed) - 100, len(summed))]
    for place in places:
        changed = bytearray(summed)
        changed[place] ^= 1 << place % 8
        with pytest.raises(ModelError, match=r"^m: "):
            parse_model_file(bytes(changed), "m")


def test_a_checksum_that_is_cut_off_is_refused(summed: bytes) -> None:
    """The archive alone would be read without it."""
    for left in range(1, 71, 5):
        with pytest.raises(ModelError, match="copy it again"):
            parse_model_file(summed[:-left], "m")
