"""The judges of `scripts/powercut.sh --installed`: each finds what it is there for."""

from pathlib import Path

import pytest

from tests.machine.installedcut import Facts, boots, compare, slow
from tests.machine.watch import next_package, torn

WHOLE = ["active 20.0", "version v", "sum config a", "sum model m", "mount rw,relatime", "all"]


@pytest.fixture
def facts() -> Facts:
    """After a first boot that was as it should be."""
    facts = Facts(configs={"a", "b"})
    assert compare(WHOLE, facts, "-") == []
    return facts


@pytest.mark.parametrize(
    ("line", "instead", "wrong"),
    [
        ("sum model m", "sum model x", "the model has changed"),
        ("sum config a", "sum config b", "config.yaml is neither the old one nor the new one"),
        ("mount rw,relatime", "mount ro,relatime", "the disk is mounted for reading only"),
        ("all", "torn /opt/x.py", "torn /opt/x.py"),
        ("all", "damage outbox: row 7", "damage outbox: row 7"),
    ],
)
def test_what_a_cut_spoils_is_named(facts: Facts, line: str, instead: str, wrong: str) -> None:
    """One sentence for each thing."""
    assert compare([instead if each == line else each for each in WHOLE], facts, "work") == [wrong]


def test_a_boot_that_takes_much_longer_than_the_others_is_named() -> None:
    """The first is not one after a cut."""
    assert slow({1: 90.0, 2: 20.0, 4: 25.0, 5: 59.0}) == []
    assert slow({1: 20.0, 2: 20.0, 4: 61.0}) == ["boot 4: active after 61 s, normal are 20 s"]
    assert slow({}) == ["the service was never active"]


def test_after_an_edit_the_new_config_is_right_and_a_third_is_not(facts: Facts) -> None:
    """Wholly old or wholly new; from then on it is the one that was found."""
    for seen, kind, right in (
        ("b", "edit", True),
        ("b", "work", True),
        ("a", "work", False),
        ("empty", "edit", False),
    ):
        lines = [f"sum config {seen}" if each.startswith("sum c") else each for each in WHOLE]
        assert (compare(lines, facts, kind) == []) == right, (seen, kind)
        facts.config = "b"


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """An installed version: one package, and what the unit needs."""
    site = tmp_path / "lib/python3.11/site-packages"
    (site / "p-1.dist-info").mkdir(parents=True)
    (site / "p.py").write_text("1234")
    (site / "p-1.dist-info/RECORD").write_text("p.py,sha256=x,4\np-1.dist-info/RECORD,,\n")
    for name in ("share/edge-inspect.service", "share/install.sh", "bin/edge-inspect"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


@pytest.mark.parametrize("name", ["p.py", "p-1.dist-info/RECORD"])
def test_a_file_without_its_content_is_torn(version: Path, name: str) -> None:
    """As ext4 leaves one whose data were not flushed."""
    assert torn(version) == []
    (path,) = version.glob(f"lib/*/site-packages/{name}")
    path.write_text("")
    assert torn(version) == [str(path)]


def test_of_two_lists_that_name_a_file_the_later_is_right(version: Path) -> None:
    """pip leaves the list of an older package that it installs over; neither size is no file."""
    (site,) = version.glob("lib/*/site-packages")
    (site / "p-0.dist-info").mkdir()
    (site / "p-0.dist-info/RECORD").write_text("p.py,sha256=y,9\n")
    assert torn(version) == []
    (site / "p.py").write_text("12")
    assert torn(version) == [str(site / "p.py")]


def test_an_empty_unit_is_torn(version: Path) -> None:
    """The copy that a change of versions puts into place."""
    (version / "share/edge-inspect.service").write_text("")
    assert torn(version) == [str(version / "share/edge-inspect.service")]


def test_twenty_cuts_hold_each_moment_at_least_twice() -> None:
    """And end in order."""
    kinds = list(boots(20))
    assert kinds[-1] == "off"
    for kind in ("work", "boot", "edit", "switch", "building", "switched"):
        assert kinds.count(kind) >= 2, kind


def test_an_upgrade_always_changes_something(tmp_path: Path) -> None:
    """The package that runs already is never the one to be installed, also when all were."""
    for name in ("one", "three", "two"):
        (tmp_path / f"{name}.deb").touch()
        (tmp_path / f"{name}.id").write_text(f"0.1-{name}\n")
    all_of_them = {"0.1-one-py3.11", "0.1-two-py3.11", "0.1-three-py3.11"}
    assert next_package(tmp_path, {"0.1-one-py3.11"}, "0.1-one-py3.11").stem == "three"
    assert next_package(tmp_path, all_of_them, "0.1-one-py3.11").stem == "three"
    assert next_package(tmp_path, all_of_them, "0.1-two-py3.11").stem == "one"
