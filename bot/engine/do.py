"""Do: send one order, wait for its result, go on by it. Over many targets: `bot.engine.batch`.

An order's id is derived from the session's version, so a retry is a new order and a repeated event the
same one. After a change that cannot be undone, nothing before it can be gone back to.
"""

from __future__ import annotations

from agent.orders import READING, limits
from bot.engine import batch, form, markdown, orders, outcome, recheck, sending, undo, unsure
from bot.engine.ending import end_full
from bot.engine.events import OrderFinished
from bot.engine.orders import OrderRefused
from bot.engine.session import Waiting
from bot.engine.turn import Turn


def enter(turn: Turn, do: form.Do) -> None:
    """Come to a Do: send its order."""
    if turn.is_full:
        end_full(turn)
        return
    if turn.session.dated and turn.session.batch is None and recheck.asked_again(turn, do):
        return
    if do.targets:
        batch.enter(turn, do)
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
        unsure.ask(turn)
        return
    result = event.result
    turn.set(waiting=None, unsure=None, shown=None)
    turn.assign(do.as_, outcome.named(result))
    recheck.ours(turn, do)
    barred = outcome.changed(do, result) and not outcome.note_undo(turn, do, node, turn.scope)
    if turn.session.stopping:
        if barred:
            undo.bar(turn, do)
        undo.unwind(turn, "cancel")
    elif result.outcome == "done":
        turn.go("order_finished", do.then)
        if barred:
            undo.bar(turn, do)
    elif do.failed is not None:
        turn.go("order_finished", do.failed)
    else:
        undo.after_failure(turn, outcome.why_not(result))


def pass_over(turn: Turn, do: form.Do) -> None:
    """Go on without knowing whether it was done."""
    if do.targets:
        batch.pass_over(turn, do)
        return
    give_up_knowing(turn, do)
    problem = {"code": "unknown", "says": unsure.NOT_KNOWN, "do": "", "left_behind": [], "evidence": []}
    turn.assign(do.as_, {"outcome": "unknown", "problem": problem, "seconds": 0, "already": False})
    recheck.ours(turn, do)
    turn.go("order_finished", do.failed or do.then)
    undo.bar(turn, do)


def give_up_knowing(turn: Turn, do: form.Do) -> None:
    """Nobody waits for it any more; it is kept in mind."""
    waiting = turn.session.unsure or turn.session.waiting
    assert waiting is not None  # noqa: S101  (something is not known)
    says = outcome.words(turn, do)
    turn.set(unsure=None, waiting=None, shown=None)
    unsure.remember(turn, waiting.id, node=_node(turn, do), verb=waiting.verb, says=says)


def _node(turn: Turn, do: form.Do) -> str:
    node = turn.value_of(do.node) if do.node else turn.session.node
    if not isinstance(node, str) or not node:
        raise turn.fault("It is not known which node the order is for.")
    return node
