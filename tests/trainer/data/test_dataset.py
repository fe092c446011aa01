"""The requirements of a data set folder, and its split without leaks."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.core.errors import DatasetError
from edge.inspection.preprocessing import InputSpec
from tests.trainer.conftest import Draw, write_manifest
from trainer.data.dataset import SET_NAMES, load_dataset
from trainer.data.pictures import load_pictures


@given(
    st.lists(
        st.tuples(st.sampled_from(["ok", "scratch", "dent"]), st.integers(0, 11)),
        min_size=1,
        max_size=60,
    ),
    st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_each_group_is_in_one_set_and_no_sample_is_lost(
    drawn: list[tuple[str, int]], seed: int
) -> None:
    """Each sample is in exactly one set, and all samples of a group are in the same set."""
    # Six groups more of two classes, so that most draws can be split.
    drawn = drawn + [(label, 20 + at) for label in ("ok", "scratch") for at in range(6)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        rows = []
        for at, (label, group) in enumerate(drawn):
            path = root / label / f"{at}.png"
            path.parent.mkdir(exist_ok=True)
            path.touch()
            rows.append((f"{label}/{at}.png", label, f"g{group}"))
        write_manifest(root, rows)
        try:
            data = load_dataset(root, seed=seed)
        except DatasetError as error:
            assert "too few groups" in str(error)  # noqa: PT017 - only this refusal is right
            return
        again = load_dataset(root, seed=seed)
    assert sorted(sample.file for sample in data.samples) == sorted(row[0] for row in rows)
    assert sum(len(data.of(set_name)) for set_name in SET_NAMES) == len(rows)
    sets: dict[str, set[str]] = {}
    for sample in data.samples:
        sets.setdefault(sample.group, set()).add(sample.set_name)
    assert all(len(found) == 1 for found in sets.values())
    assert data == again


def test_labels_begin_with_ok_and_samples_are_sorted(draw_dataset: Draw) -> None:
    """`ok` is output 0, the others follow by name; samples are sorted by file."""
    data = load_dataset(draw_dataset(4, labels=("ok", "scratch", "dent")))
    assert data.labels == ("ok", "dent", "scratch")
    files = [sample.file for sample in data.samples]
    assert files == sorted(files)
    assert data.of("test")[0].file == "test/dent/dent000.png"


def test_validation_is_cut_from_train_only(draw_dataset: Draw) -> None:
    """The test set of a split data set is the folder test/."""
    data = load_dataset(draw_dataset(10))
    assert {sample.file.split("/")[0] for sample in data.of("test")} == {"test"}
    assert data.counts() == {
        "train": {"ok": 8, "scratch": 8},
        "validation": {"ok": 2, "scratch": 2},
        "test": {"ok": 10, "scratch": 10},
    }


def test_flat_folder_is_split_by_the_fractions(draw_dataset: Draw) -> None:
    """A flat folder gives a quarter to test and a fifth of the rest to validation."""
    counts = load_dataset(draw_dataset(40, split=False)).counts()
    assert [counts[name]["ok"] for name in SET_NAMES] == [24, 6, 10]
    assert [counts[name]["scratch"] for name in SET_NAMES] == [24, 6, 10]


def test_fingerprint_changes_with_any_picture(draw_dataset: Draw) -> None:
    """The fingerprint depends on names and contents only."""
    root = draw_dataset(4)
    before = load_dataset(root).fingerprint()
    assert before == load_dataset(root, seed=9).fingerprint()
    path = root / "test/ok/ok000.png"
    path.write_bytes(path.read_bytes() + b"\0")
    assert load_dataset(root).fingerprint() != before


def test_manifest_may_have_more_columns_and_a_byte_order_mark(draw_dataset: Draw) -> None:
    """Unknown columns and a byte order mark are ignored."""
    root = draw_dataset(4, split=False)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    lines = ["note,group,file,label", *(f"x,{f[-7:]},{f},{f.split('/')[0]}" for f in files)]
    (root / "manifest.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    assert {sample.group for sample in load_dataset(root).samples} == {
        f"00{at}.png" for at in range(4)
    }


def _damage_no_ok(root: Path) -> None:
    for set_name in ("train", "test"):
        (root / set_name / "ok").rename(root / set_name / "fine")


def _damage_one_class(root: Path) -> None:
    for path in root.glob("*/scratch/*"):
        path.unlink()
    for folder in root.glob("*/scratch"):
        folder.rmdir()


def _damage_empty_class(root: Path) -> None:
    (root / "train/dent").mkdir()


def _damage_no_test(root: Path) -> None:
    (root / "test").rename(root.parent / "elsewhere")


def _damage_class_only_in_train(root: Path) -> None:
    (root / "train/dent").mkdir()
    (root / "train/dent/a.png").touch()


def _damage_class_only_in_test(root: Path) -> None:
    (root / "test/dent").mkdir()
    (root / "test/dent/a.png").touch()


def _damage_one_picture_a_class(root: Path) -> None:
    for folder in root.glob("train/*"):
        for path in sorted(folder.iterdir())[1:]:
            path.unlink()


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_damage_no_ok, "no class 'ok' for good parts (found fine, scratch)"),
        (_damage_one_class, "only one class, 'ok'"),
        (_damage_empty_class, "train/dent: the class folder holds no picture"),
        (_damage_no_test, "has train/ but no test/"),
        (_damage_class_only_in_train, "test: no picture of the class 'dent'"),
        (_damage_class_only_in_test, "train: no picture of the class 'dent'"),
        (_damage_one_picture_a_class, "too few groups in train to cut off a validation set"),
    ],
)
def test_an_unsuitable_data_set_is_refused(
    draw_dataset: Draw, damage: Callable[[Path], None], text: str
) -> None:
    """Each defect of the folders is refused with place and fix."""
    root = draw_dataset(4)
    damage(root)
    with pytest.raises(DatasetError) as caught:
        load_dataset(root)
    assert str(caught.value).startswith(str(root))
    assert text in str(caught.value)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    """A missing folder and a folder without pictures give different errors."""
    with pytest.raises(DatasetError, match="no such folder"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no pictures in"):
        load_dataset(tmp_path)


def test_a_class_with_one_group_cannot_be_tested(draw_dataset: Draw) -> None:
    """A class with one part cannot be in train and in test."""
    root = draw_dataset(8, split=False)
    (root / "dent").mkdir()
    (root / "dent/only.png").touch()
    with pytest.raises(DatasetError, match="'dent' has too few groups to be in both"):
        load_dataset(root)


def test_a_group_in_train_and_test_is_a_leak(draw_dataset: Draw) -> None:
    """A part in train/ and test/ is refused by name."""
    root = draw_dataset(4)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    write_manifest(root, [(f, f.split("/")[1], f[-7:-4]) for f in files])
    with pytest.raises(DatasetError, match=r"4 groups stand in both train/ and test/ \(000, 001"):
        load_dataset(root)


GOOD_ROWS = ["train/ok/ok000.png,ok,a", "train/ok/ok001.png,ok,b"]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("file,label\n", ":1: no column group"),
        ("", ":1: no column file and no column label and no column group"),
        ("file,label,group\ntrain/ok/none.png,ok,a\n", ":2: train/ok/none.png is no picture"),
        ("file,label,group\ntrain/ok/ok000.png,scratch,a\n", ":2: train/ok/ok000.png lies in"),
        ("file,label,group\ntrain/ok/ok000.png,ok,\n", ":2: group is empty"),
        ("file,label,group\ntrain/ok/ok000.png,ok\n", ":2: not as many cells"),
        ("file,label,group\ntrain/ok/ok000.png,ok,a,b\n", ":2: not as many cells"),
        (
            "\n".join(["file,label,group", *GOOD_ROWS, GOOD_ROWS[0]]),
            ":4: train/ok/ok000.png stands on line 2 already",
        ),
        ('file,label,group\n"train/ok/ok000.png"x,ok,a\n', ":2: is no CSV ("),
        ("file,label,group\ntrain/ok/ok000.png,ok,a\n", ": 15 pictures have no row"),
    ],
)
def test_a_flawed_manifest_is_refused_with_its_line(
    draw_dataset: Draw, content: str, text: str
) -> None:
    """Each mistake in manifest.csv is refused with its line."""
    root = draw_dataset(4)
    (root / "manifest.csv").write_text(content)
    with pytest.raises(DatasetError) as caught:
        load_dataset(root)
    assert f"{root / 'manifest.csv'}{text}" in str(caught.value)


def test_a_manifest_that_is_no_text_is_refused(draw_dataset: Draw) -> None:
    """A manifest in another encoding is refused as such."""
    root = draw_dataset(4)
    (root / "manifest.csv").write_bytes(b"file,label,group\n\xff\xfe,ok,a\n")
    with pytest.raises(DatasetError, match="is not UTF-8"):
        load_dataset(root)


def test_all_unreadable_pictures_are_named_at_once(draw_dataset: Draw) -> None:
    """The error names ten broken pictures and the number of the others."""
    root = draw_dataset(8)
    broken = sorted((root / "train").rglob("*.png"))[:12]
    for path in broken:
        path.write_text("not a picture")
    with pytest.raises(DatasetError) as caught:
        load_pictures(load_dataset(root).samples, InputSpec(width=8, height=8))
    error = str(caught.value)
    assert error.startswith("12 of 32 pictures cannot be used")
    assert all(str(path) in error for path in broken[:10])
    assert "and 2 more" in error


def test_pictures_have_the_shape_of_the_input(draw_dataset: Draw) -> None:
    """Loaded pictures have the shape of the input and the order of the samples."""
    data = load_dataset(draw_dataset(4))
    seen: list[tuple[int, int]] = []
    pictures = load_pictures(
        data.samples, InputSpec(width=16, height=12), lambda done, total: seen.append((done, total))
    )
    assert pictures.shape == (16, 12, 16, 3)
    assert seen[-1] == (16, 16)
    bright = pictures.max(axis=(1, 2, 3)) > 150
    assert [sample.label == "scratch" for sample in data.samples] == bright.tolist()
