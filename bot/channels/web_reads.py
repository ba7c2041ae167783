"""Reads wait while the store is away for a moment, as a restart of it takes: nobody sees an error for that.

A GET changes nothing, so it is simply tried again. What changes something is not: the runtime asks for the
outcome of a commit again under its own id.
"""

from __future__ import annotations

import asyncio
import time

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from bot.engine.refusals import Gone

WAIT_S = 5.0  # a person waits that long for a page; after that the page says that it reconnects
PAUSE_S = 0.1  # between two tries: a store on this machine is back within a second
AWAY = "store_gone"  # a store that is full or was emptied is not away: waiting mends neither
READING = frozenset({"GET", "HEAD"})
log = structlog.get_logger("hercules.web")


@web.middleware
async def reads_wait(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Try a read again while the store is away. Raises Gone when it stays away for WAIT_S."""
    if request.method not in READING:
        return await handler(request)
    until: float | None = None  # from the first failure on: a long poll may have waited for an hour before
    while True:
        try:
            return await handler(request)
        except Gone as gone:
            now = time.monotonic()
            if gone.code != AWAY or (until is not None and now >= until):
                raise
            if until is None:
                until = now + WAIT_S
                log.debug("http.read_waits", code=gone.code)
        await asyncio.sleep(PAUSE_S)
