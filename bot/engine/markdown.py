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

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.engine import fill, template, text
from bot.engine.filters import VALUE_CHARS, as_text
from bot.engine.syntax import HOLE_OPENS, Evaluate, Scope

_MARKDOWN = (
    MarkdownIt("commonmark", {"html": False, "linkify": False})
    .enable("table")
    .disable(["html_block", "html_inline", "image", "reference"])
)
_MARKDOWN.validateLink = lambda url: True  # type: ignore[method-assign]  # checked in `_link`, when whole
_MARKDOWN.normalizeLink = lambda url: url  # type: ignore[method-assign]


class Message:
    """A compiled message."""

    __slots__ = ("_filling", "_holes", "fixed", "template")

    def __init__(self, source: str) -> None:
        self.template = template.template(source)
        self.fixed: text.Tree | None = None  # the tree, when no value goes into it
        self._filling: fill.Filling | None = None
        self._holes: tuple[Evaluate, ...] = ()
        if self.template.structure is not None:
            parsed = _parse(self.template.structure)
            self._holes = self.template.holes
            if self._holes:
                self._filling = fill.Filling(parsed)
            else:
                self.fixed = parsed

    def render(self, scope: Scope) -> text.Tree:
        """The tree with the values in it. Raises Unfit."""
        if self.fixed is not None:
            return self.fixed
        if self._filling is not None:
            return self._filling([as_text(hole(scope)) for hole in self._holes])
        rendering = self.template.render(scope)
        return _filling_of("".join(rendering.pieces))([as_text(value) for value in rendering.values])


@lru_cache(maxsize=8192)
def message(source: str) -> Message:
    """Compile a message. Raises TemplateRefused."""
    return Message(source)


def tree(words: str) -> text.Tree:
    """Plain words as a tree: one paragraph per blank line, nothing read as markup."""
    if words.isprintable() and words.strip() and len(words) <= VALUE_CHARS:  # one line, as most are
        return (text.Paragraph((text.Text(words),)),)
    return tuple(
        text.Paragraph(tuple(fill.with_breaks(part)))
        for part in re.split(r"\n{2,}", as_text(words))
        if part.strip()
    )


@lru_cache(maxsize=4096)
def _filling_of(source: str) -> fill.Filling:
    return fill.Filling(_parse(source))


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
                yield from fill.link(href, tuple(_run(inner)), final=HOLE_OPENS not in href)
        index = end + 1
