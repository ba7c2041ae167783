"""A chatflow as a picture: boxes from top to bottom, drawn from the same rows as the Mermaid diagram.

Plain SVG with the page's own colours: no script, no style that the page's rules would forbid.
"""

from __future__ import annotations

from typing import Final

from markupsafe import Markup

from bot.engine import form, orders, rows
from bot.engine.diagram import label_of

WIDTH: Final = 210
HEIGHT: Final = 54
APART: Final = 26  # between boxes beside each other
BELOW: Final = 58  # between rows, with room for what leads there
CHARS: Final = 27


def svg(flow: form.Flow) -> Markup:
    """The picture, to stand in a page."""
    ranks = _ranks(flow)
    by_rank: dict[int, list[str]] = {}
    for name in flow.states:
        by_rank.setdefault(ranks[name], []).append(name)
    widest = max(len(names) for names in by_rank.values())
    width = widest * (WIDTH + APART) + 120
    at: dict[str, tuple[float, float]] = {}
    for rank, names in by_rank.items():
        left = (width - len(names) * (WIDTH + APART) + APART) / 2
        for column, name in enumerate(names):
            at[name] = (left + column * (WIDTH + APART), 10 + rank * (HEIGHT + BELOW))
    height = 20 + (max(by_rank) + 1) * (HEIGHT + BELOW) - BELOW
    parts = [
        Markup('<svg class="picture" role="img" viewBox="0 0 {} {}" width="{}" aria-label="{}">').format(
            width, height, width, flow.title
        ),
        Markup('<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" ')
        + Markup('orient="auto"><path d="M0 0L8 4L0 8z" fill="currentColor"/></marker></defs>'),
    ]
    parts += [_way(row, at, width) for row in dict.fromkeys(rows.rows_of(flow)) if row.dest in at]
    parts += [_box(name, state, *at[name]) for name, state in flow.states.items()]
    return Markup("").join([*parts, Markup("</svg>")])


def _ranks(flow: form.Flow) -> dict[str, int]:
    """How far down each state stands: below all that lead to it from above, as they were declared."""
    place = {name: n for n, name in enumerate(flow.states)}
    ranks = dict.fromkeys(flow.states, 0)
    for name, state in flow.states.items():
        for row in rows.ways_of(name, state):
            if row.dest in place and place[row.dest] > place[name]:
                ranks[row.dest] = max(ranks[row.dest], ranks[name] + 1)
    return ranks


def _box(name: str, state: form.State, x: float, y: float) -> Markup:
    risk = orders.RISKS.get(state.order.verb, "reads") if isinstance(state, form.Do) else ""
    kind = str(state.__struct_config__.tag)
    round_ = HEIGHT / 2 if kind in ("end", "choose") else 8
    final = isinstance(state, form.Do) and state.no_return
    return (
        Markup('<g data-kind="{}" data-risk="{}"><title>{}</title>').format(kind, risk, label_of(name, state))
        + Markup('<rect x="{}" y="{}" width="{}" height="{}" rx="{}" stroke-width="{}"/>').format(
            x, y, WIDTH, HEIGHT, round_, 4 if final else 1.5
        )
        + Markup('<text x="{}" y="{}" text-anchor="middle" font-weight="600">{}</text>').format(
            x + WIDTH / 2, y + 22, _short(name)
        )
        + Markup('<text x="{}" y="{}" text-anchor="middle">{}</text></g>').format(
            x + WIDTH / 2, y + 41, _short(label_of(name, state))
        )
    )


def _way(row: rows.Row, at: dict[str, tuple[float, float]], width: float) -> Markup:
    (x1, y1), (x2, y2) = at[row.source], at[row.dest]
    if y2 > y1:
        x1, y1, x2 = x1 + WIDTH / 2, y1 + HEIGHT, x2 + WIDTH / 2
        bend = min(60, (y2 - y1) / 2)
        path = f"M{x1} {y1}C{x1} {y1 + bend} {x2} {y2 - bend} {x2} {y2}"
        label = (x1 * 0.35 + x2 * 0.65 + 5, y2 - 16)
    else:  # back up, or to itself: around the right side
        x1, y1, x2, y2 = x1 + WIDTH, y1 + HEIGHT / 2, x2 + WIDTH, y2 + HEIGHT / 2 + 8
        out = min(width - 6, max(x1, x2) + 46)
        path = f"M{x1} {y1}C{out} {y1} {out} {y2} {x2} {y2}"
        label = (min(x1 + 8, width - 60), y1 - 6)
    said = (
        Markup('<text class="way" x="{}" y="{}">{}</text>').format(*label, _short(row.label))
        if row.label
        else ""
    )
    dashed = Markup(' stroke-dasharray="5 4"') if row.label == "failed" else ""
    return Markup('<path d="{}" fill="none" stroke="currentColor" marker-end="url(#tip)"{}/>').format(
        path, dashed
    ) + (said or Markup(""))


def _short(words: str) -> str:
    words = words.replace("**", "")
    return words if len(words) <= CHARS else words[: CHARS - 1].rstrip() + "…"
