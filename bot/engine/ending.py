"""The end of a session: of itself, by cancel, or because its transcript is full."""

from __future__ import annotations

from typing import Any

from bot.engine import alongside, markdown
from bot.engine.effects import DropTimer, ReleaseTargets
from bot.engine.session import Offer
from bot.engine.text import Block, Items, Text, Tree
from bot.engine.turn import Turn


def finish(
    turn: Turn, outcome: str, words: Tree, *, result: Any = None, offers: tuple[Offer, ...] = ()
) -> None:
    """End the session. What it knew by name is let go; the transcript stays."""
    drop_timer(turn)
    release_claims(turn)
    turn.enter("ended", (*words, *_what_stays(turn, outcome)), outcome=outcome, offers=offers)
    turn.audit("session.ended", outcome=outcome)
    alongside.tell_family(turn, outcome, result)
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
        batch=None,
        unsure=None,
        left=(),
        dated={},
        rival=None,
        breaking=None,
        barred="",
        mail=(),
    )


def _what_stays(turn: Turn, outcome: str) -> Tree:
    """What was not taken back, and what is not known."""
    session = turn.session
    stays = [left for left in session.left if outcome == "cancelled" or not left.cancelled]
    blocks: list[Block] = []
    if stays:
        blocks += markdown.tree("This stays as it is:")
        blocks.append(Items(False, tuple((Text(f"{left.says.rstrip('.')}. {left.why}"),) for left in stays)))
    if session.unsettled:
        blocks += markdown.tree("Of this it is not known whether it was done; it is added here once it is:")
        blocks.append(Items(False, tuple((Text(one.says),) for one in session.unsettled)))
    return tuple(blocks)


def release_claims(turn: Turn) -> None:
    """Give back what was claimed, unless something of it may still be under way: then the lease ends."""
    session = turn.session
    if session.claims and not session.unsettled:
        turn.want(ReleaseTargets(id=turn.new_id("f"), session=session.id, claims=session.claims))
        turn.set(claims=())


def end_full(turn: Turn) -> None:
    """End a session that has grown too long, with a sentence."""
    says = "This session has grown too long to go on. What was done stays done; start a new one to go on."
    finish(turn, "failed", markdown.tree(says))


def drop_timer(turn: Turn) -> None:
    """Forget the timer that is waited for, if any."""
    waiting = turn.session.waiting
    if waiting is not None and waiting.kind == "timer":
        turn.want(DropTimer(id=turn.new_id("f"), session=turn.session.id, timer_id=waiting.id))
