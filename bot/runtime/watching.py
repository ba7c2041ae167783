"""What happens in a session, as it happens: never a gap, never a repeat.

The store's hints only say "look"; entries are read by their number, so what a hint lost is read with the next
one, or after LOOK_S at the latest. The prompt comes after the entries that led to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

import msgspec
import structlog

from agent.orders.results import Progress
from bot.engine.refusals import Gone
from bot.engine.session import Entry, Session
from bot.runtime import limits, records
from bot.runtime.turns import Turns
from bot.store import Hint, Store

log = structlog.get_logger("runtime")


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened. `body` is an Entry, a Session (prompt, options) or a Progress.

    `prompt`: the session stands elsewhere now. `options`: the same prompt, filled in by its lookup.
    """

    kind: Literal["entry", "prompt", "options", "progress"]
    body: Entry | Session | Progress


async def updates(
    store: Store, turns: Turns, session_id: str, after: int | None
) -> AsyncGenerator[Update, None]:
    """Entries after number `after` (None: those to come), where the session stands, and every change."""
    before: Session | None = None
    n = after if after is not None else (await turns.load(session_id)).entries
    async with aclosing(_hints(store, session_id)) as hints:
        async for hint in hints:
            if hint.kind == "progress":
                if progress := _progress(hint.body):
                    yield Update(kind="progress", body=progress)
                continue
            try:
                session = records.public(await turns.load(session_id))
                while n < session.entries:  # what came after the session was read comes with its own hint
                    limit = min(limits.ENTRIES_AT_ONCE, session.entries - n)
                    for number, raw in await store.entries(session_id, n, limit):
                        yield Update(kind="entry", body=records.entry_of(raw))
                        n = number
                progress = await _latest(store, session) if before is None else None
            except Gone as gone:
                log.info("session.watch_waits", session=session_id, why=gone.sentence)
                continue
            if progress:
                yield Update(kind="progress", body=progress)
            if before is None or before.version != session.version:
                yield Update(kind="options" if _is_same(before, session) else "prompt", body=session)
                before = session


def _is_same(before: Session | None, now: Session) -> bool:
    """Whether the same prompt is shown."""
    return before is not None and None not in (before.shown, now.shown) and before.seq == now.seq


async def _latest(store: Store, session: Session) -> Progress | None:
    """How far the order is that the session waits for."""
    if session.waiting is None or session.waiting.kind not in ("order", "undo"):
        return None
    for body in await store.progress(session.id):
        progress = _progress(body)
        if progress and progress.order == session.waiting.id:
            return progress
    return None


async def _hints(store: Store, session_id: str) -> AsyncGenerator[Hint, None]:
    """The store's hints, and one of our own where none came for a while."""
    async with aclosing(store.watch(session_id)) as hints:
        coming: asyncio.Task[Hint] | None = None
        try:
            while True:
                coming = coming or asyncio.create_task(_next(hints))
                await asyncio.wait({coming}, timeout=limits.LOOK_S)
                if not coming.done():
                    yield Hint(kind="entries")
                    continue
                hint, coming = coming.result(), None
                yield hint
        finally:
            if coming:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)


async def _next(hints: AsyncGenerator[Hint, None]) -> Hint:
    return await anext(hints)


def _progress(body: bytes) -> Progress | None:
    try:
        return msgspec.json.decode(body, type=Progress)
    except msgspec.MsgspecError:  # of another release: telemetry
        return None


async def wait_for_entries(store: Store, session_id: str, after: int, wait_s: float) -> None:
    """Return when the session has an entry after number `after`, or after `wait_s`."""
    try:
        async with asyncio.timeout(wait_s), aclosing(store.watch(session_id)) as hints:
            async for hint in hints:
                if hint.kind == "entries" and await store.entries(session_id, after, 1):
                    return
    except TimeoutError:
        return
