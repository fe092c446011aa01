"""What a folder must be to be trained on, and that no part stands on both sides."""

import tempfile
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
def test_no_group_straddles_and_no_sample_is_lost(drawn: list[tuple[str, int]], seed: int) -> None:
    """Each sample is in exactly one part, and all samples of a group are in the same."""
    # Two groups of each class at least three times, so that most draws can be split at all.
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
    assert sum(len(data.of(part)) for part in SET_NAMES) == len(rows)
    parts: dict[str, set[str]] = {}
    for sample in data.samples:
        parts.setdefault(sample.group, set()).add(sample.set_name)
    assert all(len(found) == 1 for found in parts.values())
    assert data == again


def test_labels_begin_with_ok_and_samples_are_sorted(draw_dataset: Draw) -> None:
    """`ok` is output 0, the others follow by name; pictures are in the order of their files."""
    data = load_dataset(draw_dataset(4, labels=("ok", "scratch", "dent")))
    assert data.labels == ("ok", "dent", "scratch")
    files = [sample.file for sample in data.samples]
    assert files == sorted(files)
    assert data.of("test")[0].file == "test/dent/dent000.png"


def test_validation_is_cut_from_train_only(draw_dataset: Draw) -> None:
    """The test set of a split data set is what lies in test/, all of it."""
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
    assert [counts[part]["ok"] for part in SET_NAMES] == [24, 6, 10]
    assert [counts[part]["scratch"] for part in SET_NAMES] == [24, 6, 10]


def test_fingerprint_changes_with_any_picture(draw_dataset: Draw) -> None:
    """The fingerprint is of names and contents, and of nothing else."""
    root = draw_dataset(4)
    before = load_dataset(root).fingerprint()
    assert before == load_dataset(root, seed=9).fingerprint()
    path = root / "test/ok/ok000.png"
    path.write_bytes(path.read_bytes() + b"\0")
    assert load_dataset(root).fingerprint() != before


def test_manifest_may_have_more_columns_and_a_byte_order_mark(draw_dataset: Draw) -> None:
    """Columns that we do not know, and the mark that spreadsheets write, do no harm."""
    root = draw_dataset(4, split=False)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    lines = ["note,group,file,label", *(f"x,{f[-7:]},{f},{f.split('/')[0]}" for f in files)]
    (root / "manifest.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    assert {sample.group for sample in load_dataset(root).samples} == {
        f"00{at}.png" for at in range(4)
    }


def _wreck_no_ok(root: Path) -> None:
    for part in ("train", "test"):
        (root / part / "ok").rename(root / part / "fine")


def _wreck_one_class(root: Path) -> None:
    for path in root.glob("*/scratch/*"):
        path.unlink()
    for folder in root.glob("*/scratch"):
        folder.rmdir()


def _wreck_empty_class(root: Path) -> None:
    (root / "train/dent").mkdir()


def _wreck_no_test(root: Path) -> None:
    (root / "test").rename(root.parent / "elsewhere")


def _wreck_class_only_in_train(root: Path) -> None:
    (root / "train/dent").mkdir()
    (root / "train/dent/a.png").touch()


def _wreck_class_only_in_test(root: Path) -> None:
    (root / "test/dent").mkdir()
    (root / "test/dent/a.png").touch()


def _wreck_one_picture_a_class(root: Path) -> None:
    for folder in root.glob("train/*"):
        for path in sorted(folder.iterdir())[1:]:
            path.unlink()


@pytest.mark.parametrize(
    ("wreck", "says"),
    [
        (_wreck_no_ok, "no class 'ok' for good parts (found fine, scratch)"),
        (_wreck_one_class, "only one class, 'ok'"),
        (_wreck_empty_class, "train/dent: the class folder holds no picture"),
        (_wreck_no_test, "has train/ but no test/"),
        (_wreck_class_only_in_train, "test: no picture of the class 'dent'"),
        (_wreck_class_only_in_test, "train: no picture of the class 'dent'"),
        (_wreck_one_picture_a_class, "too few groups in train to cut off a validation set"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(draw_dataset: Draw, wreck: Draw, says: str) -> None:
    """Each flaw of the folders is refused with the place and the mend."""
    root = draw_dataset(4)
    wreck(root)
    with pytest.raises(DatasetError) as caught:
        load_dataset(root)
    assert str(caught.value).startswith(str(root))
    assert says in str(caught.value)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    """A folder that is not there, and one without pictures, are two different mistakes."""
    with pytest.raises(DatasetError, match="no such folder"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no pictures in"):
        load_dataset(tmp_path)


def test_a_class_with_one_group_cannot_be_tested(draw_dataset: Draw) -> None:
    """A defect that only one part shows cannot be both trained on and tested."""
    root = draw_dataset(8, split=False)
    (root / "dent").mkdir()
    (root / "dent/only.png").touch()
    with pytest.raises(DatasetError, match="'dent' has too few groups to be in both"):
        load_dataset(root)


def test_a_group_in_train_and_test_is_a_leak(draw_dataset: Draw) -> None:
    """The same part in train/ and test/ is refused, and named."""
    root = draw_dataset(4)
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    write_manifest(root, [(f, f.split("/")[1], f[-7:-4]) for f in files])
    with pytest.raises(DatasetError, match=r"4 groups stand in both train/ and test/ \(000, 001"):
        load_dataset(root)


GOOD_ROWS = ["train/ok/ok000.png,ok,a", "train/ok/ok001.png,ok,b"]


@pytest.mark.parametrize(
    ("text", "says"),
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
    draw_dataset: Draw, text: str, says: str
) -> None:
    """Each flaw of manifest.csv is refused with the line it stands on."""
    root = draw_dataset(4)
    (root / "manifest.csv").write_text(text)
    with pytest.raises(DatasetError) as caught:
        load_dataset(root)
    assert f"{root / 'manifest.csv'}{says}" in str(caught.value)


def test_a_manifest_that_is_no_text_is_refused(draw_dataset: Draw) -> None:
    """A manifest in another encoding is refused as such."""
    root = draw_dataset(4)
    (root / "manifest.csv").write_bytes(b"file,label,group\n\xff\xfe,ok,a\n")
    with pytest.raises(DatasetError, match="is not UTF-8"):
        load_dataset(root)


def test_all_unreadable_pictures_are_named_at_once(draw_dataset: Draw) -> None:
    """Whoever repairs a data set learns of ten broken pictures and the count, not of one."""
    root = draw_dataset(8)
    broken = sorted((root / "train").rglob("*.png"))[:12]
    for path in broken:
        path.write_text("not a picture")
    with pytest.raises(DatasetError) as caught:
        load_pictures(load_dataset(root).samples, InputSpec(width=8, height=8))
    said = str(caught.value)
    assert said.startswith("12 of 32 pictures cannot be used")
    assert all(str(path) in said for path in broken[:10])
    assert "and 2 more" in said


def test_pictures_are_as_the_recipe_says(draw_dataset: Draw) -> None:
    """Loaded pictures have the recipe's shape and the samples' order."""
    data = load_dataset(draw_dataset(4))
    seen: list[tuple[int, int]] = []
    pictures = load_pictures(
        data.samples, InputSpec(width=16, height=12), lambda done, total: seen.append((done, total))
    )
    assert pictures.shape == (16, 12, 16, 3)
    assert seen[-1] == (16, 16)
    bright = pictures.max(axis=(1, 2, 3)) > 150
    assert [sample.label == "scratch" for sample in data.samples] == bright.tolist()
