"""The deliberate breakages still fit the code, so that they can be run at any time."""

import re
from pathlib import Path

import pytest

from scripts.breakage import ROOT, misfit
from scripts.breakages import BREAKAGES, Breakage
from scripts.code_edit import Edit, NoMatchError

CODE = '''
def plain(a: int, b: int) -> bool:
    """Größer."""
    return bool("ß" and
        a   >= b)  # a comment


class Some:
    limit: int = 5

    def method(self, rows: list[int]) -> int:
        if self.ready:
            self.seen()
            return 0
        self.seen()
        return len(rows) + len(rows)
'''


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with the module `package.code`."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "code.py").write_text(CODE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda breakage: breakage.name)
def test_a_breakage_fits_exactly_one_place(breakage: Breakage) -> None:
    """A breakage names a function and a piece of code in it, and tests that exist."""
    assert misfit(breakage, ROOT) == ""


def test_names_are_unique() -> None:
    """`--only` can choose each."""
    assert len({one.name for one in BREAKAGES}) == len(BREAKAGES)


def test_each_kind_of_fault_from_the_field_has_a_test_and_a_breakage() -> None:
    """docs/testing.md names tests that exist and kinds that have breakages."""
    text = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([AB]\d+) \| .+? \| (.+) \| `\1:` \|$", text, re.MULTILINE)
    kinds = [f"A{number}" for number in range(1, 4)] + [f"B{number}" for number in range(1, 19)]
    assert [kind for kind, _ in rows] == kinds
    for kind, tests in rows:
        assert any(breakage.name.startswith(f"{kind}: ") for breakage in BREAKAGES)
        for file, name in re.findall(r"`([\w/.]+)::(\w+)`", tests):
            assert f"def {name}(" in (ROOT / file).read_text(encoding="utf-8"), name


@pytest.mark.parametrize(
    ("function", "good", "bad", "line"),
    [
        ("plain", "a >= b", "a > b", "        (a > b))  # a comment"),
        ("Some.method", "self.ready", "not self.ready", "        if (not self.ready):"),
        ("Some.method", "self.seen()\nreturn 0", "", "            pass"),
        ("Some", "limit: int = 5", "limit: int = 6", "    limit: int = 6"),
        ("Some.method", "return 0", "x = 1\nreturn x", "            x = 1\n            return x"),
    ],
)
def test_layout_does_not_matter(root: Path, function: str, good: str, bad: str, line: str) -> None:
    """A piece is found however it is laid out, and the rest of the file stays as it is."""
    file, changed = Edit(f"package.code:{function}", good, bad).apply(root)
    assert file == root / "package" / "code.py"
    before, place, after = changed.partition(line)
    assert place
    assert CODE.startswith(before)
    assert CODE.endswith(after)


@pytest.mark.parametrize(
    ("function", "good", "sentence"),
    [
        ("package.none:f", "a", "there is no module package.none"),
        ("package.code:method", "a", "package.code has no method; did you mean Some.method?"),
        ("package.code:plain", "a > b", "no place matches 'a > b'; did you mean 'a >= b'?"),
        ("package.code:Some.method", "self.seen()", "2 places match"),
        ("package.code:Some.method", "len(rows)", "2 places match"),
    ],
)
def test_a_misfit_says_why(root: Path, function: str, good: str, sentence: str) -> None:
    """What is missing or ambiguous is named, with the nearest candidate."""
    with pytest.raises(NoMatchError) as raised:
        Edit(function, good, "0").apply(root)
    assert sentence in str(raised.value)


def test_an_edit_that_changes_nothing_is_refused(root: Path) -> None:
    """Otherwise a breakage would go unnoticed for ever."""
    with pytest.raises(NoMatchError, match="changes nothing"):
        Edit("package.code:plain", "a >= b", "(a >= b)").apply(root)
