"""What prompts show, drawn for channels: the geometry of charts and QR codes, and words for all else.

Channels only put it out, so that the page without script, the page with it and others show the same. What is
drawn is added to `details` when a prompt leaves the bot; it is never stored.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import segno

from bot.engine import details
from bot.engine import text as tree_of
from bot.engine.session import Shown

WIDTH: Final = 640
HEIGHT: Final = 240
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 12, 30  # around the lines, for the words
LABELS: Final = 6  # below a chart
QUIET: Final = 4  # modules around a QR code, as its standard asks for
KINDS: Final = frozenset({"table", "chart", "log", "code", "diff", "qr", "image", "download"})


def with_drawing(shown: Shown) -> Shown:
    """The prompt with `details.words` (what it shows, as text) and, of charts and QR codes, the drawing."""
    if shown.kind not in KINDS:
        return shown
    own: dict[str, Any] = {**shown.details, "words": words(shown.kind, shown.details)}
    if shown.kind == "chart":
        own |= chart(shown.details)
    elif shown.kind == "qr":
        own |= qr(str(shown.details["text"]))
    return msgspec.structs.replace(shown, details=own)


def words(kind: str, shown: Mapping[str, Any]) -> str:
    """What is shown as lines of text, tables with their columns below each other."""
    return "\n\n".join(
        aligned([block.head, *block.rows]) if isinstance(block, tree_of.Table) else tree_of.plain((block,))
        for block in details.blocks(kind, dict(shown))
    )


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines, each column as wide as its widest cell."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


@functools.lru_cache(maxsize=64)
def _qr(text: str) -> tuple[int, str]:
    matrix = segno.make(text, micro=False, error="m").matrix
    path = []
    for y, row in enumerate(matrix):
        x = 0
        while x < len(row):
            run = x
            while run < len(row) and row[run]:
                run += 1
            if run > x:
                path.append(f"M{x + QUIET} {y + QUIET}h{run - x}v1h-{run - x}z")
            x = run + 1
    return len(matrix) + 2 * QUIET, "".join(path)


def qr(text: str) -> dict[str, Any]:
    """A QR code: `size` in modules, quiet zone included, and `path` of what is dark."""
    size, path = _qr(text)
    return {"size": size, "path": path}


def chart(shown: Mapping[str, Any]) -> dict[str, Any]:
    """Where the lines, bars and words of a chart are, in a box of WIDTH by HEIGHT."""
    series = shown["series"]
    values = [v for one in series for v in one["values"] if v is not None]
    low, high, step = _scale(values, from_zero=shown["style"] == "bars")
    count = len(shown["at"])

    def y_of(value: float) -> float:
        return round(TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low), 1)

    slot = (WIDTH - LEFT - RIGHT) / max(count, 1)

    def x_of(index: int) -> float:
        return round(LEFT + slot * (index + 0.5), 1)

    grid = [
        {"y": y_of(low + step * n), "label": _short(low + step * n)}
        for n in range(round((high - low) / step) + 1)
    ]
    every = max(1, math.ceil(count / LABELS))
    ticks = [{"x": x_of(i), "label": shown["at"][i][:12]} for i in range(0, count, every)]
    drawing: dict[str, Any] = {"grid": grid, "ticks": ticks, "lines": [], "bars": []}
    for n, one in enumerate(series):
        if shown["style"] == "bars":
            wide = slot * 0.8 / len(series)
            for i, value in enumerate(one["values"]):
                if value is not None:
                    top, foot = sorted((y_of(value), y_of(max(low, 0.0))))
                    x = round(x_of(i) - slot * 0.4 + wide * n, 1)
                    bar = {"n": n, "x": x, "y": top, "w": round(wide, 1), "h": round(foot - top, 1)}
                    drawing["bars"].append(bar)
        else:
            drawing["lines"].append({"n": n, "d": _line(one["values"], x_of, y_of)})
    return {"drawing": drawing, "says": _says(shown)}


def _line(values: Sequence[float | None], x_of: Any, y_of: Any) -> str:
    path, pen = [], "M"
    for index, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        path.append(f"{pen}{x_of(index)} {y_of(value)}")
        if pen == "M" and (index + 1 == len(values) or values[index + 1] is None):
            path.append("h0.1")  # a single point is a dot
        pen = "L"
    return "".join(path)


def _scale(values: Sequence[float], *, from_zero: bool) -> tuple[float, float, float]:
    """The ends of the scale and its step: 1, 2 or 5 times a power of ten, four to eight of them."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if from_zero or 0 < low < high / 2:
        low = min(low, 0.0)
        high = max(high, 0.0)
    if low == high:
        low, high = low - 1, high + 1
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough)
    return math.floor(low / step) * step, math.ceil(high / step) * step, step


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{round(value, 6):g}"


def _says(shown: Mapping[str, Any]) -> str:
    """A chart for those who do not see it; the numbers themselves stand in a table beside it."""
    unit = f" {shown['unit']}" if shown["unit"] else ""
    said = []
    for one in shown["series"]:
        values = [v for v in one["values"] if v is not None]
        if values:
            ends = f"from {_short(min(values))} to {_short(max(values))}{unit}"
            said.append(f"{one['name']}: {ends}, last {_short(values[-1])}{unit}")
    return "; ".join(said)
