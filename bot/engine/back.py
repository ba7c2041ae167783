"""Back to an earlier prompt, and change of one answer from a summary. Answers left behind are kept."""

from __future__ import annotations

from bot.engine import trail
from bot.engine.ending import drop_timer
from bot.engine.events import ChangeAsked, WentBack
from bot.engine.refusals import CannotGoBack, NotNow
from bot.engine.session import UNDER_WAY
from bot.engine.turn import Turn


def went_back(turn: Turn, event: WentBack) -> None:
    """A person left the present prompt for an earlier one. Raises NotNow, CannotGoBack."""
    _check_free(turn, "going back")
    index = trail.back_target(turn.session, event.to)
    turn.enter("went_back", person=True, seq=event.seq)
    go_back(turn, index)


def change_asked(turn: Turn, event: ChangeAsked) -> None:
    """A person left a summary to change one answer. Raises NotNow, CannotGoBack."""
    shown = turn.session.shown
    if shown is None or shown.kind != "confirm":
        raise NotNow(event="a change", state="not at a summary")
    if not any(row.change == event.to and event.to for row in shown.rows):
        raise CannotGoBack(why=f"the summary has no answer {event.to!r} to change")
    index = trail.change_target(turn.session, event.to)
    if index is None:
        raise CannotGoBack(why="something was done since; take it back first (undo)")
    turn.enter("changed", person=True, seq=event.seq)
    summary = f"{turn.depth}.{turn.frame.state}"
    go_back(turn, index)
    turn.set(returning=summary)


def go_back(turn: Turn, index: int) -> None:
    """Stand at crumb `index` again, its prompt to be shown, later answers kept."""
    drop_timer(turn)
    crumb = turn.session.trail[index]
    kept = trail.left_behind(turn.session, index)
    turn.restore(index)
    turn.set(kept=kept, returning="", restarts=False, pending=None, batch=None, rival=None)
    turn.asked_for = crumb.name


def _check_free(turn: Turn, what: str) -> None:
    waiting = turn.session.waiting or turn.session.unsure
    if turn.session.unwinding is not None or (waiting is not None and waiting.kind in UNDER_WAY):
        raise NotNow(event=what, state="waiting for a step under way")
