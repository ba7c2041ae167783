"""What a person chose at the built-in prompt of `bot.engine.wayon`: try again, go back, cancel, leave."""

from __future__ import annotations

from bot.engine import answers, cancel, claims, do, form, markdown, recheck, text, trail, undo, unsure
from bot.engine.back import go_back
from bot.engine.events import Answered
from bot.engine.session import Kept, Shown
from bot.engine.turn import Turn
from bot.engine.wayon import PROMPT


def answered(turn: Turn, shown: Shown, event: Answered) -> None:
    """A person chose how to go on. Raises InvalidAnswer."""
    if shown.kind == "text":
        claims.take_over(turn, shown, event)
        return
    accepted = answers.accept(PROMPT, event.value, options=shown.options)
    label = text.plain(shown.label)
    turn.enter("answered", markdown.tree(accepted.words), person=True, seq=shown.seq, label=label)
    turn.set(shown=None)
    match accepted.given:
        case "wait" | "watch" as how if turn.session.rival is not None:
            claims.wait_for(turn, watch=how == "watch")
        case "take_over":
            claims.ask_reason(turn)
        case "wait":
            unsure.wait_on(turn)
        case "go_on" if turn.session.unsure is not None and isinstance(turn.state, form.Do):
            do.pass_over(turn, turn.state)
        case "cancel" if turn.session.unsure is not None:
            cancel.without_knowing(turn)
        case "retry" if turn.session.unwinding is not None:
            undo.next_undo(turn)
        case "anyway" if isinstance(turn.state, form.Do):
            recheck.go_on_anyway(turn, turn.state)
        case "leave":
            undo.leave(turn, shown)
        case "retry" if turn.session.restarts:
            _restart(turn)
        case "back":
            _back(turn)
        case "cancel":
            undo.unwind(turn, "cancel")
        case _:
            pass  # retry: the state is entered again


def _back(turn: Turn) -> None:
    """To the prompt before; what was done since is taken back first. Raises CannotGoBack."""
    index = None if trail.can_back(turn.session) else trail.undo_target(turn.session)
    if index is None:
        go_back(turn, trail.back_target(turn.session, None))
    else:
        undo.unwind(turn, "back", to=index)


def _restart(turn: Turn) -> None:
    """Go on from the last answer, which is taken again: what followed it was undone."""
    index = len(turn.session.trail) - 1
    crumb = turn.session.trail[index]
    turn.restore(index)
    kept = {**turn.session.kept}
    if crumb.name:
        kept[crumb.name] = Kept(value=crumb.value, seq=crumb.seq, quiet=crumb.quiet)
    turn.set(kept=kept, returning=trail.RETRYING if crumb.name else "", restarts=False)
