"""Points of no return: which prompts are the last before one, and what they say."""

from __future__ import annotations

from agent.orders import READING
from bot.engine import form, rows

_SAYS = "After this there is no way back: neither back nor undo reach what was before."


def said_before(flow: form.Flow, state: str) -> str:
    """What a prompt says when the next thing that happens may be a point of no return, else "".

    Looked through: what asks nobody (Say, Choose, a quiet Ask). A called flow says it by its own prompts.
    """
    seen: set[str] = set()
    todo = [row.dest for row in rows.ways_of(state, flow.states[state])]
    while todo:
        name = todo.pop()
        if name in seen or name not in flow.states:
            continue
        seen.add(name)
        match flow.states[name]:
            case form.Do(no_return=True):
                return _SAYS
            case form.Say() | form.Choose() | form.Ask(quiet=True) as passing:
                todo += [row.dest for row in rows.ways_of(name, passing)]
            case form.Do(order=form.OrderForm(verb=verb)) if verb in READING:
                todo += [row.dest for row in rows.ways_of(name, flow.states[name])]
            case _:
                pass
    return ""
