"""Expressions and templates of authors, compiled once: what a flow's strings come to.

The syntax is `bot.engine.syntax`. A string that is exactly one {{ expression }} gives the expression's value
with its type; any other gives text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    parse,
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
    """One compiled template. Without {% %} its text with holes is known beforehand: `structure`."""

    __slots__ = ("_write", "may", "needs", "only", "source", "structure")

    def __init__(
        self, source: str, write: list[Write], reader: Reader, structure: str | None, only: Evaluate | None
    ) -> None:
        self.source = source
        self.needs, self.may = frozenset(reader.needs), frozenset(reader.may)
        self.structure = structure
        self.only = only  # set when the source is exactly one {{ expression }}
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
    write = reader.statements(body)
    only: Evaluate | None = None
    match body:
        case [nodes.Output(nodes=[one])] if not isinstance(one, nodes.TemplateData):
            only = Reader().read(one)
    return Template(source, write, reader, _structure(body), only)


def _structure(body: Sequence[nodes.Node]) -> str | None:
    out: list[str] = []
    hole = 0
    for node in body:
        if not isinstance(node, nodes.Output):
            return None
        for part in node.nodes:
            if isinstance(part, nodes.TemplateData):
                out.append(part.data)
            else:
                out.append(f"{HOLE_OPENS}{hole}{HOLE_CLOSES}")
                hole += 1
    return "".join(out)


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
