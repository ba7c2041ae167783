"""A Do whose outcome is not known: a person may wait, stop, or go on; what is known later is told later.

An order that was gone on without stays in `session.unsettled`, also when the session has ended. Its late
result adds an entry `corrected` to the transcript and moves nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from bot.engine import ending, markdown, outcome, wayon
from bot.engine.events import OrderFinished
from bot.engine.refusals import Stale
from bot.engine.session import Choice, Session, Unsettled
from bot.engine.turn import Turn

UNSETTLED_MAX: Final = 50  # remembered of one session; the oldest are forgotten
NOT_KNOWN: Final = "It is not known whether this was done."
_WAIT = Choice(value="wait", label="Wait", description="The node is asked again until it answers.")
_GO_ON = Choice(
    value="go_on",
    label="Go on without knowing",
    description="When it becomes known, it is added to this conversation.",
)
_CANCEL = Choice(
    value="cancel", label="Cancel", description="Take back what is known to be done, as far as it can be."
)
_LEAVE = Choice(value="leave", label="Leave it", description="Go on without knowing if it was taken back.")


def ask(turn: Turn) -> None:
    """Ask what to do about not knowing; what is waited for is set aside, and settles by itself if it can."""
    waiting, stopping = turn.session.waiting, turn.session.stopping
    assert waiting is not None  # noqa: S101  (something under way is not known)
    undoing = waiting.kind == "undo"
    options = (_WAIT, _LEAVE) if undoing else (_WAIT, _CANCEL) if stopping else (_WAIT, _GO_ON, _CANCEL)
    says = "It is not known whether this was taken back." if undoing else NOT_KNOWN
    wayon.offer(turn, f"{says} The node is looking.", options=options, default="wait")
    turn.set(unsure=msgspec.structs.replace(waiting, unknown=True), stopping=stopping)


def wait_on(turn: Turn) -> None:
    """The person chose to wait."""
    turn.set(waiting=turn.session.unsure, unsure=None, shown=None)


def remember(turn: Turn, order: str, *, node: str, verb: str, says: str) -> None:
    """Keep an order in mind that is gone on without."""
    one = Unsettled(order=order, node=node, verb=verb, says=says, at_ms=turn.event.at_ms)
    turn.set(unsettled=(*turn.session.unsettled, one)[-UNSETTLED_MAX:])


def is_asked_on(session: Session, order_id: str) -> bool:
    """Whether anybody still wants to know how an order ended, and its node is to be asked on."""
    waiting = session.waiting or session.unsure
    if waiting is not None and waiting.id == order_id:
        return True
    targets = session.batch.targets if session.batch is not None else ()
    under_way = any(t.order == order_id and t.state in ("under_way", "unknown") for t in targets)
    return under_way or is_unsettled(session, order_id)


def is_unsettled(session: Session, order_id: str) -> bool:
    """Whether an order is kept in mind."""
    return any(one.order == order_id for one in session.unsettled)


def settle(turn: Turn, event: OrderFinished) -> None:
    """It is known now. Adds to the transcript, and moves nothing. Raises Stale when it still is not."""
    result = event.result
    if result.outcome == "unknown":
        raise Stale(event="an unknown result of", id=event.order_id)
    one = next(one for one in turn.session.unsettled if one.order == event.order_id)
    if result.outcome == "done":
        how = "it was so already" if result.already else "it was done, and stays done"
        says = f"It is known now: {how} ({one.says})."
    else:
        says = f"It is known now: it was not done ({one.says}). {outcome.why_not(result)}"
    turn.enter(
        "corrected",
        markdown.tree(says),
        order=one.order,
        verb=one.verb,
        node=one.node,
        outcome=result.outcome,
    )
    code = result.problem.code if result.problem is not None else ""
    turn.audit("order.finished", order=one.order, verb=one.verb, outcome=result.outcome, problem=code)
    ended = turn.session.status == "ended"
    turn.set(unsettled=tuple(other for other in turn.session.unsettled if other.order != one.order))
    if ended:
        ending.release_claims(turn)
