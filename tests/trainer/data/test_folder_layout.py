"""Data sets as people have them: exports of other tools, archives, file servers, other systems."""

import os
import unicodedata
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.core.errors import DatasetError
from edge.inspection import InputSpec
from trainer.audit.examine import audit_items
from trainer.data import load_dataset, load_for_evaluation, load_pictures
from trainer.data.folder_layout import find_pictures, typed_name

PICTURE = cv2.imencode(".png", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()
JPEG = cv2.imencode(".jpg", np.full((8, 8, 3), 90, np.uint8))[1].tobytes()


def _fill(folder: Path, count: int, *, prefix: str = "", suffix: str = ".png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(count):
        content = PICTURE if suffix == ".png" else JPEG
        (folder / f"{prefix}{at:03}{suffix}").write_bytes(content)


def _flat(root: Path, count: int = 12) -> Path:
    _fill(root / "ok", count)
    _fill(root / "scratch", count)
    return root


@pytest.mark.parametrize("name", ["valid", "val", "validation"])
def test_a_validation_folder_is_the_validation_set(tmp_path: Path, name: str) -> None:
    """Roboflow's valid/ is used as it is; nothing is cut from train."""
    for folder, count in (("train", 10), (name, 4), ("test", 5)):
        _flat(tmp_path / folder, count)
    data = load_dataset(tmp_path)
    assert data.counts() == {
        "train": {"ok": 10, "scratch": 10},
        "validation": {"ok": 4, "scratch": 4},
        "test": {"ok": 5, "scratch": 5},
    }
    assert {sample.file.split("/")[0] for sample in data.of("validation")} == {name}
    assert Counter(item.side for item in audit_items(tmp_path)) == {
        "train": 20, "validation": 8, "test": 10
    }  # fmt: skip


def test_a_validation_folder_must_show_good_and_defective_parts(tmp_path: Path) -> None:
    """Thresholds cannot be chosen on good parts alone."""
    _flat(tmp_path / "train")
    _flat(tmp_path / "test")
    _fill(tmp_path / "valid/ok", 3)
    with pytest.raises(DatasetError, match="validation folder needs good and defective"):
        load_dataset(tmp_path)
    _flat(tmp_path / "valid")
    _flat(tmp_path / "val")
    with pytest.raises(DatasetError, match="has valid/ and val/"):
        load_dataset(tmp_path)


def test_a_validation_folder_without_test_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Train and valid alone would leave nothing to measure on."""
    _flat(tmp_path / "train")
    _flat(tmp_path / "valid")
    with pytest.raises(DatasetError, match="rename valid/ to test/"):
        load_dataset(tmp_path)


def test_a_group_in_train_and_valid_is_refused(tmp_path: Path) -> None:
    """A part in the training and in the validation folder makes thresholds untrue."""
    rows = ["file,label,group"]
    for folder in ("train", "valid", "test"):
        _flat(tmp_path / folder, 4)
        for label in ("ok", "scratch"):
            for at in range(4):
                group = "shared" if at == 0 and folder != "test" else f"{folder}{label}{at}"
                rows.append(f"{folder}/{label}/{at:03}.png,{label},{group}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    with pytest.raises(DatasetError, match=r"1 groups stand in both train/ and valid/ \(shared\)"):
        load_dataset(tmp_path)


def test_an_mvtec_set_names_the_options_that_it_needs(tmp_path: Path) -> None:
    """MVTec has test/good, no defect in train/, and masks beside."""
    _fill(tmp_path / "train/good", 20)
    _fill(tmp_path / "test/good", 5)
    _fill(tmp_path / "test/bent", 5)
    _fill(tmp_path / "ground_truth/bent", 5)
    with pytest.raises(DatasetError, match="add --ok-label good --network one-class"):
        load_dataset(tmp_path)
    with pytest.raises(DatasetError, match="train with --network one-class"):
        load_dataset(tmp_path, "good")
    data = load_dataset(tmp_path, "good", one_class=True)
    assert data.counts()["test"] == {"good": 5, "anomaly": 5}
    assert data.counts()["train"] == {"good": 16, "anomaly": 0}


@pytest.mark.parametrize("inner", ["parts", "my set"])
def test_a_folder_in_a_folder_is_named(tmp_path: Path, inner: str) -> None:
    """Archives often hold one folder more than people think."""
    _flat(tmp_path / "a" / inner / "train")
    _flat(tmp_path / "a" / inner / "test")
    with pytest.raises(DatasetError) as caught:
        load_dataset(tmp_path / "a")
    assert "holds train/ and test/" in str(caught.value)
    assert f"give {tmp_path / 'a' / inner}" in str(caught.value)
    _flat(tmp_path / "b" / inner)
    with pytest.raises(DatasetError) as caught:
        load_dataset(tmp_path / "b")
    assert f"{inner}/ holds ok/; give {tmp_path / 'b' / inner}" in str(caught.value)


@pytest.mark.parametrize(
    ("written", "right"),
    [("Train Test", "Test/; rename it to test/"), ("train TEST", "TEST/; rename it to test/"),
     ("training testing", "testing/; rename it to test/"),
     ("TRAIN Valid", "TRAIN/; rename it to train/")],
)  # fmt: skip
def test_set_folders_under_other_names_are_no_classes(
    tmp_path: Path, written: str, right: str
) -> None:
    """Windows and macOS keep capitals; a part of a class would be lost without a word."""
    for name in written.split():
        _flat(tmp_path / name)
    with pytest.raises(DatasetError, match=f"has {right}"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("name", ["MANIFEST.CSV", "Manifest.csv", "manifest.csv.txt"])
def test_a_manifest_under_another_name_is_refused(tmp_path: Path, name: str) -> None:
    """Without its groups a part could stand on both sides. A copy beside manifest.csv is none."""
    _flat(tmp_path, 4)
    (tmp_path / name).write_text("file;label;group\n")
    with pytest.raises(DatasetError, match=f"{name}: rename it to manifest.csv"):
        load_dataset(tmp_path)
    rows = [f"{label}/{at:03}.png,{label},{at}" for label in ("ok", "scratch") for at in range(4)]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,label,group", *rows]))
    assert {sample.group for sample in load_dataset(tmp_path).samples} == {"0", "1", "2", "3"}


def test_a_pipe_with_a_pictures_name_is_refused(tmp_path: Path) -> None:
    """Reading it would never end."""
    _flat(tmp_path)
    os.mkfifo(tmp_path / "ok/a.png")
    with pytest.raises(DatasetError, match=r"ok/a\.png: is a pipe, a socket or a device; remove"):
        load_dataset(tmp_path)


def test_folders_of_systems_are_no_classes(tmp_path: Path) -> None:
    """What macOS archives and file servers leave behind holds pictures that nobody took."""
    _flat(tmp_path)
    for name in ("__MACOSX", "@eaDir", ".thumbnails", "$RECYCLE.BIN", "#recycle"):
        _fill(tmp_path / name / "ok", 2)
        _fill(tmp_path / "ok" / name, 2)
    (tmp_path / "ok/._000.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "ok/Thumbs.db").write_bytes(b"x")
    data = load_dataset(tmp_path)
    assert len(data.samples) == 24
    assert data.labels == ("ok", "scratch")
    assert data.left_out == ""


def test_other_formats_are_counted_and_named(tmp_path: Path) -> None:
    """No file is left out unnoticed, and the sentence names the formats."""
    _flat(tmp_path)
    for name in ("a.tif", "b.TIF", "c.webp", "d.heic", "e"):
        (tmp_path / "ok" / name).write_bytes(b"x")
    (tmp_path / "loose.jpg").write_bytes(JPEG)
    text = load_dataset(tmp_path).left_out
    for part in ("6 files left out", "2 .tif", "1 .webp", "1 .heic", "1 without a suffix"):
        assert part in text
    assert "1 in no class folder" in text
    assert "ok/d.heic" in text


def test_a_folder_of_other_formats_only_says_so(tmp_path: Path) -> None:
    """A class whose pictures cannot be read is refused with the files' names."""
    _fill(tmp_path / "ok", 3)
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch/a.tiff").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"1 other files: scratch/a\.tiff"):
        load_dataset(tmp_path)


@pytest.mark.parametrize("suffix", [".jpe", ".jfif", ".JPG", ".JFIF"])
def test_every_suffix_of_jpeg_is_read(tmp_path: Path, suffix: str) -> None:
    """Browsers save JPEGs as .jfif, old Windows as .jpe."""
    _fill(tmp_path / "ok", 6, suffix=suffix)
    _fill(tmp_path / "scratch", 6, suffix=suffix)
    data = load_dataset(tmp_path)
    assert load_pictures(data.samples, InputSpec(width=8, height=8)).shape[0] == 12


def test_names_that_are_not_utf8_are_used_and_shown_escaped(tmp_path: Path) -> None:
    """A name from an old Korean Windows works; its bytes are shown, and can be stored as text."""
    _flat(tmp_path)
    folder = tmp_path / os.fsdecode(b"\xb1\xd7\xc0\xbd")  # "그음" in CP949
    _fill(folder, 6, prefix=os.fsdecode(b"\xbb\xe7\xc1\xf8"))
    data = load_dataset(tmp_path)
    assert "\\xb1\\xd7\\xc0\\xbd" in data.labels
    names = [sample.file for sample in data.samples if sample.label.startswith("\\")]
    assert len(names) == 6
    assert all(name.encode("utf-8").isascii() for name in names)
    assert load_pictures(data.samples, InputSpec(width=8, height=8)).shape[0] == 30
    assert len(data.fingerprint()) == 64


def test_control_characters_in_names_cannot_forge_a_line(tmp_path: Path) -> None:
    """A line feed in a file name is shown as an escape."""
    _flat(tmp_path)
    (tmp_path / "ok/a\nedge-train: done.png").write_bytes(PICTURE)
    files = [sample.file for sample in load_dataset(tmp_path).samples]
    assert "ok/a\\nedge-train: done.png" in files


def test_hangul_matches_in_both_unicode_forms(tmp_path: Path) -> None:
    """macOS stores 양품 as several characters; a person types it as two."""
    typed, stored = "양품", unicodedata.normalize("NFD", "양품")
    assert typed != stored
    _fill(tmp_path / stored, 8, prefix=unicodedata.normalize("NFD", "사진"))
    _fill(tmp_path / "scratch", 8)
    data = load_dataset(tmp_path, typed)
    assert data.labels == (typed, "scratch")
    assert data == load_dataset(tmp_path, stored)
    rows = [f"{one.file},{one.label},g{at}" for at, one in enumerate(data.samples)]
    (tmp_path / "manifest.csv").write_text("\n".join(["file,label,group", *rows]), "utf-8")
    assert len({one.group for one in load_dataset(tmp_path, typed).samples}) == 16
    assert load_pictures(data.samples, InputSpec(width=8, height=8)).shape[0] == 16


def test_one_name_in_two_unicode_forms_is_refused(tmp_path: Path) -> None:
    """Two files that print alike could not be told apart in a manifest."""
    _flat(tmp_path)
    for form in ("NFC", "NFD"):
        (tmp_path / "ok" / unicodedata.normalize(form, "양.png")).write_bytes(PICTURE)
    with pytest.raises(DatasetError, match="a second picture has this name"):
        load_dataset(tmp_path)


def test_a_link_back_to_its_parent_is_not_followed(tmp_path: Path) -> None:
    """A link to a folder above would never end."""
    _flat(tmp_path, 4)
    (tmp_path / "ok/again").symlink_to(tmp_path / "ok", target_is_directory=True)
    (tmp_path / "ok/top").symlink_to("../..", target_is_directory=True)
    assert len(find_pictures(tmp_path).labels) == 8


def test_typed_names_are_stable() -> None:
    """A name that a person typed keeps its form."""
    for name in ("ok/a.png", "양품/사진 1.png", "Kratzer_ä.png", "a\\b.png"):
        assert typed_name(name) == unicodedata.normalize("NFC", name)
        assert typed_name(typed_name(name)) == typed_name(name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("semicolons", "file;label;group\n{rows;}"),
        ("tabs", "file\tlabel\tgroup\n{rows\t}"),
        ("sep line", "sep=;\r\nfile;label;group\r\n{rows;}"),
        ("capitals", "File,Label,GROUP\n{rows,}"),
        ("spaces", " file , label , group \n{rows,}"),
        ("empty rows and columns", "file,label,group,,\n{rows,}\n,,\n\n"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_manifests_in_the_spellings_of_spreadsheets(
    tmp_path: Path, name: str, content: str, encoding: str
) -> None:
    """Semicolons, tabs, `sep=`, capitals and UTF-16 of a spreadsheet are read."""
    _flat(tmp_path, 4)
    head, _, tail = content.partition("{rows")
    delimiter, after = tail[0], tail[2:]
    rows = [
        delimiter.join((f"{label}/{at:03}.png", label, f"part {at}"))
        for label in ("ok", "scratch")
        for at in range(4)
    ]
    (tmp_path / "manifest.csv").write_bytes((head + "\n".join(rows) + after).encode(encoding))
    groups = {sample.group for sample in load_dataset(tmp_path).samples}
    assert groups == {f"part {at}" for at in range(4)}, name


@pytest.mark.parametrize("spelling", ["./{}", ".\\{}", "{root}/{}", "{} ", "././{}", "{root}\\{}"])
def test_paths_in_a_manifest_as_people_write_them(tmp_path: Path, spelling: str) -> None:
    """`./`, backslashes and absolute paths name the same picture."""
    _flat(tmp_path, 4)
    rows = ["file,label,group"]
    for label in ("ok", "scratch"):
        for at in range(4):
            file = f"{label}/{at:03}.png"
            if "\\" in spelling:
                file = file.replace("/", "\\")
            rows.append(f"{spelling.format(file, root=tmp_path)},{label},part {at}")
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    assert {sample.group for sample in load_dataset(tmp_path).samples} == {
        f"part {at}" for at in range(4)
    }


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"sep=;\nfile;label;group\nnone.png;ok;a\n", ":3: none.png is no picture"),
        (b"file,File,label,group\n", ":1: two columns are named file"),
        (b"sep=::\nfile;label;group\n", ":1: sep= must name one character"),
        ("file,label,group\n사진.png,양품,a\n".encode("cp949"), ": is not UTF-8"),
        (b"file,label,group\n../ok/000.png,ok,a\n", ":2: ../ok/000.png is no picture"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_line(
    tmp_path: Path, content: bytes, text: str
) -> None:
    """The line counts `sep=` as well."""
    _flat(tmp_path, 4)
    (tmp_path / "manifest.csv").write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        load_dataset(tmp_path)
    assert f"manifest.csv{text}" in str(caught.value)


def test_a_folder_without_a_split_is_measured_whole(tmp_path: Path) -> None:
    """Other pictures than those of the training are all measured."""
    root = _flat(tmp_path, 12)
    data = load_for_evaluation(root, "ok", {"fingerprint": "of other pictures"})
    assert data.counts()["test"] == {"ok": 12, "scratch": 12}
    assert len(data.of("test")) == len(data.samples)


def test_of_its_own_training_folder_only_the_test_set_is_measured(tmp_path: Path) -> None:
    """Pictures that a model was trained on would make the figures untrue."""
    root = _flat(tmp_path, 12)
    trained = load_dataset(root)
    recorded = {"fingerprint": trained.fingerprint(), "split_seed": 0}
    data = load_for_evaluation(root, "ok", recorded)
    assert data.of("test") == trained.of("test")
    assert len(data.of("test")) == 6


def test_a_split_folder_keeps_its_test_set(tmp_path: Path) -> None:
    """test/ is the test set of an evaluation too."""
    _flat(tmp_path / "train", 8)
    _flat(tmp_path / "test", 5)
    data = load_for_evaluation(tmp_path, "ok", {})
    assert data.counts()["test"] == {"ok": 5, "scratch": 5}
