"""The built-in prompt when something went wrong: what happened, and the ways on from there.

It stands wherever the session stands and is no state of the flow. Its name is `WAY_ON`.
"""

from __future__ import annotations

import msgspec

from bot.engine import form, markdown, prompts, trail
from bot.engine.ready import WAY_ON
from bot.engine.session import Choice, Shown
from bot.engine.turn import Fault, Turn

_RETRY = Choice(value="retry", label="Try again")
_BACK = Choice(value="back", label="Go back", description="Change an earlier answer.")
_CANCEL = Choice(value="cancel", label="Cancel", description="Take back what was done, as far as it can be.")
_LEAVE = Choice(value="leave", label="Leave it", description="Go on without taking this back.")
PROMPT = form.Pick(label="How shall we go on?", options=())


def offer(
    turn: Turn,
    problem: str,
    *,
    undoing: bool = False,
    retry: str = "",
    options: tuple[Choice, ...] = (),
    default: str | None = None,
    free: bool = False,
) -> None:
    """Show what went wrong and the ways on. `retry` is that way's own label, `options` are other ways.

    `free`: nothing is under way with those options that one could run away from.
    """
    session = turn.session
    free = free or (not undoing and not options)
    can_back, can_undo = trail.can_back(session), trail.undo_target(session) is not None
    if undoing and not options:
        options = (_RETRY, _LEAVE)
    elif not options:
        again = msgspec.structs.replace(_RETRY, label=retry) if retry else _RETRY
        options = (again, _BACK, _CANCEL) if can_back or can_undo else (again, _CANCEL)
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
            default=default,
            problem=problem,
            can_back=can_back and free,
            can_undo=can_undo and free,
            can_cancel=any(option.value == "cancel" for option in options),
            no_back=trail.no_back(session) if free else "",
        )
    )


def ask_words(turn: Turn, prompt: form.Text) -> None:
    """Ask for a sentence before going on."""
    seq, label = turn.session.seq + 1, markdown.tree(prompt.label)
    turn.enter("asked", label, seq=seq)
    turn.show(
        Shown(
            seq=seq,
            state=turn.frame.state,
            name=WAY_ON,
            kind="text",
            label=label,
            schema=prompts.schema_of(prompt, ()),
        )
    )


def fault(turn: Turn, found: Fault) -> None:
    """The author's mistake: say so with its place, and offer the ways on."""
    says = f"Something is wrong in this chatflow. {found.says} ({found.flow}, {found.state})"
    turn.set(unwinding=None, restarts=False, unsure=None)
    turn.enter("problem", markdown.tree(says), outcome="fault")
    offer(turn, says)
