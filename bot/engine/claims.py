"""One session at a time works on a target. Orders carry their claim; the store says whose it is.

Rule 1: an order that changes something of a named target carries a claim on it, which the runtime takes
before it hands the order over. Rule 2: taken by another session, nothing was begun, and the person may wait,
watch, take it over with a reason, or cancel. Rule 3: what a session has claimed is given back at its end, or
when all that it did was taken back; else the claim's lease ends.
"""

from __future__ import annotations

from typing import Final

from agent.orders.results import Problem, Result
from bot.engine import answers, batch, filters, form, markdown, sending, text, trail, undo, wayon
from bot.engine.effects import AwaitTarget
from bot.engine.events import Answered, OrderFinished, Taken, TakenOver, TargetFree
from bot.engine.refusals import Stale
from bot.engine.session import Breaking, Choice, Rival, Shown, Waiting
from bot.engine.turn import Turn

REASON_CHARS: Final = 300
_WAIT = Choice(value="wait", label="Wait", description="It goes on by itself as soon as the other has ended.")
_WATCH = Choice(value="watch", label="Watch", description="Look at the other conversation meanwhile.")
_BACK = Choice(value="back", label="Go back", description="Change an earlier answer.")
_OVER = Choice(value="take_over", label="Take it over", description="The other is told, with your reason.")
_CANCEL = Choice(value="cancel", label="Cancel", description="Nothing of this was begun.")
_REASON = form.Text(
    label="Why do you take it over? The other is told.", min_length=3, max_length=REASON_CHARS
)


def taken(turn: Turn, event: Taken) -> None:
    """Another session is at the target of an order, so it was not handed over. Raises Stale."""
    session, state = turn.session, turn.state
    waiting = session.waiting
    says = f"{event.name} is at it just now: {event.says or event.title} ({_since(turn, event)}). " + (
        "Nothing of this was begun."
    )
    refused = OrderFinished(
        at_ms=event.at_ms,
        order_id=event.order_id,
        result=Result(
            order=event.order_id,
            node="",
            verb=waiting.verb if waiting is not None else "",
            outcome="refused",
            problem=Problem(code="taken", says=says, do="Wait, or choose another."),
        ),
    )
    if isinstance(state, form.Do) and batch.is_of(turn, event.order_id):
        batch.finished(turn, state, refused)
        return
    if waiting is None or waiting.id != event.order_id or waiting.kind not in ("order", "undo"):
        raise Stale(event="a claim for", id=event.order_id)
    if waiting.kind == "undo":
        undo.undo_finished(turn, refused, waiting)
        return
    sending.tell_result(turn, refused, verb=waiting.verb, node="")
    if session.stopping:
        undo.unwind(turn, "cancel")
        return
    rival = Rival(claim=event.claim, session=event.session, name=event.name, title=event.title)
    moves = (_BACK,) if trail.can_back(session) or trail.undo_target(session) is not None else ()
    wayon.offer(turn, says, options=(_WAIT, _WATCH, *moves, _OVER, _CANCEL), default="wait", free=True)
    turn.set(rival=rival)


def wait_for(turn: Turn, *, watch: bool) -> None:
    """The person waits until the other session has ended."""
    rival = turn.session.rival
    assert rival is not None  # noqa: S101  (the prompt was about one)
    if watch:
        link = text.Link(f"/s/{rival.session}", (text.Text(f"{rival.title}, by {rival.name}"),))
        turn.enter("said", (text.Paragraph((link,)),))
    wait = turn.new_id("w")
    turn.want(AwaitTarget(id=wait, session=turn.session.id, claim=rival.claim))
    says = markdown.tree(f"Waiting until {rival.name} has ended …")
    turn.wait(Waiting(kind="claim", id=wait, says=says, since_ms=turn.event.at_ms))


def free(turn: Turn, event: TargetFree) -> None:
    """Nobody else is at it any more: the state is entered again. Raises Stale."""
    waiting = turn.session.waiting
    if waiting is None or waiting.kind != "claim" or waiting.id != event.wait_id:
        raise Stale(event="a free target for", id=event.wait_id)
    turn.set(waiting=None, rival=None)


def ask_reason(turn: Turn) -> None:
    """Whoever takes something over says why."""
    rival = turn.session.rival
    wayon.ask_words(turn, _REASON)
    turn.set(rival=rival)


def take_over(turn: Turn, shown: Shown, event: Answered) -> None:
    """The reason was given: the order is sent again, and takes the claim with it. Raises InvalidAnswer."""
    accepted = answers.accept(_REASON, event.value, options=())
    rival = turn.session.rival
    assert rival is not None  # noqa: S101  (the prompt was about one)
    label = text.plain(shown.label)
    turn.enter("answered", markdown.tree(accepted.words), person=True, seq=shown.seq, label=label)
    breaking = Breaking(claim=rival.claim, session=rival.session, reason=str(accepted.named))
    turn.audit("claim.taken_over", claim=rival.claim, of=rival.session)
    turn.set(shown=None, rival=None, breaking=breaking)


def taken_over(turn: Turn, event: TakenOver) -> None:
    """Another person took over a target that this session had claimed. Raises Stale."""
    if event.claim not in turn.session.claims:
        raise Stale(event="a claim on", id=event.claim)
    turn.set(claims=tuple(claim for claim in turn.session.claims if claim != event.claim))
    says = f"{event.name} took over what you are working on: {event.reason}"
    turn.enter("problem", markdown.tree(filters.as_text(says)), outcome="taken_over")


def _since(turn: Turn, event: Taken) -> str:
    minutes = max(0, turn.event.at_ms - event.since_ms) // 60_000
    return (
        "just begun" if minutes < 1 else f"for {minutes} min" if minutes < 120 else f"for {minutes // 60} h"
    )
