"""Call runs another flow on top of this one; End closes the flow on top, or the session."""

from __future__ import annotations

from bot.engine import alongside, ending, form, recheck, template
from bot.engine.filters import Unfit
from bot.engine.prefill import asked_by
from bot.engine.refusals import NoSuchFlow
from bot.engine.session import Frame, Offer
from bot.engine.turn import Turn


def enter_call(turn: Turn, call: form.Call) -> None:
    """Begin the called flow. Its arguments become names that it takes, or answers given beforehand."""
    if call.alongside:
        alongside.begin(turn, call)
        return
    try:
        ready = turn.flows.by_version(call.version) if call.version else turn.flows.current(call.flow)
    except NoSuchFlow as e:
        raise turn.fault(f"There is no chatflow {call.flow!r} to call.") from e
    given = turn.filled(call.args)
    flow = ready.flow
    asked = asked_by(turn.flows, ready)
    if unknown := sorted(set(given) - set(flow.takes) - set(asked)):
        raise turn.fault(f"The chatflow {flow.name!r} takes no {unknown[0]!r}.")
    names = {name: given.get(name) for name in flow.takes}
    recheck.begin(turn, turn.depth + 1)
    for name in names:
        recheck.carry(turn, call.args.get(name), turn.depth + 1, name)
    turn.push(Frame(flow=flow.name, version=ready.version, state=flow.start, names=names))
    prefill = {name: value for name, value in given.items() if name not in names and value is not None}
    turn.set(prefill={**turn.session.prefill, **prefill})


def enter_end(turn: Turn, end: form.End) -> None:
    """Come to an End: go on in the flow that called, or end the session."""
    words = turn.render(end.text)
    result = turn.filled(end.result)
    if turn.depth:
        if words:
            turn.enter("said", words)
        depth = turn.depth - 1
        caller = turn.flows.by_version(turn.session.stack[depth].version).flow.states[
            turn.session.stack[depth].state
        ]
        if isinstance(caller, form.Call) and caller.as_ is not None:
            recheck.carry(turn, end.result, depth, caller.as_)
        turn.pop()
        caller = turn.state
        assert isinstance(caller, form.Call)  # noqa: S101  (only a Call pushes a flow)
        if caller.as_ is not None:
            turn.assign(caller.as_, {"outcome": end.outcome} if result is None else result)
        turn.go("returned", caller.then)
        return
    try:
        offers = tuple(
            Offer(
                label=template.template(label).to_words(turn.scope),
                flow=flow,
                answers=template.evaluate(answers, turn.scope),
            )
            for label, flow, answers in end.offers
        )
    except Unfit as e:
        raise turn.fault(f"{e}.") from e
    ending.finish(turn, end.outcome, words, result=result, offers=offers)
