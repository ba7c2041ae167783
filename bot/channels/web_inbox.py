"""The page of what waits for a person's approval: each question with its summary, a reason, and two buttons.

It works without script. What is approved stands in the audit; signatures come with a later release
(docs/security.md).
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from bot.channels.api_waits import asked_of, given
from bot.channels.problems import NotSignedIn
from bot.channels.web_clean import clean_data
from bot.channels.web_guard import must_be_plain, require_speaker
from bot.channels.web_pages import frame_of, new_id
from bot.channels.web_parts import PARTS
from bot.channels.web_render import page
from bot.channels.web_sign_in import signed_out_page
from bot.channels.ws import SESSION_ID
from bot.engine.refusals import NoSuchSession, Refused


async def show(request: web.Request) -> web.StreamResponse:
    """Show what waits for whoever is signed in."""
    return await _page(request)


async def decide(request: web.Request) -> web.StreamResponse:
    """Take a yes or no; what does not fit is said on the same page."""
    speaker = await require_speaker(request)
    fields = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    must_be_plain(fields)
    session_id = request.match_info["session"]
    if not SESSION_ID.fullmatch(session_id):
        raise NoSuchSession()
    try:
        await given(
            request.app[PARTS],
            speaker.person,
            session_id,
            id=fields.get("id", ""),
            yes=fields.get("decision") == "yes",
            reason=fields.get("reason", ""),
        )
    except Refused as refused:
        return await _page(request, error=refused, at=session_id)
    raise web.HTTPSeeOther("/waiting")


async def _page(request: web.Request, *, error: Refused | None = None, at: str = "") -> web.StreamResponse:
    try:
        speaker = await require_speaker(request)
    except NotSignedIn:
        return signed_out_page(request)
    parts = request.app[PARTS]
    asked: list[dict[str, Any]] = [
        {**clean_data(msgspec.to_builtins(one)), "call": new_id()}
        for one in await asked_of(parts, speaker.person)
    ]
    errors = getattr(error, "errors", [])
    says = " ".join(one["says"] for one in errors) or (error.sentence if error is not None else "")
    return page(
        "waiting.html",
        status=error.http if error is not None else 200,
        **await frame_of(parts, speaker, current="waiting"),
        asked=asked,
        error=clean_data(says),
        at=at,
    )


def add_inbox(app: web.Application) -> None:
    """Add the routes."""
    app.router.add_get("/waiting", show, allow_head=False)
    app.router.add_post("/waiting/{session}", decide)
