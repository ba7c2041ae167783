"""What happens in a session, as it happens: never a gap, never a repeat.

What this process commits is handed over as it is committed, if it is the version that comes next. Of all
else the store's hints only say "look"; entries are read by their number, so what a hint lost is read with
the next one, or after LOOK_S at the latest. The prompt comes after the entries that led to it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Literal

import msgspec
import structlog

from agent.orders.results import Progress
from bot.engine import unsure
from bot.engine.refusals import Gone
from bot.engine.session import UNDER_WAY, Entry, Session
from bot.engine.step import Step
from bot.runtime import limits, records
from bot.runtime.turns import Turns
from bot.store import Store, Watcher

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
    async with _watching(store, turns, session_id) as (watcher, steps):
        while True:
            await watcher.event.wait()
            watcher.event.clear()
            while watcher.progress:
                if progress := _progress(watcher.progress.popleft()):
                    yield Update(kind="progress", body=progress)
            while steps:  # committed by this process: nothing to read, if it is what comes next
                step = steps.popleft()
                session = step.session
                if before is None or session.version > before.version + 1:
                    watcher.look(session.version)
                elif session.version == before.version + 1:
                    for entry in step.entries:
                        if entry.n > n:
                            yield Update(kind="entry", body=entry)
                            n = entry.n
                    yield Update(kind="options" if _is_same(before, session) else "prompt", body=session)
                    before = session
            known = before.version if before else 0
            if watcher.ahead <= known + turns.commits(session_id):
                continue  # nothing new, or what our own commits come to will be told
            watcher.ahead = 0
            try:
                session = turns.shown(await turns.load(session_id))
                while n < session.entries:  # what came after the session was read comes with its own hint
                    limit = min(limits.ENTRIES_AT_ONCE, session.entries - n)
                    for number, raw in await store.entries(session_id, n, limit):
                        yield Update(kind="entry", body=records.entry_of(raw))
                        n = number
                latest = await _latest(store, session) if before is None else []
            except Gone as gone:
                log.info("session.watch_waits", session=session_id, why=gone.sentence)
                continue
            for one in latest:
                yield Update(kind="progress", body=one)
            if before is None or before.version != session.version:
                yield Update(kind="options" if _is_same(before, session) else "prompt", body=session)
                before = session


@asynccontextmanager
async def _watching(
    store: Store, turns: Turns, session_id: str
) -> AsyncIterator[tuple[Watcher, deque[Step]]]:
    """What the store tells, with a look of our own every LOOK_S, and what this process commits."""
    async with store.watching(session_id) as watcher:
        looking = _Looking(watcher)
        try:
            with turns.told(session_id, watcher.event) as steps:
                yield watcher, steps
        finally:
            looking.timer.cancel()


class _Looking:
    """Has a watcher look every LOOK_S."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._wait()

    def _wait(self) -> None:
        self.timer = asyncio.get_running_loop().call_later(limits.LOOK_S, self._look)

    def _look(self) -> None:
        self._watcher.look()
        self._wait()


def _is_same(before: Session | None, now: Session) -> bool:
    """Whether the same prompt is shown."""
    return before is not None and None not in (before.shown, now.shown) and before.seq == now.seq


async def _latest(store: Store, session: Session) -> list[Progress]:
    """How far the orders are that the session waits for."""
    if session.waiting is None or session.waiting.kind not in UNDER_WAY:
        return []
    known = [_progress(body) for body in await store.progress(session.id)]
    return [one for one in known if one is not None and unsure.is_asked_on(session, one.order)]


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
