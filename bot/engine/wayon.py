"""The built-in prompt when something went wrong: what happened, and the ways on from there.

It stands wherever the session stands and is no state of the flow. Its name is `WAY_ON`.
"""

from __future__ import annotations

from bot.engine import form, markdown, prompts, trail
from bot.engine.ready import WAY_ON
from bot.engine.session import Choice, Shown
from bot.engine.turn import Fault, Turn

_RETRY = Choice(value="retry", label="Try again")
_BACK = Choice(value="back", label="Go back", description="Change an earlier answer.")
_CANCEL = Choice(value="cancel", label="Cancel", description="Take back what was done, as far as it can be.")
_LEAVE = Choice(value="leave", label="Leave it", description="Go on without taking this back.")
PROMPT = form.Pick(label="How shall we go on?", options=())


def offer(turn: Turn, problem: str, *, undoing: bool = False) -> None:
    """Show what went wrong and the ways on."""
    session = turn.session
    can_back, can_undo = trail.can_back(session), trail.undo_target(session) is not None
    options: tuple[Choice, ...] = (_RETRY, _LEAVE)
    if not undoing:
        options = (_RETRY, _BACK, _CANCEL) if can_back or can_undo else (_RETRY, _CANCEL)
    label = markdown.tree(PROMPT.label)
    seq = session.seq + 1
    turn.set(lookup="", waiting=None, pending=None, stopping=False)
    turn.enter("asked", label, seq=seq)
    turn.show(
        Shown(
            seq=seq,
            state=turn.frame.state,
            name=WAY_ON,
            kind="pick",
            label=label,
            schema=prompts.schema_of(PROMPT, options),
            options=options,
            problem=problem,
            can_back=can_back and not undoing,
            can_undo=can_undo and not undoing,
            can_cancel=not undoing,
        )
    )


def fault(turn: Turn, found: Fault) -> None:
    """The author's mistake: say so with its place, and offer the ways on."""
    says = f"Something is wrong in this chatflow. {found.says} ({found.flow}, {found.state})"
    turn.set(unwinding=None, restarts=False)
    turn.enter("problem", markdown.tree(says), outcome="fault")
    offer(turn, says)
