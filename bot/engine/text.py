"""The typed tree that messages are: what the transcript keeps and every channel renders.

Markdown of an author becomes nodes when the flow is compiled; values enter as `text` nodes and can
never become markup. As JSON a node is {"t": kind, …}; kinds are closed.
"""

from __future__ import annotations

import msgspec


class Text(msgspec.Struct, frozen=True, tag="text", tag_field="t"):
    """Plain text: shown as it is, whatever is in it."""

    v: str


class Code(msgspec.Struct, frozen=True, tag="code", tag_field="t"):
    """Inline code."""

    v: str


class Break(msgspec.Struct, frozen=True, tag="br", tag_field="t"):
    """A line break."""


class Strong(msgspec.Struct, frozen=True, tag="strong", tag_field="t"):
    """Bold."""

    c: tuple[Inline, ...]


class Emphasis(msgspec.Struct, frozen=True, tag="em", tag_field="t"):
    """Italic."""

    c: tuple[Inline, ...]


class Link(msgspec.Struct, frozen=True, tag="link", tag_field="t"):
    """A link; `href` begins with http://, https:// or / (anything else is shown as text)."""

    href: str
    c: tuple[Inline, ...]


Inline = Text | Code | Break | Strong | Emphasis | Link


class Paragraph(msgspec.Struct, frozen=True, tag="p", tag_field="t"):
    """A paragraph."""

    c: tuple[Inline, ...]


class Pre(msgspec.Struct, frozen=True, tag="pre", tag_field="t"):
    """A block of code or log lines, shown as it is, with copy."""

    v: str
    lang: str = ""


class Items(msgspec.Struct, frozen=True, tag="list", tag_field="t"):
    """A list; each item is a run of inline nodes."""

    ordered: bool
    items: tuple[tuple[Inline, ...], ...]


class Table(msgspec.Struct, frozen=True, tag="table", tag_field="t"):
    """A table of plain texts."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


Block = Paragraph | Pre | Items | Table
Tree = tuple[Block, ...]


def plain(tree: Tree | tuple[Inline, ...]) -> str:
    """The tree as plain text, for terminals, logs and screen titles."""
    return "\n\n".join(_plain(block) for block in tree) if _is_blocks(tree) else _run(tree)  # type: ignore[arg-type]


def _is_blocks(tree: Tree | tuple[Inline, ...]) -> bool:
    return bool(tree) and isinstance(tree[0], Block)


def _plain(block: Block) -> str:
    match block:
        case Paragraph(c):
            return _run(c)
        case Pre(v):
            return v
        case Items(ordered, items):
            marks = (f"{i + 1}. " if ordered else "• " for i in range(len(items)))
            return "\n".join(mark + _run(item) for mark, item in zip(marks, items, strict=True))
        case Table(head, rows):
            return "\n".join(" · ".join(row) for row in (head, *rows))


def _run(inline: tuple[Inline, ...]) -> str:
    out = []
    for node in inline:
        match node:
            case Text(v) | Code(v):
                out.append(v)
            case Break():
                out.append("\n")
            case Link(href, c):
                label = _run(c)
                out.append(label if label == href else f"{label} ({href})")
            case Strong(c) | Emphasis(c):
                out.append(_run(c))
    return "".join(out)
