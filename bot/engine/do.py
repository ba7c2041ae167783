"""Do: send one order, wait for its result, go on by it.

An order's id is derived from the session's version, so a retry is a new order and a repeated event the
same one. After a change that cannot be undone, nothing before it can be gone back to.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from agent.orders import READING, limits
from bot.engine import form, markdown, orders, sending, template, undo
from bot.engine.ending import end_full
from bot.engine.events import OrderFinished
from bot.engine.filters import Unfit
from bot.engine.orders import OrderRefused
from bot.engine.session import Undo, Waiting
from bot.engine.turn import Turn

FACTS_BYTES: Final = 32_000  # of one result kept by name; the transcript shows what the flow shows of it


def enter(turn: Turn, do: form.Do) -> None:
    """Come to a Do: send its order."""
    if turn.is_full:
        end_full(turn)
        return
    verb = do.order.verb
    if verb not in READING:
        turn.set(returning="", kept={})
    args = turn.filled(do.order.args)
    try:
        order = orders.build(do.order, args)
    except OrderRefused as e:
        raise turn.fault(str(e)) from e
    node = _node(turn, do)
    words = turn.render(do.says) or markdown.tree(f"{verb} …")
    lifetime_s = min(do.lifetime_s, limits.LOOKUP_LIFETIME_S) if verb in READING else do.lifetime_s
    order_id = sending.send(turn, order, node=node, words=words, lifetime_s=lifetime_s)
    turn.wait(Waiting(kind="order", id=order_id, says=words, since_ms=turn.event.at_ms, verb=verb))


def finished(turn: Turn, do: form.Do, event: OrderFinished, waiting: Waiting) -> None:
    """A node answered the order."""
    node = _node(turn, do)
    if sending.note_result(turn, event, waiting, node):
        return
    result = event.result
    turn.set(waiting=None)
    turn.assign(do.as_, _named(event))
    changed = result.outcome == "done" and do.order.verb not in READING and not result.already
    barred = changed and not _note_undo(turn, do, node)
    if turn.session.stopping:
        undo.unwind(turn, "cancel")
    elif result.outcome == "done":
        turn.go("order_finished", do.then)
        if barred:
            turn.begin_trail()
    elif do.failed is not None:
        turn.go("order_finished", do.failed)
    else:
        problem = result.problem
        says = problem.says if problem is not None else "It was not done, and the node did not say why."
        undo.after_failure(turn, says)


def _node(turn: Turn, do: form.Do) -> str:
    node = turn.value_of(do.node) if do.node else turn.session.node
    if not isinstance(node, str) or not node:
        raise turn.fault("It is not known which node the order is for.")
    return node


def _note_undo(turn: Turn, do: form.Do, node: str) -> bool:
    """Put the order that takes this back on the list. False when there is none."""
    if do.undo is None:
        return False
    try:
        order = orders.build(do.undo, template.evaluate(do.undo.args, turn.scope))
        says = markdown.message(do.says).template.to_words(turn.scope) if do.says else do.order.verb
    except (OrderRefused, Unfit) as e:
        turn.enter("problem", markdown.tree(f"This step cannot be taken back: {e}."), outcome="fault")
        return False
    turn.set(undos=(*turn.session.undos, Undo(node=node, order=order, says=f"Taking back: {says}")))
    return True


def _named(event: OrderFinished) -> dict[str, Any]:
    """What the name of a Do gets: the facts, and how it went."""
    result = event.result
    facts = _cut(msgspec.json.decode(msgspec.json.encode(result.facts)))
    problem = msgspec.json.decode(msgspec.json.encode(result.problem))
    seconds = round(max(0, result.ended_ms - result.started_ms) / 1000, 1)
    known = {"outcome": result.outcome, "problem": problem, "seconds": seconds, "already": result.already}
    return {**facts, **known}


def _cut(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts that fit into a session: the longest lists and texts lose their beginning, and it is noted."""
    if len(msgspec.json.encode(facts)) <= FACTS_BYTES:
        return facts
    kept = dict(facts)
    while kept and len(msgspec.json.encode(kept)) > FACTS_BYTES - 200:
        name = max(kept, key=lambda n: len(msgspec.json.encode(kept[n])))
        value = kept[name]
        if isinstance(value, str | list) and len(value) > 1:
            kept[name] = value[-(len(value) // 2) :]
        else:
            del kept[name]
    return {
        **kept,
        "cut": True,
        "cut_note": "These facts were too large to keep whole; the last part is here.",
    }
