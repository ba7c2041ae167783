"""Advance one session by one event.

Rule 1: a session changes here or nowhere. Rule 2: no clock, no network, no store, no randomness.
Rule 3: what is refused changes nothing; any exception but `Refused` is our bug. An author's mistake that
shows only now (`Fault`) becomes a prompt with ways on.
A new event kind also needs a row in docs/engine.md (tests/engine/test_docs.py fails until it has one).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from bot.engine import (
    alarms,
    alongside,
    approvals,
    ask,
    back,
    batch,
    call,
    cancel,
    choose,
    claims,
    deadlines,
    do,
    form,
    markdown,
    migrate,
    onward,
    outside,
    prefill,
    recheck,
    trail,
    undo,
    unsure,
    wait,
    wayon,
)
from bot.engine.events import (
    Answered,
    Approved,
    CancelAsked,
    ChangeAsked,
    ChildEnded,
    Event,
    EventCame,
    FactsCame,
    HookReturned,
    Migrated,
    Opened,
    OrderFinished,
    ParentCancelled,
    Taken,
    TakenOver,
    TargetFree,
    TimerDue,
    UndoAsked,
    WentBack,
)
from bot.engine.ready import WAY_ON, Flows
from bot.engine.refusals import NeverWaits, NotNow, Stale
from bot.engine.session import Alarm, Frame, Session
from bot.engine.step import Step
from bot.engine.turn import Fault, Turn

STATES_AT_ONCE: Final = 1_000  # passed through without waiting; then the flow goes round in circles


def open_session(
    flows: Flows, flow: str, session_id: str, person: str, event: Opened, *, version: str = ""
) -> Step:
    """Begin a session of the flow's current version, or of `version`.

    Raises NoSuchFlow, InvalidAnswer, NeverWaits.
    """
    ready = flows.by_version(version) if version else flows.current(flow)
    names, given = prefill.sort_out(flows, ready, event.answers)
    frame = Frame(flow=ready.flow.name, version=ready.version, state=ready.flow.start, names=names)
    session = Session(
        id=session_id,
        version=0,
        person=person,
        flow=ready.flow.name,
        flow_version=ready.version,
        title=ready.flow.title,
        opened_ms=event.at_ms,
        changed_ms=event.at_ms,
        node=event.node,
        zone=event.zone,
        parent=event.parent,
        generation=event.generation,
        stack=(frame,),
        prefill=given,
    )
    turn = Turn(flows, session, event)
    turn.begin_trail()
    turn.audit("session.opened", flow=ready.flow.name, flow_version=ready.version, node=event.node)
    if event.opened_for:
        turn.enter("said", markdown.tree(event.opened_for[:2_000]), person=True)
    return _run_on(turn)


def advance(flows: Flows, session: Session, event: Event) -> Step:
    """The session one event later. Raises Refused (Stale among it) with `session` untouched."""
    taking = _TAKING.get(type(event))
    if taking is None:
        raise NotNow(event="opening", state="open already")
    turn = Turn(flows, session, event)
    try:
        taking(turn, event)
    except Fault as e:
        wayon.fault(turn, e)
    return _run_on(turn)


def _run_on(turn: Turn) -> Step:
    """Go on from state to state until something is waited for, or it ends."""
    for _ in range(STATES_AT_ONCE):
        if not turn.going:
            return turn.step()
        state = turn.state
        try:
            _ENTERING[type(state)](turn, state)
        except Fault as e:
            wayon.fault(turn, e)
    circles = NeverWaits(flow=turn.frame.flow, state=turn.frame.state)
    if isinstance(turn.event, _PERSONS):
        raise circles
    wayon.fault(turn, turn.fault(circles.sentence))
    return turn.step()


def _answered(turn: Turn, event: Answered) -> None:
    trail.check_person(turn.session, "answered", event.seq)
    shown, state = turn.session.shown, turn.state
    if shown is None:
        raise NotNow(event="answered", state="waiting")
    pausing = next((one for one in turn.session.alarms if one.kind == "pause"), None)
    if pausing is not None and isinstance(state, form.Wait):
        wait.answered(turn, state, shown, pausing, event)
    elif shown.name == WAY_ON:
        onward.answered(turn, shown, event)
    elif isinstance(state, form.Ask) and turn.ready.takes_event("answered", turn.frame.state):
        ask.answered(turn, state, shown, event)
    else:
        raise NotNow(event="answered", state=f"in {turn.frame.state}")


def _went_back(turn: Turn, event: WentBack) -> None:
    trail.check_person(turn.session, "going back", event.seq)
    back.went_back(turn, event)


def _change_asked(turn: Turn, event: ChangeAsked) -> None:
    trail.check_person(turn.session, "a change", event.seq)
    back.change_asked(turn, event)


def _undo_asked(turn: Turn, event: UndoAsked) -> None:
    trail.check_person(turn.session, "undo", event.seq)
    undo.undo_asked(turn, event)


def _cancel_asked(turn: Turn, event: CancelAsked) -> None:
    trail.check_person(turn.session, "cancel", event.seq)
    cancel.cancel_asked(turn, event)


def _order_finished(turn: Turn, event: OrderFinished) -> None:
    waiting = turn.session.waiting or turn.session.unsure
    if unsure.is_unsettled(turn.session, event.order_id):
        unsure.settle(turn, event)  # needs no flow: it may have been collected since the session ended
        return
    state = turn.state
    if isinstance(state, form.Do) and batch.is_of(turn, event.order_id):
        batch.finished(turn, state, event)
        return
    if waiting is None or waiting.id != event.order_id or waiting.kind not in ("order", "undo"):
        raise Stale(event="order", id=event.order_id)
    if waiting.kind == "undo":
        undo.undo_finished(turn, event, waiting)
    elif isinstance(state, form.Do):
        do.finished(turn, state, event, waiting)


def _facts_came(turn: Turn, event: FactsCame) -> None:
    if not event.lookup_id or turn.session.lookup != event.lookup_id:
        raise Stale(event="lookup", id=event.lookup_id)
    state = turn.state
    if isinstance(state, form.Ask):
        ask.facts_came(turn, state, event)
    elif isinstance(state, form.Do):
        recheck.facts_came(turn, state, event)


def _timer_due(turn: Turn, event: TimerDue) -> None:
    if (alarm := alarms.found(turn.session, event.timer_id)) is not None:
        _rang(turn, alarm)
        return
    waiting = turn.session.waiting
    if waiting is None or waiting.kind != "timer" or waiting.id != event.timer_id:
        raise Stale(event="timer", id=event.timer_id)
    state = turn.state
    if isinstance(state, form.Wait):
        wait.due(turn, state, waiting.due_ms)


def _rang(turn: Turn, alarm: Alarm) -> None:
    state = turn.state
    alarms.take_off(turn, alarm)
    match state, alarm.kind:
        case form.Wait(), "pause":
            wait.due(turn, state, alarm.due_ms)
        case form.Wait(), "timeout":
            wait.timed_out(turn, state)
        case form.Ask(), "late":
            deadlines.late(turn, state)
        case form.Ask(), "remind":
            deadlines.remind(turn, state, alarm)
        case _:
            raise Stale(event="timer", id=alarm.id)


def _parent_cancelled(turn: Turn, event: ParentCancelled) -> None:
    if turn.session.parent != event.parent:
        raise Stale(event="the end of", id=event.parent)
    cancel.cancel(turn, "The conversation that began this one was cancelled.", person=False)


def _hook_returned(turn: Turn, event: HookReturned) -> None:
    waiting = turn.session.waiting
    if waiting is None or waiting.kind != "hook" or waiting.id != event.hook_id:
        raise Stale(event="hook", id=event.hook_id)
    state = turn.state
    if isinstance(state, form.Choose):
        choose.hook_returned(turn, state, event)
    elif isinstance(state, form.Ask) and turn.session.pending is not None:
        ask.check_returned(turn, state, event)


_TAKING: dict[type[Event], Callable[[Turn, Any], None]] = {
    Answered: _answered,
    WentBack: _went_back,
    ChangeAsked: _change_asked,
    UndoAsked: _undo_asked,
    CancelAsked: _cancel_asked,
    OrderFinished: _order_finished,
    Taken: claims.taken,
    TakenOver: claims.taken_over,
    TargetFree: claims.free,
    FactsCame: _facts_came,
    TimerDue: _timer_due,
    HookReturned: _hook_returned,
    EventCame: outside.came,
    Approved: approvals.approved,
    ChildEnded: alongside.ended,
    ParentCancelled: _parent_cancelled,
    Migrated: migrate.migrated,
}
_PERSONS = (Opened, Answered, WentBack, ChangeAsked, UndoAsked, CancelAsked, EventCame, Approved)
_ENTERING: dict[type[form.State], Callable[[Turn, Any], None]] = {
    form.Ask: ask.enter,
    form.Say: choose.enter_say,
    form.Do: do.enter,
    form.Choose: choose.enter_choose,
    form.Call: call.enter_call,
    form.Wait: wait.enter,
    form.End: call.enter_end,
}
