"""Reads YAML into dictionaries, lists and plain values, with line and column of every key.

- Aliases and merge keys work; a key of the mapping itself overrides a merged one. The size after
  expansion is limited, so that a few lines cannot fill the memory.
- Refused: other tags than YAML's basic ones, a key that stands twice, text that nothing may hold.
- A value whose meaning surprises is refused with the two ways to write it: 0755, 12:30.
- A block of several lines (`|`, `>`) becomes one line: no key needs more.

Nothing here knows the keys of config.yaml.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from edge.core.text import Loc, escape, fault_in
from edge.core.validation import key_path

MAX_NODES = 10_000  # keys and values, aliases expanded
MAX_DEPTH = 32

_TAG = "tag:yaml.org,2002:"
_BASIC = frozenset(f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null"))
_MERGE = f"{_TAG}merge"
_SURPRISING = re.compile(r"[-+]?0[0-9_]+|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_CURLY = "“”„‟‘’‚‛«»"
_LOOKS_LIKE_SPACE = re.compile("[\u00a0\u2007\u200b\u202f\u2060\ufeff]")
_BREAKS = re.compile("[\x85\u2028\u2029]")  # YAML 1.1 ends a line there, no editor does
_ESCAPES = ("unknown escape character", "expected escape sequence")

Place = tuple[int, int]


class YamlError(Exception):
    """The text is no YAML, or too large. `place`: line and column, counted from 1."""

    def __init__(self, place: Place, text: str) -> None:
        super().__init__(text)
        self.place, self.text = place, text


@dataclass(slots=True)
class Document:
    """The content of the file.

    - `data`: dictionaries, lists, text, numbers, true, false and None.
    - `places`: line and column of each key and item, counted from 1.
    - `plain`: values without quotes, as they were written.
    - `problems`: line, column, key and sentence of the mistakes.
    """

    data: Any = None
    places: dict[Loc, Place] = field(default_factory=dict)
    plain: dict[Loc, str] = field(default_factory=dict)
    problems: list[tuple[int, int, str, str]] = field(default_factory=list)


def read_yaml(text: str) -> Document:
    """Reads a text. Raises YamlError when no data can be read."""
    found = yaml.reader.Reader.NON_PRINTABLE.search(text) or _BREAKS.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - text.rfind("\n", 0, found.start())
        raise YamlError((line, column), fault_in(found[0]) or "holds a character that is no text")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text) from None
    document = Document()
    if node is not None:
        _Builder(loader, document).build(node)
    return document


class _Loader(yaml.SafeLoader):
    """SafeLoader that keeps dates as text, and stops at a file of too many values."""

    _nodes = _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._nodes += 1
        self._depth += 1
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        _check_size(self._nodes, self._depth, (mark.line + 1, mark.column + 1))
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != f"{_TAG}timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _check_size(nodes: int, depth: int, place: Place) -> None:
    if depth > MAX_DEPTH:
        raise YamlError(
            place, f"is nested more than {MAX_DEPTH} levels deep, or in itself; write it flat"
        )
    if nodes > MAX_NODES:
        raise YamlError(
            place,
            f"the file holds more than {MAX_NODES} keys and values, aliases (*name) expanded; "
            "this is no config.yaml: remove the keys that it does not need",
        )


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> YamlError:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or ""
    line = text.split("\n")[mark.line] if mark and mark.line <= text.count("\n") else ""
    if "'\\t'" in problem:
        fix = "indent with spaces, not with tabs"
    elif any(words in problem for words in _ESCAPES):
        fix = "in double quotes \\ begins an escape; use single quotes, or / in a path"
    elif any(mark_ in line for mark_ in _CURLY):
        fix = "replace the typographic quotes by straight ones"
    elif "alias" in problem or "anchor" in problem:
        fix = "*name repeats what &name marks above it; put text that begins with * or & in quotes"
    elif "another document" in problem:
        fix = "config.yaml is one document: remove the line ---, or what follows it"
    elif "found character '%'" in problem or "cannot start any token" in problem:
        fix = "put the value in quotes"
    else:
        fix = 'check indentation and quotes here and in the line above ("test:" needs quotes)'
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    return YamlError(place, f"not YAML: {escape(problem)}; {fix}")


class _Builder:
    """Builds the values of a node and its children; aliases are built again at each place."""

    def __init__(self, loader: _Loader, document: Document) -> None:
        self._loader, self._document = loader, document
        self._built = 0

    def build(self, node: yaml.Node) -> None:
        """Fills the document."""
        self._document.data = self._value(node, (), 0)

    def _value(self, node: yaml.Node, loc: Loc, depth: int) -> Any:
        self._built += 1
        _check_size(self._built, depth, _place(node))
        self._document.places.setdefault(loc, _place(node))
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, loc, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
            return [self._value(one, (*loc, i), depth + 1) for i, one in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag in _BASIC | {_MERGE, f"{_TAG}value"}:
            return self._scalar(node, loc)
        tag = node.tag.replace(_TAG, "!!")
        self._add(node, loc, f"the tag {tag:.40} is not for config.yaml; remove it")
        return None

    def _mapping(self, node: yaml.MappingNode, loc: Loc, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        first: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            self._built += 1
            name = self._key(key, loc)
            if name is None:
                continue
            line, column = _place(key)
            if name in first:
                self._add(
                    key, (*loc, name), f"appears twice (first in line {first[name]}); remove one"
                )
            first.setdefault(name, line)
            if key.tag == _MERGE:
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            self._document.places[(*loc, name)] = line, column
            own[name] = self._value(value, (*loc, name), depth + 1)
        for one in merged:
            self._merge(one, own, loc, depth)
        return own

    def _merge(self, node: yaml.Node, into: dict[str, Any], loc: Loc, depth: int) -> None:
        """`<<`: adds the keys that are not there yet."""
        if not isinstance(node, yaml.MappingNode):
            self._add(node, (*loc, "<<"), "must be *name of keys and values, or a list of such")
            return
        _check_size(self._built, depth + 1, _place(node))
        further: list[yaml.Node] = []
        for key, value in node.value:
            self._built += 1
            name = self._key(key, loc)
            if name is None or name in into:
                continue
            if key.tag == _MERGE:
                further += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            self._document.places[(*loc, name)] = _place(key)
            into[name] = self._value(value, (*loc, name), depth + 1)
        for one in further:
            self._merge(one, into, loc, depth + 1)

    def _key(self, node: yaml.Node, loc: Loc) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._add(node, loc, "a key must be text, not a list or {…}; put {{…}} in quotes")
            return None
        name: str = node.value
        if not name:
            self._add(node, loc, "a key is empty; write its name before the colon")
            return None
        if fault := fault_in(name) or _typing_fault(node):
            self._add(node, loc, f"the key '{escape(name):.80}' {fault}")
            return None
        return name

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Any:
        raw: str = node.value
        if node.style is None:
            self._document.plain[loc] = raw
        try:
            value = self._converted(node)
        except (ValueError, KeyError, IndexError, OverflowError):
            kind = {"int": "a whole number", "float": "a number"}.get(
                node.tag.removeprefix(_TAG), "true or false"
            )
            self._add(node, loc, f"cannot be read as {kind}; correct it (got {escape(raw):.80})")
            return None
        if isinstance(value, str):
            fault = fault_in(value)
            if fault and node.style == '"':
                fault += "; in double quotes \\ begins an escape: use single quotes for a path"
            if fault := fault or _typing_fault(node):
                self._add(node, loc, fault)
                return None
        elif node.style is None and isinstance(value, int | float) and _SURPRISING.fullmatch(raw):
            self._add(
                node,
                loc,
                f"YAML reads {raw:.40} as the number {value}; put text in quotes "
                f'("{raw:.40}"), or write the number without leading zeros and colons',
            )
        return value

    def _converted(self, node: yaml.ScalarNode) -> Any:
        match node.tag.removeprefix(_TAG):
            case "int":
                return self._loader.construct_yaml_int(node)
            case "float":
                return self._loader.construct_yaml_float(node)
            case "bool":
                return self._loader.construct_yaml_bool(node)
            case "null":
                return None
        text: str = node.value
        return " ".join(text.split()) if node.style in ("|", ">") else text

    def _add(self, node: yaml.Node, loc: Loc, text: str) -> None:
        self._document.problems.append((*_place(node), key_path(loc), text))


def _typing_fault(node: yaml.ScalarNode) -> str | None:
    """The typographic character in a value without quotes; None: there is none."""
    text: str = node.value
    if node.style is not None or not text:
        return None
    if text[0] in _CURLY or text[-1] in _CURLY:
        found = text[0] if text[0] in _CURLY else text[-1]
        return f'has typographic quotes ({found}); write straight ones (")'
    if (odd := _LOOKS_LIKE_SPACE.search(text)) is not None:
        return f"holds U+{ord(odd[0]):04X}, which only looks like a space or nothing; type it again"
    return None


def _place(node: yaml.Node) -> Place:
    return node.start_mark.line + 1, node.start_mark.column + 1
