"""Open sessions when a flow's version changes: those with a rule come over, what nobody needs is collected.

Rule 1: a session comes over by an event of its own (`Migrated`), committed like any other, once per version.
Rule 2: it is looked at when a flow is published, when this process starts, and after each commit of a session
that was in the middle of a step. Rule 3: a compiled version is thrown away only when it is neither current
nor in a flow's history, and no open session runs on it, came by it or may still call it.
"""

from __future__ import annotations

import asyncio

import structlog

from bot.engine import migrate
from bot.engine.events import Migrated
from bot.engine.ready import Ready
from bot.engine.refusals import Gone, NoSuchFlow, NoSuchSession, Spoken
from bot.engine.session import Session
from bot.runtime.ports import Clock, FlowBook
from bot.runtime.turns import Turns
from bot.store import Store, Tampered

log = structlog.get_logger("runtime")

PAGE = 200
COLLECT_EVERY_S = 6 * 3600.0
AGAIN_S = 5.0  # after the store was away


class Versions:
    """Runs between `start` and `stop`."""

    def __init__(self, store: Store, turns: Turns, flows: FlowBook, now_ms: Clock) -> None:
        self._store, self._turns, self._flows, self._now_ms = store, turns, flows, now_ms
        self._tasks: list[asyncio.Task[None]] = []
        self._moving: set[asyncio.Task[None]] = set()
        self._looked: dict[str, str] = {}  # flow -> the version that its sessions were looked at for
        self.touched: dict[str, dict[str, int]] = {}  # flow -> what became of its open sessions, counted
        turns.outdated = self._outdated

    def start(self) -> None:
        """Begin to look after published flows."""
        self._tasks = [
            asyncio.create_task(self._follow(), name="flow versions"),
            asyncio.create_task(self._collect_often(), name="old flow versions"),
        ]

    async def stop(self) -> None:
        """Stop; what is not done is done by the next process."""
        left = [*self._tasks, *self._moving]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def open_sessions(self, flow: str) -> list[Session]:
        """The open sessions of a flow. A record that was changed by hand is left out; it has its alarm."""
        found: list[Session] = []
        after = ""
        while True:
            page = await self._store.session_ids(state="open", flow=flow, after=after, limit=PAGE)
            for id in page.ids:
                try:
                    session = await self._turns.load(id)
                except (NoSuchSession, Tampered) as e:
                    log.info("session.not_listed", session=id, why=e.sentence)
                    continue
                if session.flow == flow and session.status == "open":
                    found.append(session)
            after = page.after
            if not after:
                return found

    async def ended_sessions(self, flow: str, *, most: int) -> list[Session]:
        """The newest sessions of a flow that have ended."""
        page = await self._store.session_ids(state="ended", flow=flow, limit=most)
        found: list[Session] = []
        for id in page.ids:
            try:
                found.append(await self._turns.load(id))
            except (NoSuchSession, Tampered) as e:
                log.info("session.not_listed", session=id, why=e.sentence)
        return found

    async def collect(self) -> list[str]:
        """Throw away the compiled versions that nobody needs. Returns them."""
        needed = set(self._flows.kept_anyway())
        after = ""
        while True:
            page = await self._store.session_ids(state="open", after=after, limit=PAGE)
            for id in page.ids:
                try:
                    session = await self._turns.load(id)
                except NoSuchSession:
                    continue
                except Tampered as e:  # what it runs on is not known, so nothing may be thrown away
                    log.warning("flow.nothing_collected", session=id, why=e.sentence)
                    return []
                needed |= versions_of(session)
            after = page.after
            if not after:
                break
        gone = await self._flows.collect(needed)
        if gone:
            log.info("flow.collected", versions=[version[:12] for version in gone])
        return gone

    async def _follow(self) -> None:
        while True:
            self._flows.published.clear()
            try:
                for ready in self._flows.flows():
                    await self._look_at(ready)
            except Spoken as e:
                log.info("flow.not_followed", why=e.sentence)
                await asyncio.sleep(AGAIN_S)
                continue
            except Exception:  # our bug; the next publication must not wait for its correction
                log.exception("flow.follow_failed")
            await self._flows.published.wait()

    async def _look_at(self, ready: Ready) -> None:
        name = ready.flow.name
        if self._looked.get(name) == ready.version:
            return
        first = name not in self._looked
        if ready.flow.migrates or not first:
            counts: dict[str, int] = {}
            for session in await self.open_sessions(name):
                if session.flow_version == ready.version:
                    continue
                await self._flows.bring(frame.version for frame in session.stack)
                kind = migrate.fate(self._flows, session, ready).kind
                counts[kind] = counts.get(kind, 0) + 1
                await self._move(session, ready)
            self.touched[name] = counts
            log.info("flow.published", flow=name, version=ready.version[:12], sessions=counts)
        self._looked[name] = ready.version

    async def _move(self, session: Session, to: Ready) -> None:
        if migrate.is_due(session, to) and migrate.fate(self._flows, session, to).kind in ("moves", "stays"):
            event = Migrated(at_ms=self._now_ms(), to=to.version)
            await self._turns.system_said(session.id, event, settled=())

    def _outdated(self, session: Session, to: Ready) -> None:
        """A session was committed that has yet to come over."""
        task = asyncio.create_task(self._move_later(session, to), name=f"version of {session.id}")
        self._moving.add(task)
        task.add_done_callback(self._moving.discard)

    async def _move_later(self, session: Session, to: Ready) -> None:
        try:
            await self._move(session, to)
        except (Gone, NoSuchFlow, Tampered) as e:  # looked at again with the next commit or start
            log.info("session.not_moved", session=session.id, why=e.sentence)

    async def _collect_often(self) -> None:
        while True:
            await asyncio.sleep(COLLECT_EVERY_S)
            try:
                await self.collect()
            except Spoken as e:
                log.info("flow.not_collected", why=e.sentence)
            except Exception:  # our bug; versions that lie around harm nobody
                log.exception("flow.collect_failed")


def versions_of(session: Session) -> set[str]:
    """Every version that a session runs on or may go back to."""
    stacks = [session.stack, *(crumb.stack for crumb in session.trail)]
    return {session.flow_version, *(frame.version for stack in stacks for frame in stack)}
