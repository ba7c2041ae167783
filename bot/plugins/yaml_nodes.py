"""YAML text as nodes that know where they stand. Nothing is ever made of a file but text, lists and maps.

Only PyYAML's parser is used (the C one where it is there): its events are read here, none of its loaders or
constructors ever runs. Rule 1: one document, and no aliases, anchors, tags, directives or duplicate keys:
what a file says once, it says in one place. Rule 2: plain words mean what YAML 1.2 says: `yes`, `no`, `on`
and `off` are words. Rule 3: every mistake is said with its line, and with what to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import yaml

from bot.plugins import limits

# Both are parsers with loaders on top that stay unused; without libyaml the same events come more slowly.
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Scalar(msgspec.Struct, frozen=True, gc=False):
    """A word, number or text. `plain`: written without quotes; `block`: written with | or >."""

    text: str
    line: int
    column: int
    plain: bool = True
    block: bool = False


class Many(msgspec.Struct, frozen=True):
    """A list."""

    items: list[Node]
    line: int
    column: int


class Map(msgspec.Struct, frozen=True):
    """A map, in the order of the file."""

    items: dict[str, Node]
    keys: dict[str, Scalar]  # where each key stands
    line: int
    column: int


Node = Scalar | Many | Map


class Wrong(msgspec.Struct, frozen=True):
    """One mistake: where, and a sentence with what to do."""

    line: int
    says: str
    column: int = 0


class YamlRefused(Exception):
    """A text with mistakes. `wrongs` are in the order of their lines."""

    def __init__(self, wrongs: list[Wrong]) -> None:
        self.wrongs = sorted(wrongs, key=lambda wrong: wrong.line)
        super().__init__(" ".join(wrong.says for wrong in self.wrongs))


_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT: Final = re.compile(r"[-+]?[0-9]{1,40}")
_BASED: Final = re.compile(r"0o[0-7]{1,40}|0x[0-9a-fA-F]{1,40}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,3})?")
_BRACES: Final = 'Put quotes around it: "{{ … }}". Without them YAML takes braces for a map.'


def parse(text: str) -> Node:
    """The one document of a text. Raises YamlRefused."""
    text = text.removeprefix("\ufeff")
    _no_controls(text)
    try:
        return _Reader(text).document()
    except yaml.YAMLError as e:
        raise YamlRefused([_told(e, text)]) from None


def plain(node: Node) -> Any:
    """What a node means by YAML 1.2's core schema: null, true, false, numbers, text, lists and maps."""
    if isinstance(node, Many):
        return [plain(item) for item in node.items]
    if isinstance(node, Map):
        return {key: plain(item) for key, item in node.items.items()}
    text = node.text
    if not node.plain:
        return text
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _BASED.fullmatch(text):
        return int(text, 0)
    return float(text) if _FLOAT.fullmatch(text) else text


def is_null(node: Node) -> bool:
    """Nothing was written, or `null`."""
    return isinstance(node, Scalar) and node.plain and node.text in _NULL


def scalars(node: Node) -> Iterator[Scalar]:
    """Every scalar below a node, in the order of the file, keys included."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, Many):
        for item in node.items:
            yield from scalars(item)
    else:
        for key, item in node.items.items():
            yield node.keys[key]
            yield from scalars(item)


def refused(node: Node, says: str) -> YamlRefused:
    """A mistake at a node."""
    return YamlRefused([Wrong(node.line, says, node.column)])


class _Reader:
    """Events become nodes."""

    def __init__(self, text: str) -> None:
        self._parser: Any = _Parser(text)
        self._nodes = 0

    def document(self) -> Node:
        self._next()
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            raise YamlRefused([Wrong(0, "It is empty: it needs at least `title` and `states`.")])
        self._no_directives(event)
        node = self._node(self._next(), 0)
        self._next()
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            line = after.start_mark.line + 1
            raise YamlRefused([Wrong(line, "A file holds one chatflow: put what follows `---` in its own.")])
        return node

    def _next(self) -> Any:
        return self._parser.get_event()

    def _no_directives(self, event: Any) -> None:
        if event.version or event.tags:
            raise YamlRefused([Wrong(1, "Lines that begin with % are not taken: leave them out.")])

    def _node(self, event: Any, depth: int) -> Node:
        mark = event.start_mark
        line, column = mark.line + 1, mark.column + 1
        self._nodes += 1
        self._no_magic(event, line, column)
        if depth > limits.YAML_DEPTH:
            says = f"It is nested deeper than {limits.YAML_DEPTH} levels: a bracket may be open above."
            raise YamlRefused([Wrong(line, says, column)])
        if self._nodes > limits.YAML_NODES:
            says = f"It has more than {limits.YAML_NODES:,} words, lists and maps: split it into chatflows."
            raise YamlRefused([Wrong(line, says, column)])
        if isinstance(event, yaml.ScalarEvent):
            style = event.style or ""
            is_plain = bool(event.implicit[0])
            return Scalar(event.value, line, column, is_plain, style in "|>" and style != "")
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(one := self._next(), yaml.SequenceEndEvent):
                items.append(self._node(one, depth + 1))
            return Many(items, line, column)
        return self._map(line, column, depth)

    def _map(self, line: int, column: int, depth: int) -> Map:
        found = Map({}, {}, line, column)
        while not isinstance(one := self._next(), yaml.MappingEndEvent):
            if not isinstance(one, yaml.ScalarEvent):
                at = one.start_mark
                says = (
                    "A list or a map cannot be a key."
                    if isinstance(one, yaml.SequenceStartEvent)
                    else _BRACES
                )
                raise YamlRefused([Wrong(at.line + 1, says, at.column + 1)])
            key = self._node(one, depth + 1)
            assert isinstance(key, Scalar)  # noqa: S101  (its event is one)
            if key.text == "<<" and key.plain:
                raise refused(key, "`<<` is not taken: write out what it would bring in.")
            if key.text in found.items:
                first = found.keys[key.text].line
                says = f"{key.text!r} is there twice (first in line {first}): remove one, or rename it."
                raise refused(key, says)
            found.keys[key.text] = key
            found.items[key.text] = self._node(self._next(), depth + 1)
        return found

    def _no_magic(self, event: Any, line: int, column: int) -> None:
        if isinstance(event, yaml.AliasEvent):
            says = f"`*{event.anchor}` is not taken: write it out. To begin a text with *, put it in quotes."
        elif event.anchor is not None:
            says = f"`&{event.anchor}` is not taken: leave it out. To begin a text with &, put it in quotes."
        elif event.tag is not None:
            says = (
                f"`{_short_tag(event.tag)}` is not taken: leave it out; nothing in this file is run or made."
            )
        else:
            return
        raise YamlRefused([Wrong(line, says, column)])


def _short_tag(tag: str) -> str:
    return "!!" + tag.rpartition(":")[2] if tag.startswith("tag:") else tag


def _no_controls(text: str) -> None:
    for number, line in enumerate(text.split("\n"), 1):
        for column, char in enumerate(line, 1) if not line.isprintable() else ():
            if (
                (char < " " and char not in "\t\r")
                or char in "\x7f\ufeff\ufffe\uffff"
                or "\ud800" <= char <= "\udfff"
            ):
                says = f"It has an invisible character (U+{ord(char):04X}): remove it."
                raise YamlRefused([Wrong(number, says, column)])


def _told(e: yaml.YAMLError, text: str) -> Wrong:
    """What libyaml says, for people who don't write YAML every day."""
    opened, mark = getattr(e, "context_mark", None), getattr(e, "problem_mark", None)
    if mark is None or (opened and _OPENED.search(str(getattr(e, "context", "")))):
        mark = opened  # where it was opened says more than where it was missed
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    problem = str(getattr(e, "problem", "") or e)
    lines = text.split("\n")
    here = lines[line - 1] if line <= len(lines) else ""
    indent = here[: len(here) - len(here.lstrip())]
    if "\t" in indent or here[column - 1 : column] == "\t":
        return Wrong(line, "It is indented with a tab: use spaces.", here.index("\t") + 1)
    if here[column - 1 : column] in ("@", "`", "%"):
        return Wrong(line, f"A text cannot begin with {here[column - 1]}: put it in quotes.", column)
    if "mapping values are not allowed" in problem:
        if re.search(r":\s.*:\s", here):
            return Wrong(line, "A text with `: ` in it needs quotes around it.", column)
        return Wrong(line, "The indentation is not that of the lines around it: align it.", column)
    for words, says in _SAYS.items():
        if words in f"{getattr(e, 'context', '') or ''} {problem}":
            return Wrong(line, says, column)
    return Wrong(line, f"It is not YAML: {problem}.", column)


_OPENED: Final = re.compile("flow (sequence|mapping)|quoted scalar")
_SAYS: Final = {
    "quoted scalar found unknown escape": r"A backslash in double quotes begins a code: write \\ or use '…'.",
    "quoted scalar": "A quote is opened here and not closed.",
    "flow sequence": "A list in [ ] is not closed, or a comma is missing.",
    "flow mapping": "A map in { } is not closed, or lacks a comma. Put quotes around text with {{ }}.",
    "flow node": "Something is missing here: a value, or a closing bracket.",
    "block collection": "The indentation is not that of the list above it: align it.",
    "block mapping": "It is not aligned with the lines above it, or a quote ends too soon.",
    "could not find expected ':'": "A line without `: ` stands among keys: add it, or quote the text.",
    "incompatible YAML document": "Lines that begin with % are not taken: leave them out.",
}
