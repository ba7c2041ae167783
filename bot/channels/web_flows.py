"""The chatflows of this bot for who writes and runs them: what is wrong with a file, and each one drawn.

Also the JSON Schema of chatflows in YAML, which an editor may take from here; it is no secret.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from bot.channels.flow_picture import svg
from bot.channels.problems import NotSignedIn
from bot.channels.web_clean import clean_data
from bot.channels.web_guard import Speaker, require_speaker
from bot.channels.web_parts import PARTS, Parts
from bot.channels.web_render import flow_card, page
from bot.channels.web_sign_in import signed_out_page
from bot.people.rights import Right, may
from bot.plugins import yaml_schema

MAY: Right = "audit.see"  # operators and the owner: a message may quote a file


async def flows(request: web.Request) -> web.StreamResponse:
    """List the chatflows, those files first that could not be read."""
    from bot.channels.web_pages import frame_of

    try:
        speaker = await require_speaker(request)
    except NotSignedIn:
        return signed_out_page(request)
    speaker.must(MAY)
    parts = request.app[PARTS]
    cards = [
        {
            **flow_card(one.flow),
            "source": one.flow.source,
            "version": one.version[:12],
            "picture": svg(one.flow),
        }
        for one in parts.flows.flows()
    ]
    return page(
        "flows.html",
        **await frame_of(parts, speaker, current="flows"),
        cards=cards,
        faults=clean_data(_faults(parts)),
    )


async def schema(_request: web.Request) -> web.Response:
    """The JSON Schema for editors."""
    return web.Response(text=yaml_schema.text(), content_type="application/schema+json")


def count_of_faults(parts: Parts, speaker: Speaker) -> int:
    """How many files have mistakes, for who may see them."""
    if not may(speaker.person.role, MAY):
        return 0
    return len({one.file for one in parts.flows.troubles()})


def _faults(parts: Parts) -> list[dict[str, Any]]:
    return [
        {"file": one.file, "line": one.line, "says": one.says, "stays": one.stays}
        for one in parts.flows.troubles()
    ]


def add_flows(app: web.Application) -> None:
    """Add the routes."""
    app.router.add_get("/flows", flows, allow_head=False)
    app.router.add_get("/schemas/chatflow.json", schema)
