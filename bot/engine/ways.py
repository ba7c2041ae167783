"""Ways through a flow that differ by what was picked, for lint: a state, and the picks known there.

Only picks that some `Choose` compares with a fixed value matter; all else is taken as possible.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from bot.engine import checks, form, rows

Place = tuple[str, frozenset[tuple[str, str]]]
NOTHING_PICKED: Final[frozenset[tuple[str, str]]] = frozenset()
PICKS_MAX: Final = 4  # told apart at once; the number of ways is their product
_COMPARES = re.compile(r"\s*(?:\{\{)?\s*(\w+)\s*(==|!=)\s*(?:'([^']*)'|\"([^\"]*)\")\s*(?:\}\})?\s*")


def decisive(flow: form.Flow) -> frozenset[str]:
    """The names of picks by which a Choose decides."""
    asked = [
        s.as_ for s in flow.states.values() if isinstance(s, form.Ask) and checks.fixed_options(s.prompt)
    ]
    compared = {
        match[1]
        for state in flow.states.values()
        if isinstance(state, form.Choose)
        for case in state.cases
        if (match := _COMPARES.fullmatch(case.when))
    }
    return frozenset(sorted(compared & set(asked))[:PICKS_MAX])


def onward(flow: form.Flow, place: Place, picks: frozenset[str]) -> Iterator[Place]:
    """Where a session may be next."""
    name, known = place
    state = flow.states[name]
    match state:
        case form.Ask(as_=picked, then=then) if picked in picks and (
            options := checks.fixed_options(state.prompt)
        ):
            others = frozenset(pair for pair in known if pair[0] != picked)
            for option in options:
                dest = then[option.value] if isinstance(then, dict) else then
                yield dest, others | {(picked, option.value)}
        case form.Choose(hook=None):
            for case in state.cases:
                holds = _holds(case.when, dict(known))
                if holds is not False:
                    yield case.then, known
                if holds is True:
                    return
            if state.otherwise is not None:
                yield state.otherwise, known
        case _:
            for row in rows.ways_of(name, state):
                yield row.dest, known


def _holds(when: str, known: dict[str, str]) -> bool | None:
    """What a case comes to; None when that is not known."""
    match = _COMPARES.fullmatch(when)
    if match is None or match[1] not in known:
        return None
    return (known[match[1]] == (match[3] if match[3] is not None else match[4])) is (match[2] == "==")
