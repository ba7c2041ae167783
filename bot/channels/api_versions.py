"""Versions of chatflows: what publishing one would do, which there were, and the way back. For owners."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from bot.channels import schemas
from bot.channels.api_routes import Call
from bot.channels.web_guard import Speaker, body_of
from bot.channels.web_parts import PARTS
from bot.engine import compile


async def preview(request: web.Request, speaker: Speaker) -> web.Response:
    """Say what publishing compiled chatflows would do; nothing is published."""
    speaker.must("flows.publish")
    body = await body_of(request, schemas.PreviewFlows)
    versions = request.app[PARTS].versions
    flows = [compile.decode(raw.encode()) for raw in body.compiled]
    if body.flow:
        flows.append(await versions.earlier(body.flow, body.version))
    return _json(await versions.preview(flows))


async def history(request: web.Request, speaker: Speaker) -> web.Response:
    """List the publications of a chatflow, newest first."""
    speaker.must("flows.publish")
    items = request.app[PARTS].versions.history(request.match_info["flow"])
    return _json([msgspec.to_builtins(one) for one in reversed(items)])


async def back(request: web.Request, speaker: Speaker) -> web.Response:
    """Publish an earlier version again."""
    speaker.must("flows.publish")
    body = await body_of(request, schemas.GoBackTo)
    ready = await request.app[PARTS].versions.back(request.match_info["flow"], body.version)
    return _json([{"flow": ready.flow.name, "version": ready.version, "title": ready.flow.title}])


def _json(items: Any) -> web.Response:
    body = schemas.ListPage(items=msgspec.to_builtins(items))
    return web.Response(body=schemas.encoded(body), content_type="application/json")


VERSION_CALLS: tuple[Call, ...] = (
    Call("POST", "/flows/preview", "What publishing these versions would do", preview,
         body=schemas.PreviewFlows, returns=schemas.ListPage, errors=(403, 404, 413, 415, 422)),
    Call("GET", "/flows/{flow}/history", "The versions of a chatflow, newest first", history,
         returns=schemas.ListPage, errors=(403, 404)),
    Call("POST", "/flows/{flow}/back", "Publish an earlier version again", back,
         body=schemas.GoBackTo, returns=schemas.ListPage, errors=(403, 404, 413, 415, 422)),
)  # fmt: skip
