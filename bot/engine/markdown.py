"""Messages of authors: Markdown to the typed tree, with the values put in as text.

Rule 1: only the author's words are read as Markdown; a value is a hole in it (a private-use mark) while it
is parsed, and enters as text afterwards. So nothing that a person, node or image says becomes markup.
Rule 2: no HTML, no images; a link's address is checked when it is whole.
Messages without {% %} are parsed once; others once per structure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.engine import template, text
from bot.engine.filters import Unfit, as_text
from bot.engine.syntax import HOLE_CLOSES, HOLE_OPENS, OUTPUT_CHARS, Scope

_HOLE = re.compile(f"{HOLE_OPENS}([0-9]+){HOLE_CLOSES}")
_ADDRESS = re.compile(r"(?:https?://[^/\s\\\"'<>`]|/(?![/\\]))[^\s\\\"'<>`\x00-\x1f]*")
HREF_CHARS: Final = 2_000

_MARKDOWN = (
    MarkdownIt("commonmark", {"html": False, "linkify": False})
    .enable("table")
    .disable(["html_block", "html_inline", "image", "reference"])
)
_MARKDOWN.validateLink = lambda url: True  # type: ignore[method-assign]  # checked in `_link`, when whole
_MARKDOWN.normalizeLink = lambda url: url  # type: ignore[method-assign]


class Message:
    """A compiled message."""

    __slots__ = ("_fixed", "_parsed", "template")

    def __init__(self, source: str) -> None:
        self.template = template.template(source)
        self._parsed: text.Tree | None = None
        self._fixed = False
        if self.template.structure is not None:
            self._parsed = _parse(self.template.structure)
            self._fixed = HOLE_OPENS not in self.template.structure

    def render(self, scope: Scope) -> text.Tree:
        """The tree with the values in it. Raises Unfit."""
        if self._fixed and self._parsed is not None:
            return self._parsed
        rendering = self.template.render(scope)
        parsed = self._parsed if self._parsed is not None else _parse("".join(rendering.pieces))
        return _fill(parsed, [as_text(value) for value in rendering.values])


@lru_cache(maxsize=8192)
def message(source: str) -> Message:
    """Compile a message. Raises TemplateRefused."""
    return Message(source)


def tree(words: str) -> text.Tree:
    """Plain words as a tree: one paragraph per blank line, nothing read as markup."""
    return tuple(
        text.Paragraph(tuple(_with_breaks(part)))
        for part in re.split(r"\n{2,}", as_text(words))
        if part.strip()
    )


@lru_cache(maxsize=4096)
def _parse(source: str) -> text.Tree:
    return tuple(_blocks(_MARKDOWN.parse(source)))


def _blocks(tokens: Sequence[Token]) -> Iterator[text.Block]:
    index = 0
    while index < len(tokens):
        token = tokens[index]
        end = _end_of(tokens, index)
        inner = tokens[index + 1 : end]
        match token.type:
            case "paragraph_open":
                if run := _inline(inner):
                    yield text.Paragraph(run)
            case "heading_open":
                yield text.Paragraph((text.Strong(_inline(inner)),))
            case "fence" | "code_block":
                yield text.Pre(token.content.removesuffix("\n"), token.info.strip())
            case "bullet_list_open" | "ordered_list_open":
                yield text.Items(token.type == "ordered_list_open", tuple(_items(inner)))
            case "table_open":
                rows = [tuple(_cells(row)) for row in _between(inner, "tr_open")]
                yield text.Table(rows[0], tuple(rows[1:]))
            case "blockquote_open":
                yield from _blocks(inner)
            case "hr":
                yield text.Paragraph((text.Text("———"),))
        index = end + 1


def _end_of(tokens: Sequence[Token], start: int) -> int:
    """Index of the token that closes the one at `start`; itself when it opens nothing."""
    if tokens[start].nesting != 1:
        return start
    level = 0
    for index in range(start, len(tokens)):
        level += tokens[index].nesting
        if level == 0:
            return index
    return len(tokens) - 1


def _between(tokens: Sequence[Token], kind: str) -> Iterator[Sequence[Token]]:
    index = 0
    while index < len(tokens):
        if tokens[index].type == kind:
            end = _end_of(tokens, index)
            yield tokens[index + 1 : end]
            index = end
        index += 1


def _items(tokens: Sequence[Token]) -> Iterator[tuple[text.Inline, ...]]:
    for item in _between(tokens, "list_item_open"):
        run: list[text.Inline] = []
        for token in item:
            if token.type == "inline":
                run += [text.Break(), *_inline([token])] if run else _inline([token])
            elif token.type in ("fence", "code_block"):
                run += [text.Break()] if run else []
                run.append(text.Code(token.content.removesuffix("\n")))
        yield tuple(run)


def _cells(row: Sequence[Token]) -> Iterator[str]:
    for token in row:
        if token.type == "inline":
            yield text.plain(_inline([token]))


def _inline(tokens: Sequence[Token]) -> tuple[text.Inline, ...]:
    return tuple(node for token in tokens for node in _run(token.children or ()))


def _run(tokens: Sequence[Token]) -> Iterator[text.Inline]:
    index = 0
    while index < len(tokens):
        token = tokens[index]
        end = _end_of(tokens, index)
        inner = tokens[index + 1 : end]
        match token.type:
            case "text" | "text_special" | "html_inline" | "entity":
                if token.content:
                    yield text.Text(token.content)
            case "code_inline":
                yield text.Code(token.content)
            case "softbreak":
                yield text.Text(" ")
            case "hardbreak":
                yield text.Break()
            case "strong_open":
                yield text.Strong(tuple(_run(inner)))
            case "em_open":
                yield text.Emphasis(tuple(_run(inner)))
            case "link_open":
                href = str(token.attrGet("href") or "")
                yield from _link(href, tuple(_run(inner)), final=HOLE_OPENS not in href)
        index = end + 1


def _link(href: str, label: tuple[text.Inline, ...], final: bool) -> Iterator[text.Inline]:
    if not final or (len(href) <= HREF_CHARS and _ADDRESS.fullmatch(href)):
        yield text.Link(href, label)
    else:
        yield from label
        if text.plain(label) != href:
            yield text.Text(f" ({href})")


def _fill(parsed: text.Tree, values: list[str]) -> text.Tree:
    size = 0

    def put(match: re.Match[str]) -> str:
        nonlocal size
        value = values[int(match[1])]
        size += len(value)
        if size > OUTPUT_CHARS:
            raise Unfit(f"the text grows beyond {OUTPUT_CHARS} characters")
        return value

    def whole(words: str) -> str:
        return _HOLE.sub(put, words) if HOLE_OPENS in words else words

    def run(nodes: tuple[text.Inline, ...]) -> Iterator[text.Inline]:
        for node in nodes:
            match node:
                case text.Text(v):
                    if HOLE_OPENS in v:
                        yield from _with_breaks(whole(v))
                    else:
                        yield node
                case text.Code(v):
                    yield text.Code(whole(v))
                case text.Strong(c):
                    yield text.Strong(tuple(run(c)))
                case text.Emphasis(c):
                    yield text.Emphasis(tuple(run(c)))
                case text.Link(href, c):
                    yield from _link(whole(href), tuple(run(c)), final=True)
                case _:
                    yield node

    def block(node: text.Block) -> text.Block:
        match node:
            case text.Paragraph(c):
                return text.Paragraph(tuple(run(c)))
            case text.Pre(v, lang):
                return text.Pre(whole(v), whole(lang))
            case text.Items(ordered, items):
                return text.Items(ordered, tuple(tuple(run(item)) for item in items))
            case text.Table(head, rows):
                return text.Table(
                    tuple(whole(cell) for cell in head),
                    tuple(tuple(whole(cell) for cell in row) for row in rows),
                )

    return tuple(block(node) for node in parsed)


def _with_breaks(words: str) -> Iterator[text.Inline]:
    for index, line in enumerate(words.split("\n")):
        if index:
            yield text.Break()
        if line:
            yield text.Text(line)
