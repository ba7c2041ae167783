"""What a result leaves in a session: the value of a Do's name, and how to take the Do back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from agent.orders import READING
from agent.orders.results import Result
from bot.engine import form, markdown, orders, template, text
from bot.engine.filters import Unfit
from bot.engine.orders import OrderRefused
from bot.engine.session import Undo
from bot.engine.turn import Turn

FACTS_BYTES: Final = 32_000  # of one result kept by name; the transcript shows what the flow shows of it


def named(result: Result, limit: int = FACTS_BYTES) -> dict[str, Any]:
    """What the name of a Do gets: the facts, and how it went."""
    facts = _cut(msgspec.json.decode(msgspec.json.encode(result.facts)), limit)
    problem = msgspec.json.decode(msgspec.json.encode(result.problem))
    seconds = round(max(0, result.ended_ms - result.started_ms) / 1000, 1)
    known = {"outcome": result.outcome, "problem": problem, "seconds": seconds, "already": result.already}
    return {**facts, **known}


def why_not(result: Result) -> str:
    """Why it was not done, as a sentence."""
    if result.problem is None:
        return "It was not done, and the node did not say why."
    return result.problem.says


def words(turn: Turn, do: form.Do) -> str:
    """What a Do does, in plain words."""
    return text.plain(turn.render(do.says)) or do.order.verb


def changed(do: form.Do, result: Result) -> bool:
    """Whether something is other than before."""
    return result.outcome == "done" and do.order.verb not in READING and not result.already


def note_undo(turn: Turn, do: form.Do, node: str, scope: Mapping[str, Any], label: str = "") -> bool:
    """Put the order that takes this back on the list. False when there is none."""
    if do.undo is None:
        return False
    try:
        order = orders.build(do.undo, template.evaluate(do.undo.args, scope))
        says = markdown.message(do.says).template.to_words(scope) if do.says else do.order.verb
    except (OrderRefused, Unfit) as e:
        turn.enter("problem", markdown.tree(f"This step cannot be taken back: {e}."), outcome="fault")
        return False
    says = f"Taking back: {says}" + (f" ({label})" if label else "")
    turn.set(undos=(*turn.session.undos, Undo(node=node, order=order, says=says)))
    return True


def _cut(facts: dict[str, Any], limit: int) -> dict[str, Any]:
    """Facts that fit into a session: the longest lists and texts lose their beginning, and it is noted."""
    if len(msgspec.json.encode(facts)) <= limit:
        return facts
    kept = dict(facts)
    while kept and len(msgspec.json.encode(kept)) > limit - 200:
        name = max(kept, key=lambda n: len(msgspec.json.encode(kept[n])))
        value = kept[name]
        if isinstance(value, str | list) and len(value) > 1:
            kept[name] = value[-(len(value) // 2) :]
        else:
            del kept[name]
    return {
        **kept,
        "cut": True,
        "cut_note": "These facts were too large to keep whole; the last part is here.",
    }
