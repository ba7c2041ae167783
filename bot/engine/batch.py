"""A Do over many targets: one order for each, all at once or some at a time.

Rule 1: the list is frozen when the Do is entered; trying again takes those of it that are not done.
Rule 2: an order's id is derived from the batch, its place in the list and the attempt.
Rule 3: what is under way is awaited, whatever happens; what was not begun is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agent.orders import READING, limits
from bot.engine import form, markdown, orders, outcome, recheck, sending, template, text, undo, unsure, wayon
from bot.engine.events import OrderFinished
from bot.engine.filters import Unfit, as_text
from bot.engine.ids import derived
from bot.engine.orders import OrderRefused
from bot.engine.refusals import Stale
from bot.engine.session import Batch, Target, Waiting
from bot.engine.turn import Turn

TARGETS_MAX: Final = 200  # of one Do: a record of that many undos is still small
RESULT_BYTES: Final = 2_000  # of one target's facts, less where there are many targets
_ENDED: Final = frozenset({"done", "failed", "left"})


def enter(turn: Turn, do: form.Do) -> None:
    """Come to a Do over many: freeze its list, or begin again those of it that are not done."""
    place = f"{turn.depth}.{turn.frame.state}"
    batch = turn.session.batch
    if batch is None or batch.place != place:
        batch = Batch(id=turn.new_id("b"), place=place, targets=_frozen(turn, do))
        chosen = batch.targets
    else:
        chosen = tuple(target for target in batch.targets if target.state != "done")
        again = tuple(_begun_anew(target) for target in batch.targets)
        batch = msgspec.structs.replace(batch, id=turn.new_id("b"), targets=again)
    if not chosen:
        turn.assign(do.as_, _named(batch))
        turn.set(batch=None)
        turn.go("order_finished", do.then)
        return
    if do.order.verb not in READING:
        turn.set(returning="", kept={})
    words = turn.render(do.says) or markdown.tree(f"{do.order.verb} …")
    items = text.Items(False, tuple((text.Text(target.label),) for target in chosen))
    turn.enter("ordered", (*words, items), order=batch.id, verb=do.order.verb)
    turn.set(batch=batch)
    turn.wait(Waiting(kind="batch", id=batch.id, says=words, since_ms=turn.event.at_ms, verb=do.order.verb))
    _go_on(turn, do)


def is_of(turn: Turn, order_id: str) -> bool:
    """Whether an order is one of the batch that is under way."""
    batch = turn.session.batch
    return batch is not None and any(
        target.order == order_id and target.state in ("under_way", "unknown") for target in batch.targets
    )


def finished(turn: Turn, do: form.Do, event: OrderFinished) -> None:
    """A node answered the order for one target. Raises Stale."""
    batch, result = turn.session.batch, event.result
    assert batch is not None  # noqa: S101  (asked by is_of)
    at, target = next((i, t) for i, t in enumerate(batch.targets) if t.order == event.order_id)
    if target.state == "unknown" and result.outcome == "unknown":
        raise Stale(event="an unknown result of", id=event.order_id)
    sending.tell_result(
        turn, event, verb=do.order.verb, node=target.node, label=target.label, state=turn.frame.state
    )
    barred = batch.barred
    if result.outcome == "unknown":
        target = msgspec.structs.replace(target, state="unknown", says=outcome.why_not(result))
    else:
        limit = min(RESULT_BYTES, outcome.FACTS_BYTES // len(batch.targets))
        kept = outcome.named(result, max(400, limit))
        target = msgspec.structs.replace(
            target,
            state="done" if result.outcome == "done" else "failed",
            says="" if result.outcome == "done" else outcome.why_not(result),
            result=kept,
        )
        if outcome.changed(do, result):
            whole = {**_scope(turn, target.value), do.as_: outcome.named(result)}
            barred = not outcome.note_undo(turn, do, target.node, whole, target.label) or barred
    _put(turn, msgspec.structs.replace(batch, barred=barred), at, target)
    _go_on(turn, do)


def pass_over(turn: Turn, do: form.Do) -> None:
    """Go on without knowing how the orders ended that are unknown."""
    _give_up_knowing(turn)
    _go_on(turn, do)


def stop(turn: Turn) -> None:
    """Leave what was not begun and what is not known; the caller takes back what was done."""
    _give_up_knowing(turn)
    turn.set(batch=None)


def leave_rest(turn: Turn) -> None:
    """Begin no other; what is under way is awaited."""
    batch = turn.session.batch
    assert batch is not None  # noqa: S101  (it is waited for)
    targets = tuple(
        msgspec.structs.replace(target, state="left") if target.state == "to_do" else target
        for target in batch.targets
    )
    turn.set(batch=msgspec.structs.replace(batch, targets=targets))


def _give_up_knowing(turn: Turn) -> None:
    batch = turn.session.batch
    assert batch is not None  # noqa: S101  (there is one where this is asked)
    for at, target in enumerate(batch.targets):
        if target.state == "unknown":
            waiting = turn.session.unsure or turn.session.waiting
            verb = waiting.verb if waiting is not None else ""
            unsure.remember(turn, target.order, node=target.node, verb=verb, says=f"{verb} ({target.label})")
            passed = msgspec.structs.replace(target, state="failed", passed=True, says=unsure.NOT_KNOWN)
            _put(turn, turn.session.batch or batch, at, passed)


def _go_on(turn: Turn, do: form.Do) -> None:
    """Send what may be sent now; at the end, go on by what came of it."""
    batch, session = turn.session.batch, turn.session
    assert batch is not None  # noqa: S101  (its callers put it there)
    failures = sum(target.state == "failed" for target in batch.targets)
    ending = session.stopping or (do.stop_after > 0 and failures >= do.stop_after)
    most = do.at_once or len(batch.targets)
    busy = sum(target.state in ("under_way", "unknown") for target in batch.targets)
    targets = list(batch.targets)
    for at, target in enumerate(targets):
        if target.state != "to_do":
            continue
        if ending:
            targets[at] = msgspec.structs.replace(target, state="left")
        elif busy < most:
            targets[at] = _sent(turn, do, batch, at, target)
            busy += targets[at].state == "under_way"
            if targets[at].state == "failed" and do.stop_after:
                failures += 1
                ending = failures >= do.stop_after
    batch = msgspec.structs.replace(batch, targets=tuple(targets))
    turn.set(batch=batch)
    if all(target.state in _ENDED for target in targets):
        _end(turn, do, batch)
    elif any(target.state == "under_way" for target in targets):
        if session.unsure is not None:
            turn.set(shown=None)
            unsure.wait_on(turn)
        waiting = turn.session.waiting
        if waiting is not None and waiting.unknown:
            turn.set(waiting=msgspec.structs.replace(waiting, unknown=False))
    elif session.unsure is None:
        unsure.ask(turn)


def _sent(turn: Turn, do: form.Do, batch: Batch, at: int, target: Target) -> Target:
    """The target once its order is on its way; failed when the order does not come out right."""
    try:
        order = orders.build(do.order, template.evaluate(do.order.args, _scope(turn, target.value)))
    except (OrderRefused, Unfit) as e:
        return msgspec.structs.replace(target, state="failed", says=f"{e}")
    attempt = target.attempt + 1
    order_id = derived("o", turn.session.id, batch.id, at, attempt)
    reading = do.order.verb in READING
    sending.wish(
        turn,
        order,
        order_id=order_id,
        node=target.node,
        says=f"{text.plain(turn.render(do.says)) or do.order.verb} ({target.label})",
        lifetime_s=min(do.lifetime_s, limits.LOOKUP_LIFETIME_S) if reading else do.lifetime_s,
    )
    return msgspec.structs.replace(target, state="under_way", order=order_id, attempt=attempt, says="")


def _end(turn: Turn, do: form.Do, batch: Batch) -> None:
    """Every target has ended: say so, and go on."""
    done = sum(target.state == "done" for target in batch.targets)
    all_done = done == len(batch.targets)
    says = _summary(batch)
    turn.enter(
        "finished",
        markdown.tree(says),
        order=batch.id,
        verb=do.order.verb,
        outcome="done" if all_done else "failed",
    )
    turn.set(waiting=None, unsure=None, shown=None)
    turn.assign(do.as_, _named(batch))
    recheck.ours(turn, do)
    if turn.session.stopping:
        turn.set(batch=None)
        undo.unwind(turn, "cancel")
        return
    if all_done or do.failed is not None:
        turn.set(batch=None)
        turn.go("order_finished", do.then if all_done else str(do.failed))
        if batch.barred:
            undo.bar(turn, do)
        return
    if batch.barred:
        undo.bar(turn, do)
    left = len(batch.targets) - done
    wayon.offer(turn, says, retry=f"Try those again that are not done ({left})")


def _summary(batch: Batch) -> str:
    """How it went, in one sentence."""
    counts = {state: 0 for state in ("done", "failed", "left")}
    for target in batch.targets:
        counts[target.state] += 1
    total = len(batch.targets)
    if counts["done"] == total:
        return f"All {total} are done." if total > 1 else "It is done."
    failed = [t for t in batch.targets if t.state == "failed"]
    parts = [f"{counts['done']} of {total} are done"]
    if failed:
        names = ", ".join(t.label for t in failed[:5]) + (" and others" if len(failed) > 5 else "")
        parts.append(f"{len(failed)} failed ({names})")
    if counts["left"]:
        parts.append(f"{counts['left']} were not begun")
    first = f" {failed[0].label}: {failed[0].says}" if failed and failed[0].says else ""
    return ", ".join(parts) + "." + first


def _named(batch: Batch) -> dict[str, Any]:
    """What the name of the Do gets."""
    by_state = {
        state: [t.label for t in batch.targets if t.state == state] for state in ("done", "failed", "left")
    }
    all_done = len(by_state["done"]) == len(batch.targets)
    results = [
        {
            "problem": {"code": "", "says": t.says, "do": ""} if t.says else None,
            **t.result,
            "target": t.value,
            "name": t.label,
            "node": t.node,
            "outcome": "unknown" if t.passed else "left" if t.state == "left" else t.state,
        }
        for t in batch.targets
    ]
    problem = None if all_done else {"code": "batch", "says": _summary(batch), "do": ""}
    return {
        **by_state,
        "outcome": "done" if all_done else "failed",
        "problem": problem,
        "results": results,
    }


def _frozen(turn: Turn, do: form.Do) -> tuple[Target, ...]:
    """The list of targets as it is now. Raises Fault."""
    given = turn.filled(do.targets)
    if not isinstance(given, list | tuple):
        raise turn.fault("What `each` gives is no list.")
    if len(given) > TARGETS_MAX:
        raise turn.fault(f"{len(given)} targets are too many for one step: at most {TARGETS_MAX}.")
    targets: list[Target] = []
    for value in given:
        node = _node(turn, do, value)
        target = Target(label=_label(value), node=node, value=value)
        if any(known.value == value for known in targets):
            continue  # named twice is meant once
        targets.append(target)
    return tuple(targets)


def _node(turn: Turn, do: form.Do, value: Any) -> str:
    node: Any = turn.session.node
    if do.node:
        try:
            node = template.expression(do.node)(_scope(turn, value))
        except Unfit as e:
            raise turn.fault(f"{e}.") from e
    elif isinstance(value, dict):
        own = str(value.get("id") or "")
        node = value.get("node") or (own if own.startswith("n-") else node)
    elif isinstance(value, str) and value.startswith("n-"):
        node = value
    if not isinstance(node, str) or not node:
        raise turn.fault("It is not known which node an order is for.")
    return node


def _label(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("label") or value.get("name") or value.get("id") or value.get("deployment") or value
    return as_text(value)[:100]


def _scope(turn: Turn, value: Any) -> Mapping[str, Any]:
    return {**turn.scope, "target": value}


def _begun_anew(target: Target) -> Target:
    if target.state == "done":
        return target
    return msgspec.structs.replace(target, state="to_do", says="", passed=False, result={})


def _put(turn: Turn, batch: Batch, at: int, target: Target) -> None:
    targets = (*batch.targets[:at], target, *batch.targets[at + 1 :])
    turn.set(batch=msgspec.structs.replace(batch, targets=targets))
