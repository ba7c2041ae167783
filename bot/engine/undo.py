"""Taking back what was done, in reverse and visibly: for cancel, for undo, and after a failure.

Each undo is an order of its own with its own result. One that fails is said; the person may retry it or
leave it. What comes after the last one is `session.unwinding.goal`.
"""

from __future__ import annotations

from typing import Final, Literal

from bot.engine import back, ending, form, markdown, outcome, sending, trail, unsure, wayon
from bot.engine.events import OrderFinished, UndoAsked
from bot.engine.refusals import NothingToUndo, NotNow
from bot.engine.session import UNDER_WAY, Left, Shown, Unwinding, Waiting
from bot.engine.turn import Turn

LEFT_MAX: Final = 60  # things told at the end that were not taken back


def undo_asked(turn: Turn, event: UndoAsked) -> None:
    """A person asked to take back what was done since the last answers. Raises NotNow, NothingToUndo."""
    waiting = turn.session.waiting or turn.session.unsure
    if turn.session.unwinding is not None or (waiting is not None and waiting.kind in UNDER_WAY):
        raise NotNow(event="undo", state="waiting for a step under way")
    index = trail.undo_target(turn.session)
    if index is None:
        raise NothingToUndo
    turn.enter("went_back", person=True, seq=event.seq, outcome="undo")
    unwind(turn, "back", to=index)


def unwind(turn: Turn, goal: Literal["cancel", "back", "ask"], *, to: int = 0, says: str = "") -> None:
    """Begin to take back: everything for cancel, else what was done after crumb `to`."""
    ending.drop_timer(turn)
    down_to = 0 if goal == "cancel" else turn.session.trail[to].undos
    turn.set(
        shown=None,
        waiting=None,
        lookup="",
        pending=None,
        stopping=False,
        batch=None,
        unsure=None,
        rival=None,
        unwinding=Unwinding(goal=goal, down_to=down_to, to=to, says=says),
    )
    next_undo(turn)


def after_failure(turn: Turn, says: str) -> None:
    """A Do failed and has no way of its own: take back what was done since the last answer, then ask."""
    newest = len(turn.session.trail) - 1
    if turn.session.trail[newest].undos < len(turn.session.undos):
        unwind(turn, "ask", to=newest, says=says)
    else:
        wayon.offer(turn, says)


def next_undo(turn: Turn) -> None:
    """Send the order that takes back the newest thing left, or do what comes after."""
    session = turn.session
    unwinding = session.unwinding
    assert unwinding is not None  # noqa: S101  (its callers began to unwind)
    if len(session.undos) > unwinding.down_to:
        undo = session.undos[-1]
        words = markdown.tree(undo.says)
        order_id = sending.send(turn, undo.order, node=undo.node, words=words, lifetime_s=3_600)
        turn.wait(
            Waiting(
                kind="undo", id=order_id, says=words, since_ms=turn.event.at_ms, verb=str(undo.order["verb"])
            )
        )
        return
    turn.set(unwinding=None, waiting=None)
    if not session.undos and not session.barred:
        ending.release_claims(turn)
    if unwinding.goal == "cancel":
        ending.finish(turn, "cancelled", markdown.tree("Cancelled."))
    elif unwinding.goal == "back":
        back.go_back(turn, unwinding.to)
    else:
        turn.set(restarts=True)
        wayon.offer(turn, unwinding.says)


def undo_finished(turn: Turn, event: OrderFinished, waiting: Waiting) -> None:
    """A node answered an undo order."""
    undo = turn.session.undos[-1]
    if sending.note_result(turn, event, waiting, undo.node):
        unsure.ask(turn)
        return
    turn.set(unsure=None, shown=None)
    if event.result.outcome == "done":
        turn.enter(
            "undone", waiting.says, order=waiting.id, verb=waiting.verb, node=undo.node, outcome="done"
        )
        turn.set(undos=turn.session.undos[:-1], waiting=None)
        next_undo(turn)
        return
    wayon.offer(turn, f"It could not be taken back: {outcome.why_not(event.result)}", undoing=True)


def leave(turn: Turn, shown: Shown) -> None:
    """Give up the newest undo and go on with the next. What was left, and why, is told again at the end."""
    session = turn.session
    undo, why = session.undos[-1], shown.problem
    turn.enter(
        "problem",
        markdown.tree(f"Left as it is: {undo.says.rstrip('.')}. {why}"),
        outcome="left",
        node=undo.node,
    )
    turn.audit("undo.left", verb=str(undo.order["verb"]), node=undo.node)
    if session.unsure is not None:
        unsure.remember(turn, session.unsure.id, node=undo.node, verb=session.unsure.verb, says=undo.says)
    turn.set(
        undos=session.undos[:-1], unsure=None, left=(*session.left, Left(says=undo.says, why=why))[-LEFT_MAX:]
    )
    next_undo(turn)


def bar(turn: Turn, do: form.Do) -> None:
    """Something was done that has no way back: nothing before it can be gone back to."""
    words = outcome.words(turn, do)
    turn.begin_trail()
    if do.no_return:
        barred = f"“{words}” was a point of no return: there is no way back to what was before it."
        turn.set(undos=(), barred=barred)
        turn.begin_trail()  # its count of undos begins anew, too
    else:
        turn.set(barred=f"“{words}” cannot be taken back, so there is no way back to what was before it.")
    left = Left(says=words, why="There is no way back from this.", cancelled=True)
    if left not in turn.session.left:
        turn.set(left=(*turn.session.left, left)[-LEFT_MAX:])
