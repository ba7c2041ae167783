"""The end of a session: of itself, by cancel, or because its transcript is full."""

from __future__ import annotations

from typing import Any

from bot.engine import markdown
from bot.engine.effects import DropTimer
from bot.engine.session import Offer
from bot.engine.text import Tree
from bot.engine.turn import Turn


def finish(
    turn: Turn, outcome: str, words: Tree, *, result: Any = None, offers: tuple[Offer, ...] = ()
) -> None:
    """End the session. What it knew by name is let go; the transcript stays."""
    drop_timer(turn)
    turn.enter("ended", words, outcome=outcome, offers=offers)
    turn.audit("session.ended", outcome=outcome)
    stack = tuple(
        type(frame)(flow=frame.flow, version=frame.version, state=frame.state) for frame in turn.session.stack
    )
    turn.set(
        status="ended",
        outcome=outcome,
        result=result,
        stack=stack,
        shown=None,
        waiting=None,
        lookup="",
        prefill={},
        kept={},
        trail=(),
        undos=(),
        returning="",
        pending=None,
        unwinding=None,
        stopping=False,
        restarts=False,
    )


def end_full(turn: Turn) -> None:
    """End a session that has grown too long, with a sentence."""
    says = "This session has grown too long to go on. What was done stays done; start a new one to go on."
    finish(turn, "failed", markdown.tree(says))


def drop_timer(turn: Turn) -> None:
    """Forget the timer that is waited for, if any."""
    waiting = turn.session.waiting
    if waiting is not None and waiting.kind == "timer":
        turn.want(DropTimer(id=turn.new_id("f"), session=turn.session.id, timer_id=waiting.id))
