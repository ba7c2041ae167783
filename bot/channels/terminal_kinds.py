"""Prompts of several fields, picks of many, and what is only shown, in a terminal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import segno
from rich.table import Table
from rich.text import Text as RichText

from bot.channels.drawn import KINDS
from bot.channels.terminal_values import WrongUse

STYLES = {"+": "green", "-": "red", "@": "dim", " ": ""}
HINTS = {
    "pick-many": "numbers or names, with commas",
    "date-time": "like 2026-12-24 03:00",
    "duration": "like 2h 30m",
    "location": "degrees north, degrees east, name: 50.85, 4.35 Brussels",
}


def shown(prompt: Mapping[str, Any], *, lively: bool) -> list[Any]:
    """What a prompt shows besides its question, as things that rich prints; words in a script."""
    kind, own = prompt["kind"], prompt.get("details") or {}
    if kind not in KINDS:
        return []
    made: list[Any]
    if kind == "table" and lively:
        made = [_table(own)]
    elif kind == "diff":
        lines = [RichText(f"  {mark}{line}", style=STYLES[mark]) for mark, line in own["lines"]]
        made = [*lines, RichText(f"  {own['added']} lines new, {own['gone']} gone", style="dim")]
    elif kind == "qr":
        made = (
            [RichText(f"  {own['text']}")] if not lively else [_qr(own["text"]), RichText(f"  {own['text']}")]
        )
    elif kind == "download":
        made = [RichText(own["text"] or f"  {own['name']}: /api/v1/blobs/{own['blob']}")]
    else:
        return [RichText(own["words"])]
    return [*made, RichText(own["cut"], style="dim")] if own.get("cut") else made


def _table(own: Mapping[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in own["columns"]:
        table.add_column(RichText(heading))
    for row in own["rows"]:
        table.add_row(*(RichText(cell) for cell in row))
    return table


def _qr(text: str) -> RichText:
    out = io.StringIO()
    segno.make(text, micro=False, error="m").terminal(out, compact=True)
    return RichText.from_ansi(out.getvalue())


def picked_many(text: str, options: Any) -> list[str]:
    """Numbers, values or labels with commas between them. Raises WrongUse."""
    return [picked(part, options) for part in (one.strip() for one in text.split(",")) if part]


def picked(text: str, options: Any) -> str:
    """By number, value or label. Raises WrongUse."""
    if text.isdigit() and 0 < int(text) <= len(options):
        return str(options[int(text) - 1]["value"])
    for option in options:
        if text.lower() in (option["value"].lower(), option["label"].lower()):
            return str(option["value"])
    raise WrongUse(what=f"{text!r} is none of these.", way="Type a number or a name from the list.")
