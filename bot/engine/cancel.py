"""Cancel: a person ends the session early. What is under way is awaited first, unless nobody knows of it."""

from __future__ import annotations

import msgspec

from bot.engine import batch, do, form, markdown, undo, unsure
from bot.engine.events import CancelAsked
from bot.engine.refusals import NotNow
from bot.engine.session import UNDER_WAY, Unwinding
from bot.engine.turn import Turn


def cancel_asked(turn: Turn, event: CancelAsked) -> None:
    """A person ended the session early. Raises NotNow."""
    cancel(turn, "", person=True, seq=event.seq)


def cancel(turn: Turn, why: str, *, person: bool, seq: int = 0) -> None:
    """End the session early. `why` is said first. Raises NotNow."""
    session = turn.session
    waiting = session.waiting or session.unsure
    unknown = waiting is not None and waiting.unknown
    if unknown and waiting is not None and waiting.kind == "undo":
        if session.unsure is not None:
            raise NotNow(event="cancel", state="taking something back")
        unsure.ask(turn)
        return
    if not unknown and (
        session.stopping or (session.unwinding is not None and session.unwinding.goal == "cancel")
    ):
        raise NotNow(event="cancel", state="being cancelled already")
    under_way = waiting is not None and waiting.kind in UNDER_WAY and not unknown
    says = "It stops as soon as the step under way has ended." if under_way else ""
    if waiting is not None and waiting.kind == "batch" and under_way:
        says = "No other is begun; it stops as soon as those under way have ended."
    turn.enter("cancelled", markdown.tree(f"{why} {says}".strip()), person=person, seq=seq)
    if unknown:
        without_knowing(turn)
    elif session.unwinding is not None:
        turn.set(unwinding=Unwinding(goal="cancel", down_to=0))
        if session.waiting is None:
            turn.set(shown=None)
            undo.next_undo(turn)
    elif under_way and waiting is not None:
        turn.set(stopping=True, waiting=msgspec.structs.replace(waiting, says=markdown.tree(says)))
        if waiting.kind == "batch":
            batch.leave_rest(turn)
    else:
        undo.unwind(turn, "cancel")


def without_knowing(turn: Turn) -> None:
    """Stop although it is not known whether something was done; that is kept in mind."""
    state = turn.state
    assert isinstance(state, form.Do)  # noqa: S101  (only a Do's orders are waited for there)
    if turn.session.batch is not None:
        batch.stop(turn)
    else:
        do.give_up_knowing(turn, state)
    undo.unwind(turn, "cancel")
