"""Orders on their way out and results on their way in: what a Do and an undo have in common."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from agent.orders import READING
from agent.orders.results import Problem, Result
from bot.engine import filters, markdown, text
from bot.engine.effects import SendOrder
from bot.engine.events import OrderFinished
from bot.engine.refusals import Stale
from bot.engine.session import Waiting
from bot.engine.turn import Turn

CLAIMS_MAX: Final = 300  # of one session; a batch has at most 200 targets


def send(turn: Turn, order: dict[str, Any], *, node: str, words: text.Tree, lifetime_s: int) -> str:
    """Wish for the order and say so. Returns its id."""
    order_id = turn.new_id("o")
    turn.enter("ordered", words, order=order_id, verb=str(order["verb"]), node=node)
    wish(turn, order, order_id=order_id, node=node, says=text.plain(words), lifetime_s=lifetime_s)
    return order_id


def wish(turn: Turn, order: dict[str, Any], *, order_id: str, node: str, says: str, lifetime_s: int) -> None:
    """Wish for the order, without a word in the transcript."""
    session = turn.session
    claim = _claim_of(order, node, turn.own_deployment)
    if claim and claim not in session.claims:
        turn.set(claims=(*session.claims, claim)[-CLAIMS_MAX:])
    breaking = session.breaking
    more: dict[str, str] = {}
    if breaking is not None and breaking.claim == claim:
        more = {"breaks": breaking.session, "because": breaking.reason}
        turn.set(breaking=None)
    turn.want(
        SendOrder(
            id=order_id,
            session=turn.session.id,
            node=node,
            order=order,
            actor=turn.session.person,
            not_before_ms=turn.event.at_ms,
            expires_ms=turn.event.at_ms + lifetime_s * 1000,
            says=says,
            title=session.title,
            claim=claim,
            **more,
        )
    )
    turn.audit(
        "order.sent",
        order=order_id,
        verb=str(order["verb"]),
        node=node,
        flow=turn.frame.flow,
        state=turn.frame.state,
    )


def _claim_of(order: dict[str, Any], node: str, own: str) -> str:
    """What no other session may be at meanwhile, "" for nothing: a target that was there before."""
    if order["verb"] in READING:
        return ""
    target = order.get("target")
    if isinstance(target, dict) and target.get("type") == "engine":
        return f"{node}:{target['engine_id']}"
    deployment = target.get("deployment") if isinstance(target, dict) else order.get("deployment")
    if isinstance(deployment, str):
        return "" if deployment == own else deployment  # what the session made, nobody else knows yet
    return node if order["verb"] in ("node.drain", "node.undrain") else ""


def tell_result(
    turn: Turn, event: OrderFinished, *, verb: str, node: str, label: str = "", **fields: Any
) -> None:
    """Write a result down. `label` is the target of a batch."""
    result = event.result
    words = _words(result)
    if label:
        fields["label"] = label
        words = _labelled(label, words)
    turn.enter(
        "finished", words, order=event.order_id, verb=verb, node=node, outcome=result.outcome, **fields
    )
    code = result.problem.code if result.problem is not None else ""
    turn.audit("order.finished", order=event.order_id, verb=verb, outcome=result.outcome, problem=code)


def note_result(turn: Turn, event: OrderFinished, waiting: Waiting, node: str) -> bool:
    """Write the result down. True when it is not known yet. Raises Stale."""
    result = event.result
    if result.outcome == "unknown" and waiting.unknown:
        raise Stale(event="an unknown result of", id=event.order_id)
    tell_result(turn, event, verb=waiting.verb, node=node)
    if result.outcome == "unknown":
        turn.set(
            waiting=msgspec.structs.replace(waiting, unknown=True, says=_words(result)),
            unsure=None,
        )
        return True
    return False


def _labelled(label: str, words: text.Tree) -> text.Tree:
    head = text.Text(f"{label}: ")
    if words and isinstance(words[0], text.Paragraph):
        return (text.Paragraph((head, *words[0].c)), *words[1:])
    return (text.Paragraph((head,)), *words)


def _words(result: Result) -> text.Tree:
    seconds = filters.FILTERS["seconds"].apply(max(0, result.ended_ms - result.started_ms) / 1000)
    match result.outcome:
        case "done":
            return markdown.tree("It was so already." if result.already else f"Done in {seconds}.")
        case "unknown":
            return markdown.tree(
                "It is not known yet whether this was done. The node is looking; please wait."
            )
        case _:
            return _problem_words(result.problem)


def _problem_words(problem: Problem | None) -> text.Tree:
    if problem is None:
        return markdown.tree("It was not done, and the node did not say why.")
    blocks: list[text.Block] = [*markdown.tree(problem.says), *markdown.tree(problem.do)]
    if problem.left_behind:
        blocks += markdown.tree("Left behind:")
        blocks.append(text.Items(False, tuple((text.Text(filters.as_text(x)),) for x in problem.left_behind)))
    else:
        blocks += markdown.tree("Nothing was left behind.")
    if problem.evidence:
        blocks.append(text.Pre("\n".join(filters.as_text(line) for line in problem.evidence)))
    return tuple(blocks)
