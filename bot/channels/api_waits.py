"""What comes from outside into a session that waits: events, and the approvals of others.

Both are a stranger's input: who may send one, and what fits, is the runtime's and the engine's to say.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bot.channels import schemas
from bot.channels.api_routes import Call
from bot.channels.web_guard import Speaker, body_of
from bot.channels.web_parts import PARTS, Asked, Parts, Person
from bot.channels.ws import SESSION_ID
from bot.engine.refusals import NoSuchSession


async def send_event(request: web.Request, speaker: Speaker) -> web.Response:
    """Say that something happened outside."""
    body = await body_of(request, schemas.SendEvent)
    view = await request.app[PARTS].runtime.tell(
        person=speaker.person, session_id=_session_id(request), id=body.id, name=body.name, data=body.data
    )
    return _json(schemas.session_body(view.session))


async def list_approvals(request: web.Request, speaker: Speaker) -> web.Response:
    """List what waits for whoever asks."""
    return _json(schemas.ApprovalsBody(items=await asked_of(request.app[PARTS], speaker.person)))


async def approve(request: web.Request, speaker: Speaker) -> web.Response:
    """Agree or refuse."""
    body = await body_of(request, schemas.GiveApproval)
    session_id = _session_id(request)
    outcome = await given(
        request.app[PARTS], speaker.person, session_id, id=body.id, yes=body.yes, reason=body.reason
    )
    return _json(schemas.ApprovalGiven(session=session_id, outcome=outcome))


async def given(parts: Parts, person: Person, session_id: str, *, id: str, yes: bool, reason: str) -> str:
    """Give an approval. Returns what came of it: approved, refused, or waiting for others."""
    view = await parts.runtime.approve(person=person, session_id=session_id, id=id, yes=yes, reason=reason)
    if not yes:
        return "refused"
    return "waiting" if view.session.approval is not None else "approved"


async def asked_of(parts: Parts, person: Person) -> list[schemas.ApprovalBody]:
    """What waits for a person, oldest first."""
    return [await _body(parts, asked) for asked in await parts.runtime.asked(person)]


async def _body(parts: Parts, asked: Asked) -> schemas.ApprovalBody:
    return schemas.ApprovalBody(
        id=asked.id,
        session=asked.session,
        title=asked.title,
        asker=await parts.called(asked.asker),
        question=asked.question,
        rows=[schemas.ApprovalRow(label=label, value=value) for label, value in asked.rows],
        need=asked.need,
        agreed=[vote.name or vote.by for vote in asked.votes if vote.yes],
        at_ms=asked.at_ms,
    )


def _session_id(request: web.Request) -> str:
    session_id = request.match_info["session"]
    if not SESSION_ID.fullmatch(session_id):
        raise NoSuchSession()
    return session_id


def _json(struct: Any) -> web.Response:
    return web.Response(body=schemas.encoded(struct), content_type="application/json")


WAIT_CALLS: tuple[Call, ...] = (
    Call("POST", "/sessions/{session}/events", "Say that something happened outside", send_event,
         body=schemas.SendEvent, returns=schemas.SessionBody, errors=(403, 404, 409, 413, 415, 422, 429)),
    Call("GET", "/approvals", "What waits for my approval", list_approvals, returns=schemas.ApprovalsBody),
    Call("POST", "/sessions/{session}/approvals", "Agree to what waits, or refuse", approve,
         body=schemas.GiveApproval, returns=schemas.ApprovalGiven, errors=(403, 404, 409, 413, 415, 422)),
)  # fmt: skip
