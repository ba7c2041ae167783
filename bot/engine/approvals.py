"""Approvals: named people, or whoever has a role, agree or refuse. Never who asked, each of them once.

The list of what waits for somebody is the runtime's; who counts is decided here, by the names and roles that
stood when the wait began.
"""

from __future__ import annotations

from typing import Any, Final

from bot.engine import form, markdown, text
from bot.engine.ask import rows_of
from bot.engine.effects import AskApproval
from bot.engine.events import Approved
from bot.engine.refusals import InvalidAnswer, NotAsked, NotNow, Voted
from bot.engine.session import Approving, Vote, Waiting
from bot.engine.turn import Turn

REASON_CHARS: Final = 1_000
PEOPLE_MAX: Final = 50
ROLES: Final = ("viewer", "support", "operator", "owner")


def enter(turn: Turn, wait: form.Wait, approval: form.Approval) -> None:
    """Come to a Wait for approval: ask, and wait."""
    of = _who(turn, approval)
    names = [one for one in of if one not in ROLES]
    if len(names) == len(of) and len(of) < approval.need:
        raise turn.fault(f"{approval.need} have to agree, and only {len(of)} are asked.")
    id = turn.new_id("w")
    question = turn.render(approval.asks) or markdown.tree(f"May this go on? {turn.ready.flow.title}")
    rows = rows_of(turn, form.Confirm(label="", summary=approval.summary))
    told = " or ".join(f"somebody with the role {one}" if one in ROLES else one for one in of)
    count = f"{approval.need} have to agree: " if approval.need > 1 else ""
    words = turn.render(wait.says) or markdown.tree(f"Waiting for approval. {count}{told}.")
    turn.enter("said", words)
    turn.want(
        AskApproval(
            id=id,
            session=turn.session.id,
            asker=turn.session.person,
            of=of,
            need=approval.need,
            title=turn.session.title,
            question=question,
            rows=tuple((row.label, row.value) for row in rows),
            at_ms=turn.event.at_ms,
        )
    )
    turn.audit("approval.asked", approval=id, of=list(of), need=approval.need)
    turn.set(approval=Approving(id=id, of=of, need=approval.need))
    turn.wait(Waiting(kind="approval", id=id, says=words, since_ms=turn.event.at_ms))


def approved(turn: Turn, event: Approved) -> None:
    """Somebody agreed or refused. Raises NotNow, NotAsked, Voted, InvalidAnswer."""
    session, state = turn.session, turn.state
    asked, waiting = session.approval, session.waiting
    if asked is None or waiting is None or waiting.id != event.approval or not isinstance(state, form.Wait):
        raise NotNow(event="an approval", state="not waiting for it (any more)")
    if not may(asked.of, session.person, id=event.by, name=event.name, role=event.role):
        raise NotAsked()
    if any(vote.by == event.by for vote in asked.votes):
        raise Voted()
    reason = " ".join(event.reason.split())
    if len(reason) > REASON_CHARS:
        raise InvalidAnswer([{"field": "reason", "says": f"At most {REASON_CHARS} characters."}])
    if not event.yes and not reason:
        raise InvalidAnswer([{"field": "reason", "says": "Say why not, in a few words."}])
    vote = Vote(by=event.by, name=event.name, yes=event.yes, reason=reason, at_ms=event.at_ms)
    votes = (*asked.votes, vote)
    turn.set(approval=Approving(id=asked.id, of=asked.of, need=asked.need, votes=votes))
    turn.audit("approval.given" if event.yes else "approval.refused", approval=asked.id, by=event.by)
    said = f"{event.name or event.by} {'agrees' if event.yes else 'refuses'}"
    words: text.Tree = (text.Paragraph((text.Text(f"{said}: {reason}" if reason else f"{said}."),)),)
    turn.enter("approved", words, person=True, outcome="yes" if event.yes else "no", label=event.name)
    if not event.yes:
        _settle(turn, state, votes, "refused")
        if state.refused is not None:
            turn.go("approved", state.refused)
        else:
            raise turn.fault(f"{said}, and the chatflow does not say what then.")
    elif sum(one.yes for one in votes) >= asked.need:
        _settle(turn, state, votes, "approved")
        turn.go("approved", state.then)


def may(of: tuple[str, ...], asker: str, *, id: str, name: str, role: str) -> bool:
    """Whether somebody is asked. A token or person without a role counts by id and name only."""
    if id == asker or not id:
        return False
    return id in of or (bool(name) and name in of and name not in ROLES) or (role in ROLES and role in of)


def _settle(turn: Turn, wait: form.Wait, votes: tuple[Vote, ...], outcome: str) -> None:
    if wait.as_ is not None:
        given: list[dict[str, Any]] = [
            {"by": vote.by, "name": vote.name, "yes": vote.yes, "reason": vote.reason} for vote in votes
        ]
        turn.assign(wait.as_, {"outcome": outcome, "votes": given, "reason": votes[-1].reason})


def _who(turn: Turn, approval: form.Approval) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for one in turn.filled(list(approval.of)):
        for name in one if isinstance(one, list | tuple) else [one]:
            if isinstance(name, str) and name.strip():
                found[name.strip()] = None
    if not 0 < len(found) <= PEOPLE_MAX:
        raise turn.fault(f"an approval asks between 1 and {PEOPLE_MAX} people or roles.")
    return tuple(found)
