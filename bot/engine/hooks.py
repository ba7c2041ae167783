"""Which function of a plugin has to look at an answer before it is taken, and with what.

A hook is a plain function that takes one dict, the names known so far. A check's dict has the answer under
its own name; it returns a sentence against it, or nothing. The function of a Choose returns a state.
"""

from __future__ import annotations

from typing import Any

import msgspec

from bot.engine import answers, form
from bot.engine.ready import WAY_ON, Flows
from bot.engine.session import Session


class CheckWanted(msgspec.Struct, frozen=True):
    """A check to run; what it returns goes into `Answered.refusal` ("" for nothing)."""

    flow_version: str
    hook: str
    names: dict[str, Any]


def check_wanted(flows: Flows, session: Session, seq: int, value: Any) -> CheckWanted | None:
    """The check that an answer to the present prompt needs; None when it needs none or is not for now.

    Raises InvalidAnswer when the answer does not fit anyway. Secrets in `value` are sealed already.
    """
    shown = session.shown
    if shown is None or shown.seq != seq or shown.name == WAY_ON or not session.stack:
        return None
    frame = session.stack[-1]
    ask = flows.by_version(frame.version).flow.states[frame.state]
    if not isinstance(ask, form.Ask) or ask.check is None or answers.looks_again(value, shown.options):
        return None
    kept = session.kept.get(ask.as_)
    accepted = answers.accept(
        ask.prompt,
        value,
        options=shown.options,
        kept=kept.value if kept is not None else None,
        details=shown.details,
    )
    return CheckWanted(frame.version, ask.check, {**frame.names, ask.as_: accepted.named})
