"""Expressions and templates of authors, compiled once: what a flow's strings come to.

The syntax is `bot.engine.syntax`. A string that is exactly one {{ expression }} gives the expression's value
with its type; any other gives text.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from jinja2 import nodes

from bot.engine import filters
from bot.engine.filters import Unfit
from bot.engine.syntax import (
    HOLE_CLOSES,
    HOLE_OPENS,
    OUTPUT_CHARS,
    Evaluate,
    Reader,
    Rendering,
    Scope,
    TemplateRefused,
    Write,
    inserting,
    parse,
    writing,
)


class Expression:
    """One compiled expression. `needs` are the names it reads; those with a default are in `may` only."""

    __slots__ = ("_evaluate", "may", "needs", "source")

    def __init__(self, source: str, evaluate: Evaluate, reader: Reader) -> None:
        self.source = source
        self.needs, self.may = frozenset(reader.needs), frozenset(reader.may)
        self._evaluate = evaluate

    def __call__(self, scope: Scope) -> Any:
        """The value, with its type. Raises Unfit (Unset among it)."""
        return self._evaluate(scope)


class Template:
    """One compiled template. Without {% %} its text with holes is known beforehand: `structure`, `holes`."""

    __slots__ = ("_parts", "_write", "holes", "may", "needs", "only", "source", "structure")

    def __init__(
        self, source: str, write: list[Write], reader: Reader, parts: list[str | Evaluate] | None
    ) -> None:
        self.source = source
        self.needs, self.may = frozenset(reader.needs), frozenset(reader.may)
        self._parts = parts
        self.structure = None if parts is None else _structure(parts)
        self.holes = tuple(part for part in parts or () if not isinstance(part, str))
        self.only = self.holes[0] if parts is not None and len(parts) == 1 and self.holes else None
        self._write = write

    def render(self, scope: Scope) -> Rendering:
        """The author's text with holes, and the values for them. Raises Unfit."""
        rendering = Rendering()
        names = dict(scope)
        for write in self._write:
            write(names, rendering)
        return rendering

    def to_text(self, scope: Scope) -> str:
        """As one string, for arguments: only texts and numbers, unchanged. Raises Unfit."""
        return self._joined(scope, filters.as_argument)

    def to_words(self, scope: Scope) -> str:
        """As one string for people, without Markdown: labels, rows of a summary. Raises Unfit."""
        return self._joined(scope, filters.as_text)

    def _joined(self, scope: Scope, write: Callable[[Any], str]) -> str:
        if self._parts is not None:
            joined = "".join([part if isinstance(part, str) else write(part(scope)) for part in self._parts])
            if len(joined) > OUTPUT_CHARS:
                raise Unfit(f"the text grows beyond {OUTPUT_CHARS} characters")
            return joined
        out = []
        rendering = self.render(scope)
        values = iter(rendering.values)
        chars = 0
        for piece in rendering.pieces:
            text = write(next(values)) if piece.startswith(HOLE_OPENS) else piece
            chars += len(text)
            if chars > OUTPUT_CHARS:
                raise Unfit(f"the text grows beyond {OUTPUT_CHARS} characters")
            out.append(text)
        return "".join(out)


@lru_cache(maxsize=8192)
def expression(source: str) -> Expression:
    """Compile an expression; braces around it are allowed. Raises TemplateRefused."""
    inner = source.strip()
    if inner.startswith("{{") and inner.endswith("}}"):
        inner = inner[2:-2].strip()
    if "{{" in inner or "}}" in inner or "{%" in inner:
        raise TemplateRefused(f"{source!r} must be one expression.")
    outputs = parse("{{ " + inner + " }}").body
    match outputs:
        case [nodes.Output(nodes=[nodes.TemplateData()])]:
            raise TemplateRefused(f"{source!r} must be one expression.")
        case [nodes.Output(nodes=[only])]:
            reader = Reader()
            return Expression(source, reader.read(only), reader)
        case _:
            raise TemplateRefused(f"{source!r} must be one expression.")


@lru_cache(maxsize=8192)
def template(source: str) -> Template:
    """Compile a template. Raises TemplateRefused."""
    body = parse(source).body
    reader = Reader()
    if not all(isinstance(node, nodes.Output) for node in body):
        return Template(source, reader.statements(body), reader, None)
    parts: list[str | Evaluate] = [
        part.data if isinstance(part, nodes.TemplateData) else reader.read(part)
        for node in body
        if isinstance(node, nodes.Output)
        for part in node.nodes
    ]
    write = [writing(part) if isinstance(part, str) else inserting(part) for part in parts]
    return Template(source, write, reader, parts)


def _structure(parts: list[str | Evaluate]) -> str:
    hole = itertools.count()
    return "".join(
        part if isinstance(part, str) else f"{HOLE_OPENS}{next(hole)}{HOLE_CLOSES}" for part in parts
    )


def is_template(text: str) -> bool:
    """Whether a string holds any template syntax."""
    return "{{" in text or "{%" in text or "{#" in text


def evaluate(value: Any, scope: Scope) -> Any:
    """A JSON value whose strings may be templates, with the values filled in. Raises Unfit."""
    if isinstance(value, str):
        if not is_template(value):
            return value
        compiled = template(value)
        return compiled.only(scope) if compiled.only is not None else compiled.to_text(scope)
    if isinstance(value, dict):
        return {key: evaluate(item, scope) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [evaluate(item, scope) for item in value]
    return value


def templates_in(value: Any) -> list[Template]:
    """Every template inside a JSON value, compiled. Raises TemplateRefused."""
    if isinstance(value, str):
        return [template(value)] if is_template(value) else []
    if isinstance(value, dict):
        return [t for item in value.values() for t in templates_in(item)]
    if isinstance(value, list | tuple):
        return [t for item in value for t in templates_in(item)]
    return []
