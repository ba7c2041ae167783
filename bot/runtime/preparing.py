"""Before an answer becomes an event: its secrets are sealed, and its flow's own check has looked at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from bot.engine import answers, form, prefill, seal
from bot.engine.ready import WAY_ON, Ready
from bot.engine.refusals import AlreadyAnswered, InvalidAnswer, NotNow
from bot.engine.session import Session
from bot.plugins.hooks import HookFailed
from bot.runtime.ports import FlowBook, Sealer

log = structlog.get_logger("runtime")


def current(session: Session, seq: int) -> None:
    """Refuse an answer that is not for the prompt shown. Raises AlreadyAnswered, NotNow."""
    if session.status != "open":
        raise NotNow(event="answered", state=session.status)
    if seq < session.seq or (seq == session.seq and session.shown is None):
        raise AlreadyAnswered(seq=seq)
    if session.shown is None or session.shown.seq != seq:
        raise NotNow(event="answered", state=f"at question {session.seq}, not {seq}")


def sealed(sealer: Sealer, session: Session, value: Any) -> Any:
    """The answer without a secret in it. Raises InvalidAnswer, and what the sealer refuses."""
    found = seal.secrets_in(session, value)
    if not found:
        return value
    return seal.with_sealed(value, {one.path: sealer.seal(session.node, one.plain) for one in found})


def sealed_beforehand(
    sealer: Sealer, flows: FlowBook, ready: Ready, node: str, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Answers given beforehand, without a secret in them. Raises InvalidAnswer."""
    found = seal.secrets_in_answers(prefill.asked_by(flows, ready), given)
    if not found:
        return dict(given)
    closed: dict[str, Any] = seal.with_sealed(
        dict(given), {one.path: sealer.seal(node, one.plain) for one in found}
    )
    return closed


async def refusal_of(flows: FlowBook, session: Session, value: Any) -> str:
    """What the Ask's own check says against the (sealed) answer, "" for nothing. Raises InvalidAnswer."""
    shown, frame = session.shown, session.stack[-1]
    if shown is None or shown.name == WAY_ON:
        return ""
    state = flows.by_version(frame.version).flow.states.get(frame.state)
    if not isinstance(state, form.Ask) or state.check is None:
        return ""
    if answers.looks_again(value, shown.options):
        return ""
    kept = session.kept.get(state.as_)
    accepted = answers.accept(
        state.prompt,
        value,
        options=shown.options,
        kept=kept.value if kept is not None else None,
        details=shown.details,
    )
    try:
        said = await flows.call_hook(frame.version, state.check, {**frame.names, state.as_: accepted.named})
    except HookFailed as failed:
        log.warning("session.check_failed", session=session.id, flow=frame.flow, state=frame.state)
        raise InvalidAnswer([{"field": "", "says": f"The answer could not be checked. {failed}"}]) from failed
    return str(said)[:1_000] if said else ""
