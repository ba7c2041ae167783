"""Events from outside: a build that ended, a ticket that was closed. A Wait takes them in their order.

Whoever sends one is a stranger: its name must be one that the flow waits for somewhere, its data is looked at
against the fields that the flow declares, and is small. One that comes before anybody waits is kept.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bot.engine import form, markdown
from bot.engine.events import EventCame
from bot.engine.ready import Flows, Ready
from bot.engine.refusals import InvalidAnswer, MailFull, NoSuchEvent, NoSuchFlow, NotNow
from bot.engine.session import Mail, Waiting
from bot.engine.turn import Turn

DATA_BYTES: Final = 16_384
DATA_DEPTH: Final = 8
TEXT_CHARS: Final = 4_000
MAIL_MAX: Final = 20  # kept for one session while nobody waits for them
MAIL_BYTES: Final = 65_536


def enter(turn: Turn, wait: form.Wait) -> None:
    """Come to a Wait for an event: take the oldest that is there, or wait."""
    mail = turn.session.mail
    kept = next((one for one in mail if one.name == wait.event), None)
    if kept is not None:
        turn.set(mail=tuple(one for one in mail if one is not kept))
        _take(turn, wait, kept.data)
        return
    words = turn.render(wait.says) or markdown.tree(f"Waiting for “{wait.event}” from outside.")
    turn.enter("said", words)
    turn.wait(Waiting(kind="event", id=turn.new_id("w"), says=words, since_ms=turn.event.at_ms))


def came(turn: Turn, event: EventCame) -> None:
    """An event came. Raises NotNow, NoSuchEvent, InvalidAnswer, MailFull."""
    session = turn.session
    if session.status != "open":
        raise NotNow(event="an event", state=session.status)
    waits = _awaited(turn.flows, turn.flows.by_version(session.flow_version)).get(event.name, [])
    if not waits:
        raise NoSuchEvent(name=event.name[:100])
    problems = min((_problems(wait.fields, event.data) for wait in waits), key=len)
    if problems:
        raise InvalidAnswer(problems)
    turn.enter("came", markdown.tree(f"“{event.name}” came from outside."), person=True, label=event.name)
    state, waiting = turn.state, session.waiting
    waited = waiting is not None and waiting.kind == "event"
    if waited and isinstance(state, form.Wait) and state.event == event.name:
        _take(turn, state, event.data)
        return
    one = Mail(name=event.name, data=event.data, at_ms=event.at_ms)
    size = sum(len(msgspec.json.encode(kept.data)) for kept in (*session.mail, one))
    if len(session.mail) >= MAIL_MAX or size > MAIL_BYTES:
        raise MailFull(most=MAIL_MAX)
    turn.set(mail=(*session.mail, one))


def _take(turn: Turn, wait: form.Wait, data: Any) -> None:
    if wait.as_ is not None:
        turn.assign(wait.as_, data)
    turn.go("event_came", wait.then)


def _awaited(flows: Flows, ready: Ready) -> dict[str, list[form.Wait]]:
    """Every event that a flow, or one that it calls, waits for."""
    found: dict[str, list[form.Wait]] = {}
    seen: set[str] = set()
    todo = [ready]
    while todo:
        one = todo.pop()
        if one.version in seen:
            continue
        seen.add(one.version)
        for state in one.flow.states.values():
            if isinstance(state, form.Wait) and state.event:
                found.setdefault(state.event, []).append(state)
            elif isinstance(state, form.Call) and not state.alongside:
                try:
                    todo.append(
                        flows.by_version(state.version) if state.version else flows.current(state.flow)
                    )
                except NoSuchFlow:
                    continue  # said when the session comes to that Call
    return found


def _problems(fields: dict[str, form.FieldKind], data: Any) -> list[dict[str, str]]:
    """What is wrong with the data of an event."""
    if len(msgspec.json.encode(data)) > DATA_BYTES or _depth(data) > DATA_DEPTH:
        return [{"field": "data", "says": f"It has at most {DATA_BYTES // 1024} KiB, {DATA_DEPTH} deep."}]
    if not fields:
        return []
    if not isinstance(data, dict):
        return [{"field": "data", "says": f"It needs the fields {', '.join(fields)}."}]
    wrong = [{"field": f"data.{name}", "says": "It is not expected."} for name in data if name not in fields]
    for name, kind in fields.items():
        value = data.get(name)
        fits = {
            "any": name in data,
            "text": isinstance(value, str) and len(value) <= TEXT_CHARS,
            "number": isinstance(value, int | float) and not isinstance(value, bool),
            "yes-no": isinstance(value, bool),
        }[kind]
        if not fits:
            wanted = {"text": f"a text of at most {TEXT_CHARS} characters", "number": "a number"}
            says = f"It has to be {wanted.get(kind, 'true or false' if kind == 'yes-no' else 'there')}."
            wrong.append({"field": f"data.{name}", "says": says})
    return wrong[:20]


def _depth(data: Any) -> int:
    deepest, todo = 0, [(data, 1)]
    while todo:
        value, depth = todo.pop()
        deepest = max(deepest, depth)
        if depth > DATA_DEPTH:
            return depth
        if isinstance(value, dict):
            todo += [(item, depth + 1) for item in value.values()]
        elif isinstance(value, list | tuple):
            todo += [(item, depth + 1) for item in value]
    return deepest
