"""Finds code inside a named function or class by its syntax tree, and replaces it.

Line breaks, quotes and brackets do not matter: two pieces are equal when `ast.unparse` gives the
same text. No module is imported; it is read as a file.
"""

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_CLOSE_ENOUGH = 0.5  # least similarity for "did you mean"


class NoMatchError(Exception):
    """The function, class or code does not exist exactly once; the text says why."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A change in one place: `good` becomes `bad` inside `function`.

    - `function`: `package.module:Class.method`, or a class; a nested function is `outer.inner`.
    - `good`: an expression, one statement, or several consecutive statements, as Python.
    - `bad`: the replacement; empty removes statements.
    """

    function: str
    good: str
    bad: str

    def apply(self, root: Path) -> tuple[Path, str]:
        """The file and its new text, without writing it. Raises NoMatchError."""
        file = module_file(root, self.function.partition(":")[0])
        source = file.read_text(encoding="utf-8")
        place = self._place(source)
        changed = _replace(source, place, self.bad)
        try:
            tree = ast.parse(changed)
        except SyntaxError as error:
            raise NoMatchError(
                f"{self.function}: {self.bad!r} gives no valid Python: {error}"
            ) from error
        if ast.dump(tree) == ast.dump(ast.parse(source)):
            raise NoMatchError(f"{self.function}: {self.bad!r} changes nothing")
        return file, changed

    def _place(self, source: str) -> "_Place":
        function = _find_scope(ast.parse(source), self.function)
        expected = ast.parse(self.good).body
        if len(expected) == 1 and isinstance(expected[0], ast.Expr):
            places = _expressions(function, ast.unparse(expected[0].value))
        else:
            places = _statements(function, [ast.unparse(one) for one in expected])
        if len(places) == 1:
            return places[0]
        if places:
            raise NoMatchError(
                f"{self.function}: {len(places)} places match {self.good!r}; give more code"
            )
        raise NoMatchError(f"{self.function}: no place matches {self.good!r}{self._hint(function)}")

    def _hint(self, function: _Scope) -> str:
        pieces = {
            ast.unparse(node)
            for node in ast.walk(function)
            if isinstance(node, ast.expr | ast.stmt) and node is not function
        }
        close = difflib.get_close_matches(self.good, sorted(pieces), n=1, cutoff=_CLOSE_ENOUGH)
        return f"; did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True, slots=True)
class _Place:
    """A range of the source: lines from 1, columns in UTF-8 bytes from 0."""

    line: int
    column: int
    end_line: int
    end_column: int
    is_statement: bool


def module_file(root: Path, module: str) -> Path:
    """The file of a dotted module name below `root`. Raises NoMatchError when there is none."""
    base = root.joinpath(*module.split("."))
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if file.exists():
            return file
    raise NoMatchError(f"there is no module {module}")


def _find_scope(tree: ast.Module, address: str) -> _Scope:
    module, _, qualified = address.partition(":")
    scopes = dict(_scopes(tree, ""))
    if qualified in scopes:
        return scopes[qualified]
    last = qualified.rpartition(".")[2]
    others = [name for name in scopes if name.rpartition(".")[2] == last]
    others = others or difflib.get_close_matches(qualified, scopes, n=3)
    hint = f"; did you mean {', '.join(others)}?" if others else ""
    raise NoMatchError(f"{module} has no {qualified}{hint}")


def _scopes(node: ast.AST, prefix: str) -> Iterator[tuple[str, _Scope]]:
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, _Scope):
            name = f"{prefix}.{child.name}" if prefix else child.name
            yield name, child
        yield from _scopes(child, name)


def _expressions(function: _Scope, expected: str) -> list[_Place]:
    statements = {id(node.value) for node in ast.walk(function) if isinstance(node, ast.Expr)}
    return [
        _place(node, node, is_statement=id(node) in statements)
        for node in ast.walk(function)
        if isinstance(node, ast.expr) and ast.unparse(node) == expected
    ]


def _statements(function: _Scope, expected: list[str]) -> list[_Place]:
    found = []
    for node in ast.walk(function):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if not isinstance(block, list):
                continue  # the body of a lambda is one expression
            for start in range(len(block) - len(expected) + 1):
                row = block[start : start + len(expected)]
                if [ast.unparse(one) for one in row] == expected:
                    found.append(_place(row[0], row[-1], is_statement=True))
    return found


def _place(first: ast.expr | ast.stmt, last: ast.expr | ast.stmt, *, is_statement: bool) -> _Place:
    assert last.end_lineno is not None
    assert last.end_col_offset is not None
    return _Place(
        first.lineno, first.col_offset, last.end_lineno, last.end_col_offset, is_statement
    )


def _replace(source: str, place: _Place, bad: str) -> str:
    """The source with `bad` at that place: an expression in brackets, statements indented."""
    lines = source.encode().splitlines(keepends=True)
    before = b"".join(lines[: place.line - 1]) + lines[place.line - 1][: place.column]
    after = lines[place.end_line - 1][place.end_column :] + b"".join(lines[place.end_line :])
    if place.is_statement:
        new = (bad or "pass").replace("\n", "\n" + " " * place.column)
    else:
        new = f"({bad})"
    return (before + new.encode() + after).decode()
