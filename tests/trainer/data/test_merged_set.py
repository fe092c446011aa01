"""Several data sets as one: sides, groups and links."""

from pathlib import Path

import pytest

from edge.core.errors import DatasetError
from edge.core.terms import EXPORTED_GROUP
from tests.trainer.conftest import draw_picture, write_manifest
from trainer.audit import audit_dataset
from trainer.data.dataset import Dataset, load_dataset
from trainer.data.merged_set import merge_plan, read_sources, write_merged


def draw(root: Path, folders: dict[str, int], seed: int = 0) -> list[str]:
    """Draws pictures into folders of `root`; returns their posix names."""
    files = []
    for folder, count in folders.items():
        for _ in range(count):
            seed += 1
            file = f"{folder}/p{seed:04}.png"
            draw_picture(root / file, seed, defective=not folder.endswith("ok"))
            files.append(file)
    return files


def split_set(root: Path, seed: int = 0) -> Path:
    folders = {f"{side}/{label}": 6 for side in ("train", "test") for label in ("ok", "scratch")}
    draw(root, folders, seed)
    return root


def merged(
    target: Path, roots: list[Path], test_from: Path | None = None, ok_label: str = "ok"
) -> Dataset:
    sources = read_sources(roots, ok_label)
    write_merged(target, sources, merge_plan(sources, test_from=test_from))
    return load_dataset(target, ok_label)


def of(data: Dataset, source: str, set_name: str | None = None) -> list[str]:
    return [
        one.file
        for one in data.samples
        if f"/{source}/" in one.file and set_name in (None, one.set_name)
    ]


def test_a_split_set_keeps_its_sides_and_another_is_split(tmp_path: Path) -> None:
    old = split_set(tmp_path / "old")
    draw(tmp_path / "new", {"ok": 8, "scratch": 8}, seed=500)
    data = merged(tmp_path / "data", [old, tmp_path / "new"])
    kept = {Path(one.file).name for one in data.of("test") if "/old/" in one.file}
    assert kept == {path.name for path in (old / "test").rglob("*.png")}
    assert len(of(data, "new", "test")) == 4  # a quarter
    assert len(of(data, "new")) == 16
    assert [one[0] for one in data.sources] == ["old", "new"]


def test_the_pictures_are_links_to_the_same_bytes(tmp_path: Path) -> None:
    data = merged(tmp_path / "data", [split_set(tmp_path / "a"), split_set(tmp_path / "b", 900)])
    for one in data.samples:
        assert one.path.is_symlink()
        assert one.path.read_bytes() == one.path.resolve().read_bytes()


def test_sets_without_sides_are_split_together(tmp_path: Path) -> None:
    for number, name in enumerate(("a", "b")):
        draw(tmp_path / name, {"ok": 10, "scratch": 10}, seed=700 * number)
    data = merged(tmp_path / "data", [tmp_path / "a", tmp_path / "b"])
    assert not (tmp_path / "data" / "train").exists()
    assert len(data.of("test")) == 10


def test_a_set_of_one_class_adds_to_the_others(tmp_path: Path) -> None:
    old = split_set(tmp_path / "old")
    draw(tmp_path / "new", {"scratch": 3}, seed=500)
    data = merged(tmp_path / "data", [old, tmp_path / "new"], test_from=old)
    assert len(of(data, "new")) == 3
    assert not of(data, "new", "test")


def test_test_from_leaves_the_test_set_as_it_was(tmp_path: Path) -> None:
    old, new = split_set(tmp_path / "old"), split_set(tmp_path / "new", seed=500)
    data = merged(tmp_path / "data", [old, new], test_from=old)
    before = {one.path.read_bytes() for one in load_dataset(old).of("test")}
    assert {one.path.read_bytes() for one in data.of("test")} == before
    assert len(of(data, "new")) == 12  # its own test pictures stay out


def test_equal_group_names_of_two_sets_are_different_parts(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 500)):
        root = split_set(tmp_path / name, seed)
        files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
        # group 1 is in train of a and in test of b
        side = "train" if name == "a" else "test"
        write_manifest(
            root,
            [(file, file.split("/")[1], "1" if file.startswith(side) else file) for file in files],
        )
    data = merged(tmp_path / "data", [tmp_path / "a", tmp_path / "b"])
    assert {"a/1", "b/1"} <= {one.group for one in data.samples}


def exported(root: Path, folders: dict[str, int], seed: int, group: str) -> Path:
    files = draw(root, folders, seed)
    write_manifest(
        root, [(file, file.split("/")[-2], f"{EXPORTED_GROUP}{group}") for file in files]
    )
    return root


def test_an_exported_group_goes_to_the_side_where_it_is(tmp_path: Path) -> None:
    old = split_set(tmp_path / "old")
    files = sorted(path.relative_to(old).as_posix() for path in old.rglob("*.png"))
    part = f"{EXPORTED_GROUP}L3/part/7"
    write_manifest(
        old,
        [(f, f.split("/")[1], part if f.startswith("test/scratch") else f) for f in files],
    )
    new = exported(tmp_path / "new", {"scratch": 5}, 500, "L3/part/7")
    data = merged(tmp_path / "data", [old, new])
    assert len(of(data, "new", "test")) == 5


def test_an_exported_group_on_both_sides_is_refused(tmp_path: Path) -> None:
    folders = {f"{side}/{label}": 3 for side in ("train", "test") for label in ("ok", "scratch")}
    for name, side, seed in (("a", "train", 0), ("b", "test", 500)):
        files = draw(tmp_path / name, folders, seed)
        part = f"{EXPORTED_GROUP}L3/part/7"
        write_manifest(
            tmp_path / name,
            [(f, f.split("/")[1], part if f.startswith(f"{side}/ok") else f) for f in files],
        )
    sources = read_sources([tmp_path / "a", tmp_path / "b"], "ok")
    with pytest.raises(DatasetError, match="1 groups stand in train of one data set and in test"):
        merge_plan(sources)
    assert merge_plan(sources, test_from=tmp_path / "a")


def test_the_audit_of_all_finds_a_part_on_both_sides(tmp_path: Path) -> None:
    """A test picture of one set that another set brings into train."""
    old = split_set(tmp_path / "old")
    copied = next((old / "test" / "scratch").iterdir())
    target = tmp_path / "new" / "scratch" / "again.png"
    target.parent.mkdir(parents=True)
    target.write_bytes(copied.read_bytes())
    data = merged(tmp_path / "data", [old, tmp_path / "new"], test_from=old)
    leaks = audit_dataset(data.root).leaks
    assert {Path(leak.file).name for leak in leaks} | {Path(leak.other).name for leak in leaks} == {
        copied.name,
        "again.png",
    }


def test_sets_of_one_name_stay_apart(tmp_path: Path) -> None:
    roots = [split_set(tmp_path / "x" / "set"), split_set(tmp_path / "y" / "set", 500)]
    data = merged(tmp_path / "data", roots)
    assert [one[0] for one in data.sources] == ["set", "set-2"]
    assert len(data.samples) == 48


def test_the_same_call_gives_the_same_set(tmp_path: Path) -> None:
    old = split_set(tmp_path / "old")
    draw(tmp_path / "new", {"ok": 8, "scratch": 8}, seed=500)
    first = merged(tmp_path / "data", [old, tmp_path / "new"])
    again = merged(tmp_path / "data", [old, tmp_path / "new"])
    assert first == again
    assert first.fingerprint() == again.fingerprint()


@pytest.mark.parametrize(
    ("roots", "test_from", "sentence"),
    [
        (("old", "old"), None, "old: is named twice"),
        (("old", "good"), None, "calls its good parts 'good', not 'ok'"),
        (("old", "none"), None, "none: no such folder"),
        (("old", "other"), "none", "--test-from .*none: is none of the data sets"),
    ],
)
def test_refused(
    tmp_path: Path, roots: tuple[str, ...], test_from: str | None, sentence: str
) -> None:
    split_set(tmp_path / "old")
    split_set(tmp_path / "other", 500)
    draw(tmp_path / "good", {"good": 2, "scratch": 2})
    with pytest.raises(DatasetError, match=sentence):
        merge_plan(
            read_sources([tmp_path / name for name in roots], "ok"),
            test_from=None if test_from is None else tmp_path / test_from,
        )


def test_a_foreign_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(DatasetError, match="not empty"):
        merged(tmp_path / "data", [split_set(tmp_path / "old"), split_set(tmp_path / "b", 500)])
    assert (tmp_path / "data" / "notes.txt").read_text(encoding="utf-8") == "mine"
