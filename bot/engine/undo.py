"""Taking back what was done, in reverse and visibly: for cancel, for undo, and after a failure.

Each undo is an order of its own with its own result. One that fails is said; the person may retry it or
leave it. What comes after the last one is `session.unwinding.goal`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from bot.engine import back, ending, markdown, sending, trail, wayon
from bot.engine.events import CancelAsked, OrderFinished, UndoAsked
from bot.engine.refusals import NothingToUndo, NotNow
from bot.engine.session import Unwinding, Waiting
from bot.engine.turn import Turn


def cancel_asked(turn: Turn, event: CancelAsked) -> None:
    """A person ended the session early. What is under way is awaited first. Raises NotNow."""
    session = turn.session
    if session.stopping or (session.unwinding is not None and session.unwinding.goal == "cancel"):
        raise NotNow(event="cancel", state="being cancelled already")
    waiting = session.waiting
    under_way = waiting is not None and waiting.kind in ("order", "undo")
    says = "It stops as soon as the step under way has ended." if under_way else ""
    turn.enter("cancelled", markdown.tree(says), person=True, seq=event.seq)
    if session.unwinding is not None:
        turn.set(unwinding=Unwinding(goal="cancel", down_to=0))
        if session.waiting is None:
            turn.set(shown=None)
            next_undo(turn)
    elif under_way and waiting is not None:
        turn.set(stopping=True, waiting=msgspec.structs.replace(waiting, says=markdown.tree(says)))
    else:
        unwind(turn, "cancel")


def undo_asked(turn: Turn, event: UndoAsked) -> None:
    """A person asked to take back what was done since the last answers. Raises NotNow, NothingToUndo."""
    waiting = turn.session.waiting
    if turn.session.unwinding is not None or (waiting is not None and waiting.kind in ("order", "undo")):
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
        return
    if event.result.outcome == "done":
        turn.enter(
            "undone", waiting.says, order=waiting.id, verb=waiting.verb, node=undo.node, outcome="done"
        )
        turn.set(undos=turn.session.undos[:-1], waiting=None)
        next_undo(turn)
        return
    problem = event.result.problem
    says = problem.says if problem is not None else "The node refused without saying why."
    wayon.offer(turn, f"It could not be taken back: {says}", undoing=True)


def leave(turn: Turn) -> None:
    """Give up the newest undo and go on with the next."""
    undo = turn.session.undos[-1]
    turn.enter("problem", markdown.tree(f"Left as it is: {undo.says}"), outcome="left", node=undo.node)
    turn.set(undos=turn.session.undos[:-1])
    next_undo(turn)
