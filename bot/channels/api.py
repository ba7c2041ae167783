"""The HTTP API under /api/v1: sessions and what moves them, flows, and paged views of the rest.

What a call may do is the runtime's to say; here are only words in and words out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from bot.channels import schemas
from bot.channels.api_blobs import BLOB_CALLS
from bot.channels.api_flows import FLOW_CALLS
from bot.channels.api_routes import BASE, Call, Query, add_calls, openapi
from bot.channels.api_versions import VERSION_CALLS
from bot.channels.api_waits import WAIT_CALLS
from bot.channels.problems import problem_of, response_of
from bot.channels.web_guard import Speaker, body_of, number_in, require_speaker, text_in
from bot.channels.web_parts import PARTS, Page, Parts, Person, View
from bot.channels.ws import SESSION_ID, follow
from bot.engine.refusals import NoSuchSession, Refused
from bot.people.rights import Right

Move = TypeVar("Move")
WAIT_S = 30  # the longest a caller may wait for entries: below what proxies allow
PAGE = 200
AFTER = Query("after", "string", "the `next` of the page before")
LIMIT = Query("limit", "integer", f"how many, at most {PAGE}")


def json_response(struct: Any, status: int = 200) -> web.Response:
    """A struct as a JSON response, cleaned of controls."""
    return web.Response(body=schemas.encoded(struct), status=status, content_type="application/json")


def session_id_of(request: web.Request) -> str:
    """The session's id in the path. What cannot be one is not looked for."""
    session_id = request.match_info["session"]
    if not SESSION_ID.fullmatch(session_id):
        raise NoSuchSession()
    return session_id


async def open_session(request: web.Request, speaker: Speaker) -> web.Response:
    """Open a session; a retry meets the same one."""
    body = await body_of(request, schemas.OpenSession)
    may_open_flow(request.app[PARTS], speaker, body.flow)
    view = await request.app[PARTS].runtime.open(
        person=speaker.person,
        id=body.id,
        flow=body.flow,
        answers=body.answers,
        typed=body.typed,
        zone=body.zone,
    )
    return json_response(schemas.session_body(view.session), status=201)


def may_open_flow(parts: Parts, speaker: Speaker, name: str) -> None:
    """Raise NotAllowed unless the person may open this flow; that there is none is the runtime's to say."""
    for offered in parts.flows.flows():
        if offered.flow.name == name:
            speaker.must_open(offered.flow.risk)


async def list_sessions(request: web.Request, speaker: Speaker) -> web.Response:
    """List the sessions of whoever asks."""
    page = await request.app[PARTS].runtime.sessions(
        person=speaker.person,
        state=text_in(request, "state") or None,
        after=text_in(request, "after"),
        limit=number_in(request, "limit", default=50, least=1, most=PAGE),
    )
    return json_response(
        schemas.SessionsPage(items=[schemas.summary_of(s) for s in page.items], next=page.next)
    )


async def get_session(request: web.Request, speaker: Speaker) -> web.Response:
    """Show one session with the question that is open."""
    view = await request.app[PARTS].runtime.view(person=speaker.person, session_id=session_id_of(request))
    return json_response(schemas.session_body(view.session))


async def get_entries(request: web.Request, speaker: Speaker) -> web.Response:
    """Read the transcript after an entry, waiting for more when there is none."""
    entries = await request.app[PARTS].runtime.entries(
        person=speaker.person,
        session_id=session_id_of(request),
        after=number_in(request, "after", default=0, least=0, most=10**9),
        wait_s=number_in(request, "wait", default=0, least=0, most=WAIT_S),
        limit=number_in(request, "limit", default=500, least=1, most=500),
    )
    return json_response(schemas.EntriesPage(items=list(entries)))


def _move(kind: type[Move], act: Callable[[Parts, Person, str, Move], Awaitable[View]]) -> Any:
    async def moved(request: web.Request, speaker: Speaker) -> web.Response:
        session_id = session_id_of(request)
        body = await body_of(request, kind)
        parts = request.app[PARTS]
        try:
            view = await act(parts, speaker.person, session_id, body)
        except Refused as refused:
            if refused.http != 409:
                raise
            now = await parts.runtime.view(person=speaker.person, session_id=session_id)
            return response_of(problem_of(refused, schemas.shown_of(now.session)))
        return json_response(schemas.session_body(view.session))

    return moved


async def act_answer(parts: Parts, person: Person, session_id: str, b: schemas.GiveAnswer) -> View:
    """Answer the open prompt."""
    return await parts.runtime.answer(person=person, session_id=session_id, seq=b.seq, id=b.id, value=b.value)


async def act_back(parts: Parts, person: Person, session_id: str, b: schemas.GoBack) -> View:
    """Go back to an earlier prompt."""
    return await parts.runtime.back(person=person, session_id=session_id, seq=b.seq, id=b.id, to=b.to)


async def act_change(parts: Parts, person: Person, session_id: str, b: schemas.ChangeOne) -> View:
    """Change one answer from the summary."""
    return await parts.runtime.change(person=person, session_id=session_id, seq=b.seq, id=b.id, to=b.to)


async def act_undo(parts: Parts, person: Person, session_id: str, b: schemas.Undo) -> View:
    """Take back what was done."""
    return await parts.runtime.undo(person=person, session_id=session_id, seq=b.seq, id=b.id)


async def act_cancel(parts: Parts, person: Person, session_id: str, b: schemas.Cancel) -> View:
    """End the session."""
    return await parts.runtime.cancel(person=person, session_id=session_id, seq=b.seq, id=b.id)


def _list(
    read: Callable[[Parts, str, int], Awaitable[Page]], right: Right | None = None
) -> Callable[[web.Request, Speaker], Awaitable[web.Response]]:
    async def listed(request: web.Request, speaker: Speaker) -> web.Response:
        if right is not None:
            speaker.must(right)
        limit = number_in(request, "limit", default=50, least=1, most=PAGE)
        page = await read(request.app[PARTS], text_in(request, "after"), limit)
        return json_response(schemas.ListPage(items=[plain(item) for item in page.items], next=page.next))

    return listed


def plain(item: Any) -> Any:
    """A thing of a list as plain data, without bytes and without what is sealed."""
    return _open(msgspec.to_builtins(item, builtin_types=(bytes,)))


def _open(data: Any) -> Any:
    if isinstance(data, Mapping):
        if data.get("sealed"):
            return {"name": data.get("name", ""), "secret": True}
        return {name: _open(value) for name, value in data.items() if not isinstance(value, bytes)}
    return [_open(value) for value in data] if isinstance(data, list | tuple) else data


def _move_call(name: str, says: str, body: type, handler: Any) -> Call:
    errors = (403, 404, 409, 413, 415, 422)
    path = "/sessions/{session}/" + name
    return Call("POST", path, says, handler, body=body, returns=schemas.SessionBody, errors=errors)


def _list_call(path: str, says: str, handler: Any, *errors: int) -> Call:
    errors = (422, *errors)
    return Call("GET", path, says, handler, returns=schemas.ListPage, query=(AFTER, LIMIT), errors=errors)


SESSION_CALLS: tuple[Call, ...] = (
    Call("POST", "/sessions", "Open a session", open_session, body=schemas.OpenSession,
         returns=schemas.SessionBody, status=201, errors=(403, 404, 409, 413, 415, 422)),
    Call("GET", "/sessions", "My sessions, newest first", list_sessions, returns=schemas.SessionsPage,
         query=(Query("mine", "integer", "0 lists everybody's, for an owner"),
                Query("state", "string", "open or ended"), AFTER, LIMIT), errors=(422,)),
    Call("GET", "/sessions/{session}", "One session with its open question", get_session,
         returns=schemas.SessionBody, errors=(404,)),
    Call("GET", "/sessions/{session}/entries", "The transcript after an entry", get_entries,
         returns=schemas.EntriesPage, errors=(404, 422),
         query=(Query("after", "integer", "the last entry that is known"),
                Query("wait", "integer", f"seconds to wait for more, at most {WAIT_S}"), LIMIT)),
    _move_call("answers", "Answer the question", schemas.GiveAnswer, _move(schemas.GiveAnswer, act_answer)),
    _move_call("back", "Go back to an earlier question", schemas.GoBack, _move(schemas.GoBack, act_back)),
    _move_call("change", "Change one answer", schemas.ChangeOne, _move(schemas.ChangeOne, act_change)),
    _move_call("undo", "Take back what was done", schemas.Undo, _move(schemas.Undo, act_undo)),
    _move_call("cancel", "End the session", schemas.Cancel, _move(schemas.Cancel, act_cancel)),
    Call("GET", "/ws", "The session as a WebSocket: docs/api.md", follow, status=101, errors=(403, 404),
         query=(Query("session", "string", "the session's id"),)),
)  # fmt: skip
LIST_CALLS: tuple[Call, ...] = (
    _list_call("/nodes", "Machines with an agent", _list(lambda p, a, n: p.fleet.nodes(after=a, limit=n))),
    _list_call("/deployments", "What runs", _list(lambda p, a, n: p.fleet.deployments(after=a, limit=n))),
    _list_call("/orders", "What nodes were asked to do, and what came of it",
               _list(lambda p, a, n: p.fleet.orders(after=a, limit=n), "orders.see"), 403),
    _list_call("/audit", "The audit",
               _list(lambda p, a, n: p.audit.entries(after=a, limit=n), "audit.see"), 403),
)  # fmt: skip
CALLS: tuple[Call, ...] = (*FLOW_CALLS, *VERSION_CALLS, *SESSION_CALLS, *WAIT_CALLS, *BLOB_CALLS, *LIST_CALLS)


def add_api(app: web.Application) -> None:
    """Add every call of the API, and its own description."""
    add_calls(app, CALLS)
    description = msgspec.json.encode(openapi(CALLS, version=app[PARTS].settings.version))

    async def describe(request: web.Request) -> web.Response:
        await require_speaker(request)
        return web.Response(body=description, content_type="application/json")

    app.router.add_get(f"{BASE}/openapi.json", describe, allow_head=False)
