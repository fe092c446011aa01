"""Tests and benchmarks use public names only, so that a refactoring does not break them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("tests", "benchmarks")
# Objects whose underscore names are documented, or the caller's own.
OWN = {"self", "cls", "os", "sys"}


def private_accesses(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of each access to a private attribute of another object, patches included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            owner = node.value
            if isinstance(owner, ast.Name) and owner.id in OWN:
                continue
            if ast.unparse(owner) == "super()":
                continue
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.Call) and _is_patch(node.func):
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    name = argument.value.rpartition(".")[2]
                    if _is_private(name):
                        yield node.lineno, ast.unparse(node)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _is_patch(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr in {"setattr", "object", "patch"}


def test_no_test_touches_a_private_attribute() -> None:
    """Neither reads nor patches one."""
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in private_accesses(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("writer._held", 1),
        ("self._held", 0),
        ("super()._held()", 0),
        ("monkeypatch.setattr(module, '_LIMIT', 3)", 1),
        ("monkeypatch.setattr('package.module._LIMIT', 3)", 1),
        ("patch.object(link, 'Network')", 0),
        ("value.__dict__", 0),
    ],
)
def test_the_search_finds_what_it_should(source: str, count: int) -> None:
    """Reads and patches count; the own object and dunder names do not."""
    assert len(list(private_accesses(source))) == count
