"""What an author should know about a flow before anybody runs it: mistakes, and advice.

Mistakes are those that `compile` refuses (`bot.engine.checks`). Advice comes from walking the rows: what
holds on every way to a state. A new code also needs a row in docs/authoring.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from bot.engine import checks, form, rows, ways
from bot.engine.checks import Problem
from bot.engine.orders import RANK, RISKS

ADVICE: Final = frozenset({"unreachable", "dead-end", "circle", "maybe-unset", "unconfirmed", "risk"})


def check(flow: form.Flow, lines: Mapping[str, int] | None = None) -> list[Problem]:
    """Everything to say about a flow: mistakes first. `lines` as `compile.lines_of` gives them."""
    found = checks.errors(flow)
    if not found:
        found = [*_advice(flow)]
    return [msgspec.structs.replace(p, line=(lines or {}).get(p.state, 0)) for p in found]


def _advice(flow: form.Flow) -> Iterator[Problem]:
    reachable = _reachable(flow)
    for name in flow.states:
        if name not in reachable:
            yield _say(name, "unreachable", "No way leads here.")
    ends = _leading_to_an_end(flow)
    for name in reachable:
        if name not in ends:
            yield _say(name, "dead-end", "No way leads from here to an End.")
    yield from _circles(flow, reachable)
    yield from _unset(flow)
    yield from _unconfirmed(flow, reachable)
    yield from _too_low_risk(flow)


def _say(state: str, code: str, says: str) -> Problem:
    return Problem(state, code, says, advice=True)


def _reachable(flow: form.Flow) -> list[str]:
    seen = {flow.start: None}
    todo = [flow.start]
    while todo:
        for row in rows.ways_of(state := todo.pop(), flow.states[state]):
            if row.dest not in seen:
                seen[row.dest] = None
                todo.append(row.dest)
    return [name for name in flow.states if name in seen]


def _leading_to_an_end(flow: form.Flow) -> set[str]:
    ends = {name for name, state in flow.states.items() if isinstance(state, form.End)}
    every = rows.rows_of(flow)
    while more := {row.source for row in every if row.dest in ends} - ends:
        ends |= more
    return ends


def _circles(flow: form.Flow, reachable: list[str]) -> Iterator[Problem]:
    """States that go round without ever waiting for anything."""
    passing = {name for name in reachable if _never_waits(flow.states[name])}
    for name in passing:
        seen: set[str] = set()
        todo = [row.dest for row in rows.ways_of(name, flow.states[name])]
        while todo:
            at = todo.pop()
            if at == name:
                yield _say(name, "circle", "One can come back here without anything being asked or done.")
                break
            if at in passing and at not in seen:
                seen.add(at)
                todo += [row.dest for row in rows.ways_of(at, flow.states[at])]


def _never_waits(state: form.State) -> bool:
    return isinstance(state, form.Say | form.Choose) or (isinstance(state, form.Ask) and state.quiet)


def _unset(flow: form.Flow) -> Iterator[Problem]:
    """Names that a state needs and that some way here leaves without a value."""
    known = _known_at(flow)
    for name, state in flow.states.items():
        if name not in known:
            continue
        missing = checks.reads(state)[0] - known[name]
        missing |= checks.undo_reads(state) - known[name] - checks.names_set(state)
        for unset in sorted(missing):
            says = f"{unset!r} has no value on some way here: set it before, or use {unset} | default(…)."
            yield _say(name, "maybe-unset", says)


def unset_from(flow: form.Flow, state: str, known: Iterable[str]) -> list[tuple[str, str]]:
    """(state, name) of every name that some state on a way from `state` needs and that has no value there,
    for somebody who comes to `state` with the names `known`.
    """
    at = _known_at(flow, state, frozenset({"session", *flow.takes, *known}))
    found = []
    for name, names in at.items():
        missing = checks.reads(flow.states[name])[0] - names
        missing |= checks.undo_reads(flow.states[name]) - names - checks.names_set(flow.states[name])
        found += [(name, one) for one in sorted(missing)]
    return found


def _known_at(
    flow: form.Flow, begin: str = "", known: frozenset[str] = frozenset()
) -> dict[str, frozenset[str]]:
    """The names that have a value at each state, whatever way was taken there.

    Ways are told apart by what was picked where a Choose asks for it again (`what == 'demo'`), so that
    "again, whichever it was" is no mistake.
    """
    picks = ways.decisive(flow)
    start = (begin or flow.start, ways.NOTHING_PICKED)
    holds = {start: known or frozenset({"session", *flow.takes})}
    todo = [start]
    while todo:
        at = todo.pop()
        after = holds[at] | checks.names_set(flow.states[at[0]])
        for place in ways.onward(flow, at, picks):
            before = holds.get(place)
            met = after if before is None else before & after
            if met != before:
                holds[place] = met
                todo.append(place)
    least: dict[str, frozenset[str]] = {}
    for (state, _), names in holds.items():
        least[state] = least[state] & names if state in least else names
    return least


def _unconfirmed(flow: form.Flow, reachable: list[str]) -> Iterator[Problem]:
    """What disturbs or destroys needs a person's yes on every way, since the last such thing."""

    def leaving(name: str, confirmed: int) -> int:
        """How much is confirmed after a state, as a rank."""
        state = flow.states[name]
        if isinstance(state, form.Do) and RANK[RISKS[state.order.verb]] >= RANK["disturbs"]:
            return 0
        if isinstance(state, form.Wait) and state.approval is not None:
            return max(confirmed, RANK["destroys"])  # somebody else's yes counts as one's own does
        if isinstance(state, form.Ask) and isinstance(state.then, dict):
            return max(
                confirmed, RANK["destroys"] if isinstance(state.prompt, form.Confirm) else RANK["disturbs"]
            )
        return confirmed

    confirmed = {flow.start: 0}
    todo = [flow.start]
    while todo:
        at = todo.pop()
        for row in rows.ways_of(at, flow.states[at]):
            least = min(leaving(at, confirmed[at]), confirmed.get(row.dest, RANK["destroys"]))
            if confirmed.get(row.dest) != least:
                confirmed[row.dest] = least
                todo.append(row.dest)
    for name in reachable:
        state = flow.states[name]
        if not isinstance(state, form.Do):
            continue
        risk = RISKS[state.order.verb]
        if RANK[risk] >= RANK["disturbs"] and confirmed[name] < RANK[risk]:
            how = "a Confirm" if risk == "destroys" else "a Confirm or a choice with a way out"
            yield _say(name, "unconfirmed", f"{state.order.verb} {risk}, and some way here lacks {how}.")


def _too_low_risk(flow: form.Flow) -> Iterator[Problem]:
    for name, state in flow.states.items():
        if isinstance(state, form.Do) and RANK[RISKS[state.order.verb]] > RANK[flow.risk]:
            risk = RISKS[state.order.verb]
            yield _say(
                name, "risk", f"{state.order.verb} {risk}, but the chatflow says that it only {flow.risk}."
            )
