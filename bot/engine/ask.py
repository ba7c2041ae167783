"""Ask: show a prompt or take an answer that is there already, check what comes, and go on.

Where an answer comes from, in this order: given beforehand, given before a change from a summary, the
default of a quiet Ask, the person. A Confirm is only ever answered by the person.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bot.engine import (
    answers,
    deadlines,
    details,
    form,
    markdown,
    no_return,
    prompts,
    recheck,
    template,
    text,
    trail,
)
from bot.engine.answers import LOOK_AGAIN, Accepted
from bot.engine.checks import default_query, options_query
from bot.engine.effects import AskFacts
from bot.engine.ending import end_full
from bot.engine.events import Answered, FactsCame, HookReturned
from bot.engine.filters import Unfit
from bot.engine.refusals import InvalidAnswer
from bot.engine.session import Choice, Pending, Row, Shown, Waiting
from bot.engine.turn import Turn

LOOKUP_WITHIN_MS: Final = 10_000  # then a sentence stands in its place


def enter(turn: Turn, ask: form.Ask) -> None:
    """Come to an Ask: skip it, take an answer that is there, or show the prompt."""
    forced, turn.asked_for = turn.asked_for == ask.as_, ""
    if f"{turn.depth}.{turn.frame.state}" == turn.session.returning:
        turn.set(returning="", kept={})
    if forced:
        why, turn.asked_why = turn.asked_why, ""
        show(turn, ask, problem=why)
        return
    if ask.only_if is not None and not turn.value_of(ask.only_if):
        turn.assign(ask.as_, None)
        turn.go("answered", str(ask.then))
        return
    value, how = _candidate(turn, ask)
    if how and options_query(ask.prompt) is not None:
        if ask.quiet:
            _look(turn, ask)
        else:
            show(turn, ask)
    elif how:
        says = _take_ready(turn, ask, value, how, _fixed(turn, ask))
        if says is not None:
            show(turn, ask, problem=says if how == "prefilled" else "")
    elif ask.quiet and default_query(ask.prompt) is not None:
        _look(turn, ask)
    else:
        show(turn, ask)


def answered(turn: Turn, ask: form.Ask, shown: Shown, event: Answered) -> None:
    """A person answered the prompt shown. Raises InvalidAnswer."""
    if answers.looks_again(event.value, shown.options):
        turn.set(shown=msgspec.structs.replace(shown, loading=True, problem=""))
        _ask_facts(turn, ask, shown.seq)
        return
    kept = turn.session.kept.get(ask.as_)
    accepted = answers.accept(
        ask.prompt,
        event.value,
        options=shown.options,
        kept=kept.value if kept is not None else None,
        details=shown.details,
    )
    if event.refusal:
        raise answers.refuse(event.refusal)
    turn.facts_ms = shown.facts_ms
    offered = tuple(o.label for o in shown.options)
    _take(turn, ask, accepted, how="answered", seq=shown.seq, label=text.plain(shown.label), offered=offered)


def facts_came(turn: Turn, ask: form.Ask, event: FactsCame) -> None:
    """The lookup of this prompt ended: fill it in, or say why not; take the answer that waited for it."""
    shown = turn.session.shown
    turn.set(lookup="", waiting=None)
    turn.facts_ms = event.at_ms if event.facts is not None else 0
    if shown is None:
        value, how = _candidate(turn, ask)
        if not how:
            value, how = (event.facts or {}).get("value"), "default"
        options = _filled(turn, ask, _build(turn, ask, ""), event).options
        says = _take_ready(turn, ask, value, how, options)
        if says is not None:
            show(turn, ask, problem=says if how == "prefilled" else "", came=event)
        return
    filled = _filled(turn, ask, shown, event)
    turn.set(shown=filled)
    value, how = _candidate(turn, ask)
    if how and event.facts is not None:
        says = _take_ready(turn, ask, value, how, filled.options, seq=filled.seq)
        if says is not None and how == "prefilled":
            turn.set(shown=msgspec.structs.replace(filled, problem=says))


def check_returned(turn: Turn, ask: form.Ask, event: HookReturned) -> None:
    """The check hook looked at an answer that nobody was asked for."""
    pending = turn.session.pending
    assert pending is not None  # noqa: S101  (set wherever an Ask waits for a hook)
    turn.set(pending=None, waiting=None)
    if event.problem:
        problem = f"The answer could not be checked: {event.problem}"
    elif event.value:
        problem = str(event.value)
    else:
        accepted = Accepted(pending.given, pending.named, pending.words, pending.branch)
        turn.facts_ms = pending.facts_ms
        _take(turn, ask, accepted, how=pending.how, seq=pending.seq)
        return
    _forget(turn, ask.as_)
    show(turn, ask, problem=problem)


def show(turn: Turn, ask: form.Ask, *, problem: str = "", came: FactsCame | None = None) -> None:
    """Put the prompt before the person, and ask for the facts that it needs unless they came."""
    if turn.is_full:
        end_full(turn)
        return
    shown = _build(turn, ask, problem)
    if came is not None:
        shown = _filled(turn, ask, shown, came)
    words = shown.label
    if shown.details and isinstance(ask.prompt, form.Shows):
        words += details.blocks(shown.kind, shown.details)
    turn.enter("asked", words, seq=shown.seq)
    turn.show(shown)
    if ask.deadline_s or ask.remind_s:
        deadlines.begin(turn, ask, shown.seq)
    if came is None and _query(ask) is not None:
        turn.set(shown=msgspec.structs.replace(shown, loading=True))
        _ask_facts(turn, ask, shown.seq)


def _build(turn: Turn, ask: form.Ask, problem: str) -> Shown:
    session, ready = turn.session, turn.ready
    kept = session.kept.get(ask.as_)
    more: dict[str, Any] = {
        "seq": session.seq + 1,
        "problem": problem,
        "can_back": trail.can_back(session),
        "can_undo": bool(session.undos) and trail.undo_target(session) is not None,
    }
    if ready.may_not_return or len(session.stack) > 1:
        more["no_return"] = no_return.said_before(turn)
    if session.barred:
        more["no_back"] = trail.no_back(session)
    try:
        if isinstance(ask.prompt, form.Confirm):
            more["rows"], more["risk"] = rows_of(turn, ask.prompt), ready.flow.risk
        prepared = ready.prepared(session.stack[-1].state, ask)
        return prepared.build(turn.scope, kept=None if kept is None else kept.value, **more)
    except Unfit as e:
        raise turn.fault(f"{e}.") from e


def rows_of(turn: Turn, prompt: form.Confirm) -> tuple[Row, ...]:
    """The rows of a summary."""
    scope, names = turn.scope, turn.frame.names
    rows = []
    for name in prompt.summary:
        if name not in names:
            continue
        asked = turn.ready.flow.states.get(turn.ready.asks.get(name, ""))
        if not isinstance(asked, form.Ask):
            rows.append(
                Row(label=name.replace("_", " ").capitalize(), value=answers.display(None, names[name]))
            )
            continue
        if names[name] is None and asked.only_if is not None:
            continue
        options = prompts.fixed_choices(asked.prompt, scope)
        change = name if trail.change_target(turn.session, name) is not None else ""
        value = answers.display(asked.prompt, names[name], options)
        rows.append(Row(label=prompts.title_of(asked, scope), value=value, change=change))
    for label, source in prompt.facts:
        rows.append(Row(label=label, value=template.template(source).to_words(scope) or answers.NOTHING))
    return tuple(rows)


def _filled(turn: Turn, ask: form.Ask, shown: Shown, event: FactsCame) -> Shown:
    changes = prompts.with_facts(shown, ask.prompt, event.facts, event.problem)
    changes["facts_ms"] = event.at_ms if event.facts is not None else 0
    options = changes.get("options", ())
    if (
        not changes["problem"]
        and options
        and options[0].value == LOOK_AGAIN
        and isinstance(ask.prompt, form.Pick | form.PickMany)
    ):
        changes["problem"] = text.plain(turn.render(ask.prompt.empty))
    return msgspec.structs.replace(shown, **changes)


def _candidate(turn: Turn, ask: form.Ask) -> tuple[Any, str]:
    """An answer that is there already, and how it came; how = "" for none."""
    session, prompt = turn.session, ask.prompt
    kept = session.kept.get(ask.as_)
    if isinstance(prompt, form.Confirm):
        return (
            (kept.value, "kept") if kept is not None and session.returning == trail.RETRYING else (None, "")
        )
    if ask.as_ in session.prefill:
        return session.prefill[ask.as_], "prefilled"
    computed = ask.quiet and default_query(prompt) is None  # from other answers, which may have changed
    if kept is not None and (session.returning or ask.quiet) and not (kept.quiet and computed):
        return kept.value, "kept"
    if computed:
        default = getattr(prompt, "default", None)
        if default is not None:
            return turn.filled(default), "default"
    return None, ""


def _take_ready(
    turn: Turn, ask: form.Ask, value: Any, how: str, options: tuple[Choice, ...], *, seq: int = 0
) -> str | None:
    """Take an answer that is there already, or have its hook look at it. Returns why it does not fit."""
    try:
        accepted = answers.accept(
            ask.prompt, value, options=options, loosely=how != "kept", details=_details(turn, ask)
        )
    except InvalidAnswer as e:
        _forget(turn, ask.as_)
        return str(e.fields["summary"])
    if ask.check is None:
        _take(turn, ask, accepted, how=how, seq=seq)
        return None
    turn.set(pending=Pending(**msgspec.structs.asdict(accepted), how=how, seq=seq, facts_ms=turn.facts_ms))
    turn.call_hook(ask.check, {**turn.frame.names, ask.as_: accepted.named})
    return None


def _take(
    turn: Turn,
    ask: form.Ask,
    accepted: Accepted,
    *,
    how: str,
    seq: int,
    label: str = "",
    offered: tuple[str, ...] = (),
) -> None:
    """The answer counts: note it, give the name its value, go on."""
    kept = turn.session.kept.get(ask.as_)
    quiet = how == "default"
    if how == "kept" and kept is not None:
        seq, quiet = kept.seq, kept.quiet
    elif how == "prefilled" and not seq:
        seq = turn.session.seq + 1
        turn.set(seq=seq)
    if how in ("answered", "prefilled"):
        asked = label or text.plain(turn.render(ask.prompt.label))
        outcome = "prefilled" if how == "prefilled" else ""
        words = markdown.tree(accepted.words)
        turn.enter(
            "answered",
            words,
            person=True,
            seq=seq,
            label=asked,
            outcome=outcome,
            offered=offered,
            offered_ms=turn.facts_ms,
        )
    if turn.facts_ms:
        recheck.note(turn, ask, accepted.given, accepted.named, accepted.words, seq)
        turn.facts_ms = 0
    _forget(turn, ask.as_)
    if turn.session.returning == trail.RETRYING:
        turn.set(returning="")  # the one answer that is repeated by itself
    dest = ask.then[accepted.branch] if isinstance(ask.then, dict) else ask.then
    turn.take(name=ask.as_, value=accepted.named, given=accepted.given, seq=seq, quiet=quiet, dest=dest)


def _query(ask: form.Ask) -> form.FactQuery | None:
    return options_query(ask.prompt) or default_query(ask.prompt)


def _look(turn: Turn, ask: form.Ask) -> None:
    """Wait for a lookup without asking anybody."""
    turn.wait(Waiting(kind="lookup", id="", since_ms=turn.event.at_ms))
    lookup = _ask_facts(turn, ask, turn.session.seq)
    turn.set(waiting=Waiting(kind="lookup", id=lookup, since_ms=turn.event.at_ms))


def _ask_facts(turn: Turn, ask: form.Ask, seq: int) -> str:
    query = _query(ask)
    assert query is not None  # noqa: S101  (asked only where there is a query)
    args = turn.filled(query.args)
    lookup = turn.new_id("l")
    turn.want(
        AskFacts(
            id=lookup,
            session=turn.session.id,
            seq=seq,
            fact=query.fact,
            args={name: value for name, value in args.items() if name != "node"},
            node=str(args.get("node") or turn.session.node),
            due_ms=turn.event.at_ms + LOOKUP_WITHIN_MS,
        )
    )
    turn.set(lookup=lookup)
    return lookup


def _fixed(turn: Turn, ask: form.Ask) -> tuple[Choice, ...]:
    try:
        return prompts.fixed_choices(ask.prompt, turn.scope)
    except Unfit as e:
        raise turn.fault(f"{e}.") from e


def _details(turn: Turn, ask: form.Ask) -> dict[str, Any]:
    try:
        return prompts.details_of(ask.prompt, turn.scope)
    except Unfit as e:
        raise turn.fault(f"{e}.") from e


def _forget(turn: Turn, name: str) -> None:
    session = turn.session
    if name in session.prefill or name in session.kept:
        turn.set(
            prefill={n: v for n, v in session.prefill.items() if n != name},
            kept={n: v for n, v in session.kept.items() if n != name},
        )
