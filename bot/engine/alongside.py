"""Sessions alongside: a Call that begins a session of its own, and what the two tell each other.

The child has its own transcript and end. Its id is derived, so it is begun once. It tells its parent how it
ended, whether anybody waits for that or not; a parent that is cancelled has its children cancelled too.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bot.engine import form, markdown, text
from bot.engine.effects import BeginSession, CancelSession, TellParent
from bot.engine.events import ChildEnded
from bot.engine.refusals import NoSuchFlow, Stale
from bot.engine.session import Child, Waiting
from bot.engine.turn import Turn

CHILDREN_MAX: Final = 20  # of one session
GENERATIONS_MAX: Final = 2  # below the first: sessions must not multiply without end
RESULT_BYTES: Final = 32_768


def begin(turn: Turn, call: form.Call) -> None:
    """Come to a Call alongside: begin the session and go on."""
    session = turn.session
    if len(session.children) >= CHILDREN_MAX or session.generation >= GENERATIONS_MAX:
        raise turn.fault("too many sessions alongside each other.")
    try:
        ready = turn.flows.by_version(call.version) if call.version else turn.flows.current(call.flow)
    except NoSuchFlow as e:
        raise turn.fault(f"There is no chatflow {call.flow!r} to call.") from e
    child = turn.new_id("s")
    turn.want(
        BeginSession(
            id=turn.new_id("b"),
            session=session.id,
            child=child,
            flow=call.flow,
            version=call.version,
            answers={name: value for name, value in turn.filled(call.args).items() if value is not None},
            person=session.person,
            node=session.node,
            zone=session.zone,
            generation=session.generation + 1,
        )
    )
    turn.set(children=(*session.children, Child(session=child, title=ready.flow.title)))
    link = text.Link(href=f"/s/{child}", c=(text.Text(ready.flow.title),))
    turn.enter("said", (text.Paragraph((text.Text("Alongside, in a conversation of its own: "), link)),))
    if call.as_ is not None:
        turn.assign(call.as_, {"session": child})
    turn.go("returned", call.then)


def enter_wait(turn: Turn, wait: form.Wait) -> None:
    """Come to a Wait for a session alongside: take its result, or wait."""
    named = turn.frame.names.get(wait.child)
    id = named.get("session") if isinstance(named, dict) else None
    child = next((one for one in turn.session.children if one.session == id), None)
    if child is None:
        raise turn.fault(f"{wait.child!r} is no session that was begun alongside.")
    if child.outcome:
        _take(turn, wait, child)
        return
    words = turn.render(wait.says) or markdown.tree(f"Waiting for “{child.title}” to end.")
    turn.enter("said", words)
    turn.wait(Waiting(kind="child", id=child.session, says=words, since_ms=turn.event.at_ms))


def ended(turn: Turn, event: ChildEnded) -> None:
    """A session alongside has ended. Raises Stale."""
    children = turn.session.children
    child = next((one for one in children if one.session == event.session), None)
    if child is None or child.outcome:
        raise Stale(event="session", id=event.session)
    child = msgspec.structs.replace(child, outcome=event.outcome, result=event.result)
    turn.set(children=tuple(child if one.session == child.session else one for one in children))
    words = markdown.tree(f"“{child.title}”, alongside, has ended: {event.outcome}.")
    turn.enter("said", words)
    waiting, state = turn.session.waiting, turn.state
    if waiting is not None and waiting.kind == "child" and waiting.id == child.session:
        assert isinstance(state, form.Wait)  # noqa: S101  (only a Wait waits for a session)
        _take(turn, state, child)


def tell_family(turn: Turn, outcome: str, result: Any) -> None:
    """This session ends: its parent is told, and when it was cancelled its children are cancelled."""
    session = turn.session
    if session.parent:
        told = result if len(msgspec.json.encode(result)) <= RESULT_BYTES else None
        turn.want(
            TellParent(
                id=turn.new_id("b"), session=session.id, parent=session.parent, outcome=outcome, result=told
            )
        )
    if outcome == "cancelled":
        for child in session.children:
            if not child.outcome:
                turn.want(CancelSession(id=turn.new_id("b"), session=session.id, child=child.session))


def _take(turn: Turn, wait: form.Wait, child: Child) -> None:
    if wait.as_ is not None:
        turn.assign(wait.as_, {"outcome": child.outcome} if child.result is None else child.result)
    turn.go("child_ended", wait.then)
