"""Dated facts: what was picked from the fleet's facts is looked up again before a Do that uses it.

Rule 1: a pick remembers when its facts came, what was asked, and what mattered of the chosen one.
Rule 2: before a Do that changes something, whatever of that is older than `FRESH_MS` is asked again. Gone, or
other in what matters: the person gets a sentence and the prompt again.
Rule 3: it travels with the value through calls.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from agent.orders import READING
from bot.engine import back, form, markdown, template, wayon
from bot.engine.checks import options_query
from bot.engine.effects import AskFacts
from bot.engine.events import FactsCame
from bot.engine.filters import as_text
from bot.engine.session import Choice, Dated, Waiting
from bot.engine.turn import Turn

FRESH_MS: Final = 3_000  # facts as new as that are not asked again
WITHIN_MS: Final = 10_000  # as of a prompt's lookup
DATED_MAX: Final = 20  # of one name: a choice of more is not looked up again
_MATTERS: Final = ("target", "engine_id", "created_ms", "id", "online", "state")
_RETRY = Choice(value="retry", label="Look again")
_ANYWAY = Choice(value="anyway", label="Go on anyway", description="As it was when it was chosen.")
_CANCEL = Choice(value="cancel", label="Cancel", description="Take back what was done, as far as it can be.")


def note(turn: Turn, ask: form.Ask, given: Any, named: Any, words: str, seq: int) -> None:
    """An option of live facts was chosen; `turn.facts_ms` is when they came. Its place is this frame's."""
    query = options_query(ask.prompt)
    if query is None:
        return
    args = turn.filled(query.args)
    node = str(args.get("node") or turn.session.node)
    # what was asked for by its state is looked up in any state, so that the new one can be said
    asked = {name: value for name, value in args.items() if name not in ("node", "state")}
    values, datas = (given, named) if isinstance(given, list | tuple) else ([given], [named])
    if not isinstance(datas, list | tuple) or len(values) != len(datas):
        return  # not one value for each option: nothing that could be told apart
    dated = tuple(
        Dated(
            at_ms=turn.facts_ms,
            seq=seq,
            name=ask.as_,
            value=str(value),
            label=words if len(values) == 1 else _label_of(data, str(value)),
            fact=query.fact,
            args=asked,
            node=node,
            was=_what_matters(data),
        )
        for value, data in zip(values, datas, strict=True)
    )
    _put(turn, f"{turn.depth}.{ask.as_}", dated[:DATED_MAX])


def carry(turn: Turn, value: Any, depth: int, name: str) -> None:
    """A value of the flow (with its templates) becomes `name` at another depth: its dates go with it."""
    known = turn.session.dated
    if not known:
        return
    names = {one for found in template.templates_in(value) for one in found.may}
    dated = tuple(one for source in sorted(names) for one in known.get(f"{turn.depth}.{source}", ()))
    _put(turn, f"{depth}.{name}", dated[:DATED_MAX])


def begin(turn: Turn, depth: int) -> None:
    """A flow begins at a depth where another one may have been before."""
    known = turn.session.dated
    if any(place.startswith(f"{depth}.") for place in known):
        turn.set(dated={place: one for place, one in known.items() if not place.startswith(f"{depth}.")})


def asked_again(turn: Turn, do: form.Do) -> bool:
    """Whether something that this Do uses is too old; then it is being looked up, and the Do has to wait."""
    for place in _places(turn, do):
        for index, dated in enumerate(turn.session.dated.get(place, ())):
            if place == f"{turn.depth}.{dated.name}" and not _is_it(turn, dated):
                _put(turn, place, ())  # the name was given another value since, not from facts
                break
            if turn.event.at_ms - dated.at_ms >= FRESH_MS:
                _ask(turn, dated, f"{place}#{index}")
                return True
    return False


def facts_came(turn: Turn, do: form.Do, event: FactsCame) -> None:
    """What was looked up again came. If nothing changed, the Do is entered again."""
    waiting = turn.session.waiting
    assert waiting is not None  # noqa: S101  (the lookup is waited for)
    turn.set(waiting=None, lookup="")
    place, _, index = waiting.about.rpartition("#")
    asked = turn.session.dated[place][int(index)]
    if event.facts is None:
        says = f"It could not be looked up whether {asked.label} is still as it was. {event.problem}".strip()
        wayon.offer(turn, says, options=(_RETRY, _ANYWAY, _CANCEL))
        return
    offered = event.facts.get("options")
    options = {
        option["value"]: option
        for option in (offered if isinstance(offered, list | tuple) else ())
        if isinstance(option, dict) and "value" in option
    }
    for own in _places(turn, do):
        renewed = []
        for dated in turn.session.dated.get(own, ()):
            if (dated.fact, dated.args, dated.node) != (asked.fact, asked.args, asked.node):
                renewed.append(dated)
                continue
            if says := _difference(dated, options.get(dated.value)):
                _ask_person(turn, do, own, dated, says)
                return
            renewed.append(msgspec.structs.replace(dated, at_ms=event.at_ms))
        _put(turn, own, tuple(renewed))


def go_on_anyway(turn: Turn, do: form.Do) -> None:
    """The person takes it as it was."""
    for place in _places(turn, do):
        known = turn.session.dated.get(place, ())
        _put(turn, place, tuple(msgspec.structs.replace(one, at_ms=turn.event.at_ms) for one in known))


def ours(turn: Turn, do: form.Do) -> None:
    """What this Do acted on is other than it was by our own doing."""
    if turn.session.dated and do.order.verb not in READING:
        for place in _places(turn, do):
            _put(turn, place, ())


def _places(turn: Turn, do: form.Do) -> list[str]:
    names = [again.name for again in do.recheck]
    if do.order.verb not in READING:
        names += [name for name in turn.ready.used_by(turn.frame.state) if name not in names]
    return [f"{turn.depth}.{name}" for name in names]


def _ask(turn: Turn, dated: Dated, about: str) -> None:
    lookup = turn.new_id("l")
    turn.want(
        AskFacts(
            id=lookup,
            session=turn.session.id,
            seq=turn.session.seq,
            fact=dated.fact,
            args=dated.args,
            node=dated.node,
            due_ms=turn.event.at_ms + WITHIN_MS,
        )
    )
    says = markdown.tree("Looking whether all is still as it was …")
    turn.wait(Waiting(kind="lookup", id=lookup, says=says, since_ms=turn.event.at_ms, about=about))
    turn.set(lookup=lookup)


def _ask_person(turn: Turn, do: form.Do, place: str, dated: Dated, says: str) -> None:
    own = next((again.says for again in do.recheck if f"{turn.depth}.{again.name}" == place), "")
    if own:
        says = as_text(turn.filled(own))
    turn.enter("problem", markdown.tree(says), outcome="changed")
    session = turn.session
    for index in range(len(session.trail) - 1, -1, -1):
        crumb = session.trail[index]
        if (crumb.name, crumb.seq, crumb.undos) == (dated.name, dated.seq, len(session.undos)):
            back.go_back(turn, index)
            turn.asked_why = says
            return
    wayon.offer(turn, says)


def _difference(dated: Dated, now: dict[str, Any] | None) -> str:
    """What is other than it was, as a sentence, "" for nothing."""
    if now is None:
        return f"{dated.label} is not there any more: choose another."
    if reason := as_text(now.get("disabled") or ""):
        return f"{dated.label} cannot be used now: choose another. ({reason})"
    data = now.get("data")
    known = _what_matters(data)
    for name, was in dated.was.items():
        if name not in known or known[name] == was:
            continue
        match name:
            case "online":
                if not known[name]:
                    return f"{dated.label} is not connected any more: choose another."
            case "state":
                return f"{dated.label} is {as_text(known[name])} now, not {as_text(was)}: choose again."
            case _:
                return f"{dated.label} was made anew since it was chosen: choose again."
    return ""


def _is_it(turn: Turn, dated: Dated) -> bool:
    """Whether the name still has the value that was picked (of several: one of them)."""
    value = turn.frame.names.get(dated.name)
    values = value if isinstance(value, list | tuple) else [value]
    return any(_what_matters(one) == dated.was for one in values)


def _what_matters(data: Any) -> dict[str, Any]:
    return {name: data[name] for name in _MATTERS if name in data} if isinstance(data, dict) else {}


def _label_of(data: Any, value: str) -> str:
    return as_text(data.get("label") or data.get("name") or value) if isinstance(data, dict) else value


def _put(turn: Turn, place: str, dated: tuple[Dated, ...]) -> None:
    others = {known: one for known, one in turn.session.dated.items() if known != place}
    if dated:
        others[place] = dated
    if others != turn.session.dated:
        turn.set(dated=others)
