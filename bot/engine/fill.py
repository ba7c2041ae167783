"""Values into a parsed message. A message is parsed once and filled for every person who reads it, so each
node with holes becomes a closure when it is parsed, and a node without holes is used as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from bot.engine import text
from bot.engine.filters import Unfit
from bot.engine.syntax import HOLE_CLOSES, HOLE_OPENS, OUTPUT_CHARS

HREF_CHARS: Final = 2_000
_HOLE = re.compile(f"{HOLE_OPENS}([0-9]+){HOLE_CLOSES}")
_ADDRESS = re.compile(r"(?:https?://[^/\s\\\"'<>`]|/(?![/\\]))[^\s\\\"'<>`\x00-\x1f]*")

Values = list[str]
_Words = Callable[[Values], str]
_Nodes = Callable[[Values, list[text.Inline]], None]
_Run = Callable[[Values], tuple[text.Inline, ...]]


class Filling:
    """One parsed message, made ready to be filled again and again."""

    __slots__ = ("_blocks", "_uses")

    def __init__(self, parsed: text.Tree) -> None:
        self._uses: list[int] = []  # which hole, once for every place that it stands in
        self._blocks = [self._block(block) for block in parsed]

    def __call__(self, values: Values) -> text.Tree:
        """The tree with the values in it, each as text. Raises Unfit when it grows too long."""
        if sum([len(values[hole]) for hole in self._uses]) > OUTPUT_CHARS:
            raise Unfit(f"the text grows beyond {OUTPUT_CHARS} characters")
        return tuple([block(values) for block in self._blocks])

    def _block(self, block: text.Block) -> Callable[[Values], text.Block]:
        match block:
            case text.Paragraph(inline):
                run = self._run(inline)
                return lambda values: text.Paragraph(run(values))
            case text.Pre(words, lang):
                body, language = self._words(words), self._words(lang)
                return lambda values: text.Pre(body(values), language(values))
            case text.Items(ordered, items):
                runs = [self._run(item) for item in items]
                return lambda values: text.Items(ordered, tuple([run(values) for run in runs]))
            case text.Table(head, rows):
                heads = [self._words(cell) for cell in head]
                bodies = [[self._words(cell) for cell in row] for row in rows]
                return lambda values: text.Table(
                    tuple([cell(values) for cell in heads]),
                    tuple([tuple([cell(values) for cell in row]) for row in bodies]),
                )

    def _run(self, inline: tuple[text.Inline, ...]) -> _Run:
        nodes = [self._node(node) for node in inline]

        def run(values: Values) -> tuple[text.Inline, ...]:
            out: list[text.Inline] = []
            for node in nodes:
                node(values, out)
            return tuple(out)

        return run

    def _node(self, node: text.Inline) -> _Nodes:
        match node:
            case text.Text(words) if HOLE_OPENS in words:
                return _text(self._words(words))
            case text.Code(words) if HOLE_OPENS in words:
                code = self._words(words)
                return lambda values, out: out.append(text.Code(code(values)))
            case text.Strong(inner):
                strong = self._run(inner)
                return lambda values, out: out.append(text.Strong(strong(values)))
            case text.Emphasis(inner):
                emphasis = self._run(inner)
                return lambda values, out: out.append(text.Emphasis(emphasis(values)))
            case text.Link(href, inner):
                address, label = self._words(href), self._run(inner)
                return lambda values, out: out.extend(link(address(values), label(values), final=True))
            case _:
                return lambda values, out: out.append(node)

    def _words(self, words: str) -> _Words:
        parts = _HOLE.split(words)  # text, hole, text, hole … text
        holes = [int(number) for number in parts[1::2]]
        self._uses += holes
        match parts:
            case [only]:
                return lambda values: only
            case ["", _, ""]:
                hole = holes[0]
                return lambda values: values[hole]
            case _:
                pairs = list(zip(parts[::2], holes, strict=False))
                last = parts[-1]
                return lambda values: "".join([f"{t}{values[hole]}" for t, hole in pairs]) + last


def link(href: str, label: tuple[text.Inline, ...], final: bool) -> Iterator[text.Inline]:
    """A link whose address is one; else its words and the address as text. `final`: no hole is left."""
    if not final or (len(href) <= HREF_CHARS and _ADDRESS.fullmatch(href)):
        yield text.Link(href, label)
    else:
        yield from label
        if text.plain(label) != href:
            yield text.Text(f" ({href})")


def with_breaks(words: str) -> Iterator[text.Inline]:
    """Words with their line breaks as nodes."""
    for index, line in enumerate(words.split("\n")):
        if index:
            yield text.Break()
        if line:
            yield text.Text(line)


def _text(words: _Words) -> _Nodes:
    def node(values: Values, out: list[text.Inline]) -> None:
        filled = words(values)
        if "\n" in filled:
            out.extend(with_breaks(filled))
        elif filled:
            out.append(text.Text(filled))

    return node
