"""Open sessions and a newer version of their flow: what becomes of each, and how it comes over.

Without a rule (`Flow.migrates`) a session finishes on the version that it began with. With one it comes over
when the state it stands in is there, is of the same kind, and every name that is read from there on has a
value; else it stays, with a sentence. `fate` says so beforehand, for the preview of a publication too.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bot.engine import form, lint, markdown
from bot.engine import trail as trail_of
from bot.engine.events import Migrated
from bot.engine.ready import WAY_ON, Flows, Ready
from bot.engine.refusals import NoSuchFlow, NotNow, Stale
from bot.engine.session import Crumb, Frame, Session
from bot.engine.turn import Turn


class Fate(msgspec.Struct, frozen=True):
    """What a new version means for a session. `moves` to `state`; `stays` because of `why`; `later`: it
    cannot move in the middle of a step and is looked at again; `finishes` on its own version.
    """

    kind: Literal["moves", "stays", "later", "finishes"]
    why: str = ""
    state: str = ""


def rule_for(flow: form.Flow, version: str) -> form.Migration | None:
    """The rule of a flow for sessions of an older version."""
    return next((rule for rule in flow.migrates if rule.from_ == "*" or version.startswith(rule.from_)), None)


def is_due(session: Session, to: Ready) -> bool:
    """Whether a session has yet to come over, or to be told that it does not."""
    return (
        session.status == "open"
        and session.flow_version != to.version
        and session.considered != to.version
        and rule_for(to.flow, session.flow_version) is not None
    )


def fate(flows: Flows, session: Session, to: Ready) -> Fate:
    """What becomes of an open session when `to` is published."""
    rule = rule_for(to.flow, session.flow_version)
    if rule is None or session.flow_version == to.version:
        return Fate("finishes", "It finishes on the version that it began with.", session.stack[0].state)
    if _is_busy(session):
        return Fate("later", "A step is under way; it is looked at again when that has ended.")
    root = session.stack[0]
    name = rule.states.get(root.state, root.state)
    state = to.flow.states.get(name)
    if state is None:
        return Fate("stays", f"there is no state {name!r} in the new version")
    try:
        old = flows.by_version(root.version).flow.states[root.state]
    except NoSuchFlow:
        return Fate("stays", "the version that it began with is not here")
    if type(state) is not type(old):
        return Fate("stays", f"the state {name!r} is of another kind in the new version")
    if len(session.stack) > 1 and not _calls_the_same(state, old):
        return Fate("stays", f"the state {name!r} calls another chatflow in the new version")
    known = set(root.names) - set(rule.drop)
    if missing := lint.unset_from(to.flow, name, known):
        where, lacking = missing[0]
        return Fate("stays", f"the state {where!r} of the new version needs {lacking!r}, which is not known")
    return Fate("moves", state=name)


def migrated(turn: Turn, event: Migrated) -> None:
    """There is a newer version. Raises Stale when that is settled, NotNow in the middle of a step."""
    to = turn.flows.by_version(event.to)
    if not is_due(turn.session, to):
        raise Stale(event="the version", id=event.to[:12])
    becomes = fate(turn.flows, turn.session, to)
    if becomes.kind == "later":
        raise NotNow(event="a new version", state="in the middle of a step")
    turn.set(considered=to.version)
    if becomes.kind != "moves":
        says = (
            f"There is a newer version of this chatflow. This conversation stays on its own: {becomes.why}."
        )
        turn.enter("migrated", markdown.tree(says), outcome="stayed")
        return
    rule = rule_for(to.flow, turn.session.flow_version)
    assert rule is not None  # noqa: S101  (it is due)
    _come_over(turn, to, rule, becomes.state)


def _come_over(turn: Turn, to: Ready, rule: form.Migration, name: str) -> None:
    session = turn.session
    root = session.stack[0]
    old = turn.flows.by_version(root.version).flow.states[root.state]
    names = {one: value for one, value in root.names.items() if one not in rule.drop}
    names = {**dict.fromkeys(to.flow.takes), **names}
    moved = Frame(flow=root.flow, version=to.version, state=name, names=names)
    trail = _trail(session, to, rule)
    turn.set(
        stack=(moved, *session.stack[1:]),
        trail=trail,
        flow_version=to.version,
        title=to.flow.title,
        kept={one: kept for one, kept in session.kept.items() if one not in rule.drop},
        returning="",
    )
    if len(trail) < len(session.trail):
        turn.set(barred="The chatflow has changed, so there is no way back to what was asked before.")
    if not trail:
        turn.begin_trail()
    turn.enter("migrated", markdown.tree("This conversation goes on with the newer version of its chatflow."))
    if len(session.stack) == 1 and not _looks_the_same(old, to.flow.states[name]):
        turn.set(shown=None, waiting=None, lookup="")  # it is entered anew
    elif turn.session.shown is not None:
        can_back = trail_of.can_back(turn.session)
        turn.set(
            shown=msgspec.structs.replace(
                turn.session.shown, can_back=can_back, no_back=trail_of.no_back(turn.session)
            )
        )


def _is_busy(session: Session) -> bool:
    waiting, shown = session.waiting, session.shown
    if session.unwinding is not None or session.pending is not None or session.batch is not None:
        return True
    if session.unsure is not None or session.stopping or session.restarts:
        return True
    if waiting is not None:
        return waiting.kind not in ("timer", "event", "approval", "child")
    return shown is None or (shown.name == WAY_ON and not any(a.kind == "pause" for a in session.alarms))


def _calls_the_same(state: form.State, old: form.State) -> bool:
    if not isinstance(state, form.Call) or not isinstance(old, form.Call) or state.alongside:
        return False
    return state.flow == old.flow


def _looks_the_same(old: form.State, new: form.State) -> bool:
    """Whether the person need not be asked anew."""
    match old, new:
        case form.Ask(), form.Ask():
            return msgspec.structs.replace(old, then="") == msgspec.structs.replace(new, then="")
        case form.Wait(), form.Wait():
            leads = {"then": "", "timed_out": None, "refused": None}
            return msgspec.structs.replace(old, **leads) == msgspec.structs.replace(new, **leads)
        case _:
            return False


def _trail(session: Session, to: Ready, rule: form.Migration) -> tuple[Crumb, ...]:
    """The prompts that can still be gone back to: the newest, as long as each is there in the new version."""
    kept: list[Crumb] = []
    for crumb in reversed(session.trail):
        root = crumb.stack[0]
        name = rule.states.get(root.state, root.state)
        state = to.flow.states.get(name)
        if crumb.depth == 0 and crumb.name:
            there = isinstance(state, form.Ask) and state.as_ == crumb.name
        else:
            there = isinstance(state, form.Call) if crumb.depth else state is not None
        if not there or crumb.name in rule.drop:
            break
        moved = msgspec.structs.replace(root, version=to.version, state=name)
        kept.append(msgspec.structs.replace(crumb, stack=(moved, *crumb.stack[1:])))
    return tuple(reversed(kept))
