"""Points of no return: which prompts are the last before one, and what they say.

Looked through: what asks nobody (Say, Choose, a quiet Ask, an order that only reads), into called flows and
out of them again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from agent.orders import READING
from bot.engine import form, rows
from bot.engine.refusals import NoSuchFlow
from bot.engine.turn import Turn

SAYS: Final = "After this there is no way back: neither back nor undo reach what was before."
_PLACES_MAX: Final = 500  # looked at for one prompt
_Place = tuple[tuple[form.Flow, str], ...]  # flows that call each other, each with its state


def said_before(turn: Turn) -> str:
    """What the prompt of the present state says when a point of no return may come next, else ""."""
    ready, stack = turn.ready, turn.session.stack
    key = tuple([(frame.version, frame.state) for frame in stack])
    found = ready.said_before.get(key)
    if found is None:
        place = tuple((turn.flows.by_version(frame.version).flow, frame.state) for frame in stack)
        found = ready.said_before[key] = SAYS if _leads_there(turn, place) else ""
    return found


def _leads_there(turn: Turn, place: _Place) -> bool:
    seen: set[tuple[tuple[str, str], ...]] = set()
    todo = list(_after(place))
    while todo and len(seen) < _PLACES_MAX:
        at = todo.pop()
        key = tuple((flow.name, state) for flow, state in at)
        if key in seen:
            continue
        seen.add(key)
        flow, name = at[-1]
        match flow.states[name]:
            case form.Do(no_return=True):
                return True
            case form.Say() | form.Choose() | form.Ask(quiet=True):
                todo += _after(at)
            case form.Do(order=form.OrderForm(verb=verb), targets="") if verb in READING:
                todo += _after(at)
            case form.End() if len(at) > 1:
                todo += _after(at[:-1])
            case form.Call(alongside=True):
                todo += _after(at)
            case form.Call(flow=called, version=version):
                try:
                    ready = turn.flows.by_version(version) if version else turn.flows.current(called)
                except NoSuchFlow:
                    continue  # it is said when it is to be called
                todo.append((*at, (ready.flow, ready.flow.start)))
            case _:
                pass
    return False


def _after(place: _Place) -> Iterator[_Place]:
    flow, name = place[-1]
    for row in rows.ways_of(name, flow.states[name]):
        if row.dest in flow.states:
            yield (*place[:-1], (flow, row.dest))
