"""The store as the other rooms see it. What each call promises stands in the module that carries it out.

Every call may raise StoreGone: the outcome is unknown then and the call may be repeated (a commit with the
same `by`). Every call that returns stored bytes may raise Tampered: the record is parked then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal, Self

import structlog

from bot.store import keys, limits
from bot.store.commits import Commit, Commits, Committed, Loaded, Repeated, Superseded, within
from bot.store.errors import StoreEmptied, StoreError, Tampered, UnfitStore
from bot.store.hints import Hint, Hints, Watcher
from bot.store.indexes import Indexes, SessionPage
from bot.store.keys import Kind
from bot.store.outbox import Leased, Outbox
from bot.store.parking import Alarm, Parking, now_ms
from bot.store.records import Record, RecordPage, Records
from bot.store.tags import Tags
from bot.store.wire import Wire, open_client, shown

log = structlog.get_logger("store")


class Store:
    """One connection of one process to the store. Made by `connect`, ended by `close`."""

    def __init__(
        self, wire: Wire, tag_key: bytes, installation: str, clock: Callable[[], int] = now_ms
    ) -> None:
        self._wire, self._tags, self._installation, self._clock = wire, Tags(tag_key), installation, clock
        self._parking = Parking(wire, clock)
        self._commits = Commits(wire, self._tags, self._parking, clock)
        self._outbox = Outbox(wire, self._tags, self._parking, clock)
        self._records = Records(wire, self._tags, self._parking, clock)
        self._indexes = Indexes(wire, self._commits)
        self._hints = Hints(wire, self._tags, on_ready=self._outbox.note, on_gap=self._outbox.forget_all)
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        user: str,
        password: str,
        tag_key: bytes,
        installation: str,
        clock: Callable[[], int] = now_ms,
    ) -> Self:
        """Connect with the bot's user to a store that `bot.store.setup.prepare` has made ready.

        `url` is redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH. Raises UnfitStore, StoreEmptied,
        Tampered, StoreGone.
        """
        wire = Wire(await open_client(url, user=user, password=password), url)
        store = cls(wire, tag_key, installation, clock)
        try:
            await store.ping()
        except BaseException:
            await wire.close()
            raise
        store._tasks = [
            asyncio.create_task(store._hints.listen(), name="store hints"),
            asyncio.create_task(store._sweep(), name="store sweep"),
        ]
        for task in store._tasks:
            task.add_done_callback(_say_if_failed)
        return store

    async def close(self) -> None:
        """End the background tasks and the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._wire.close()

    async def ping(self) -> None:
        """Raises unless the store answers and is this installation's."""
        schema, raw = await self._wire.call("meta", [keys.SCHEMA_KEY, keys.INSTALLATION], reads=True)
        check_meta(schema, raw, self._tags, self._installation, self._wire.url)

    # Sessions
    async def commit(self, c: Commit) -> Committed | Repeated | Superseded:
        """Write session, transcript, effects and timers in one call, or nothing.

        Repeated carries the first outcome, Superseded the present session. Raises IdReused, OutOfStep,
        TooLarge, Tampered, StoreEmptied; StoreGone when the outcome is unknown: repeat with the same `by`.
        """
        outcome, moved = await self._commits.commit(c)
        if isinstance(outcome, Committed):
            for _, due_ms, _ in (*c.effects, *c.timers):
                self._outbox.note(keys.shard(c.session_id), due_ms)
            if moved:
                await self._index(c, outcome.version)
        return outcome

    async def load(self, session_id: str) -> Loaded | None:
        """The session, None when there is none."""
        return await self._commits.load(session_id)

    def remembered(self, session_id: str) -> bytes | None:
        """The record of an open session as this process committed it last, maybe out of date, or None.

        Only to make a commit from: that is superseded when the store has anything else by now.
        """
        return self._commits.remembered(session_id)

    async def entries(self, session_id: str, after: int = 0, limit: int = 500) -> list[tuple[int, bytes]]:
        """Entries of the transcript from number `after` + 1."""
        return await self._commits.entries(session_id, after, limit)

    async def session_ids(
        self,
        person: str | None = None,
        *,
        state: Literal["open", "ended"] | None = "open",
        flow: str | None = None,
        after: str = "",
        limit: int = 50,
    ) -> SessionPage:
        """Sessions of a person (or of a flow, or all), newest first; both states: the open ones first."""
        begun, _, rest = after.partition("|")
        states: list[str] = [state] if state else ["open", "ended"]
        if begun:
            states = states[states.index(begun) :] if begun in states else []
        ids: list[str] = []
        for one in states:
            left = limit - len(ids)
            if person is not None:
                page = await self._indexes.of("person", person, one, rest, left)
            elif flow is not None:
                page = await self._indexes.of("flow", flow, one, rest, left)
            else:
                page = await self._indexes.everywhere(one, rest, left)
            rest = ""
            ids += page.ids
            if page.after:
                return SessionPage(ids=ids, after=f"{one}|{page.after}")
            if len(ids) >= limit and one != states[-1]:
                return SessionPage(ids=ids, after=f"{states[states.index(one) + 1]}|")
        return SessionPage(ids=ids)

    async def rebuild_indexes(self) -> int:
        """Write the lists of persons and flows again from the sessions; how many sessions there are."""
        return await self._indexes.rebuild()

    # Effects and timers
    @property
    def woken(self) -> asyncio.Event:
        """Set when something may be due sooner than known; the one who waits clears it."""
        return self._outbox.woken

    async def lease(self, now_ms: int, *, lease_ms: int = 30_000, limit: int = 100) -> list[Leased]:
        """Effects and timers that are due, over all shards, for `lease_ms`."""
        return await self._outbox.lease(now_ms, lease_ms=lease_ms, limit=limit)

    async def wait_due(self, at_most_s: float = 60.0) -> None:
        """Return when something may be due, or after `at_most_s`. For one waiting task."""
        await self._outbox.wait_due(at_most_s)

    async def release(self, leased: Leased, retry_at_ms: int) -> bool:
        """Give it back, due again at `retry_at_ms`. False: it is settled or somebody else's by now."""
        return await self._outbox.release(leased, retry_at_ms)

    async def settle(self, *leased: Leased) -> int:
        """End effects that lead to no commit. How many were still there."""
        return await self._outbox.settle(leased)

    # Generic records
    async def put(
        self,
        kind: Kind,
        id: str,
        body: bytes,
        *,
        seen: int | None = None,
        expires_ms: int | None = None,
    ) -> int:
        """Write; the new version. `seen` None = whatever is there, 0 = must not exist. Raises Conflict."""
        return await self._records.put(kind, id, body, seen=seen, expires_ms=expires_ms)

    async def get(self, kind: Kind, id: str) -> Record | None:
        """The record, None when there is none or its time is over."""
        return await self._records.get(kind, id)

    async def take(self, kind: Kind, id: str) -> Record | None:
        """Get and delete: of many callers at once, one gets it."""
        return await self._records.take(kind, id)

    async def delete(self, kind: Kind, id: str) -> bool:
        """Delete, even when parked. False: there was none."""
        return await self._records.delete(kind, id)

    async def all(self, kind: Kind, *, after: str = "", limit: int = 100) -> RecordPage:
        """A page of the records of a kind; parked and expired ones are left out."""
        return await self._records.all(kind, after=after, limit=limit)

    # Hints and progress
    def watch(self, session_id: str) -> AsyncGenerator[Hint, None]:
        """Hints of a session; the first comes at once and means: read. Close it (contextlib.aclosing)."""
        return self._hints.watch(session_id)

    def watching(self, session_id: str) -> AbstractAsyncContextManager[Watcher]:
        """The same for a reader who keeps its own time."""
        return self._hints.watching(session_id)

    async def say_progress(self, session_id: str, body: bytes) -> None:
        """Tell who watches; the last PROGRESS_ENTRIES are kept for a day."""
        within("progress", body, limits.PROGRESS_BYTES)
        name = keys.progress(keys.checked(session_id))
        await self._wire.call(
            "progress",
            [name],
            self._tags.stamp(name, body),
            limits.PROGRESS_ENTRIES,
            limits.PROGRESS_KEPT_MS,
            keys.session_channel(session_id),
        )

    async def progress(self, session_id: str, limit: int = 1) -> list[bytes]:
        """The latest progress, newest first. What fails its tag is left out: it is telemetry."""
        name = keys.progress(keys.checked(session_id))
        out = []
        try:
            for _, fields in await self._wire.call("latest", [name], limit, reads=True):
                out.append(self._tags.check(name, fields[1]).body)
        except Tampered as bad:
            await self._parking.park(bad)
        return out

    # Alarms
    async def alarms(self) -> list[Alarm]:
        """Everything parked, oldest first."""
        return await self._parking.alarms()

    async def clear_alarm(self, key: str) -> bool:
        """Forget that a record is parked, after it was put right."""
        return await self._parking.clear(key)

    def on_alarm(self, call: Callable[[Alarm], None]) -> None:
        """Have `call` called for each new find of this process."""
        self._parking.on_alarm = call

    async def _index(self, c: Commit, version: int) -> None:
        try:
            await self._indexes.write(
                c.session_id, version, open=c.open, person=c.person, flow=c.flow, at_ms=self._clock()
            )
        except StoreError as later:  # the session is committed; the sweep fills the lists
            log.info("store.indexed_later", session=c.session_id, why=later.sentence)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(limits.SWEEP_S)
            try:
                await self._look_at_all()
            except StoreError as failed:
                log.info("store.sweep_failed", code=failed.code, why=failed.sentence)

    async def _look_at_all(self) -> None:
        """Find out what hints may have missed; fill lists that a dead process left."""
        notes = [self._outbox.notes(number) for number in range(limits.SHARDS)]
        answers = await self._wire.gather(
            [
                self._wire.call(
                    "look",
                    [keys.made(number), keys.ready(number), keys.unindexed(number)],
                    reads=True,
                )
                for number in range(limits.SHARDS)
            ]
        )
        for number, answer in enumerate(answers):
            if isinstance(answer, Tampered):
                await self._parking.park(Tampered(key=keys.types(number), why=answer.why))
            elif isinstance(answer, BaseException):
                raise answer
            else:
                made, next_due, unindexed = answer
                if made != keys.SCHEMA.encode():
                    log.error("store.emptied", shard=number)
                    return
                self._outbox.looked(number, notes[number], next_due)
                if unindexed:
                    await self._indexes.fill(number, self._clock())


def _say_if_failed(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        log.error("store.task_failed", task=task.get_name(), exc_info=error)


def check_meta(schema: bytes | None, raw: bytes | None, tags: Tags, installation: str, url: str) -> None:
    """Raises unless the marks in the store are those of this release and installation."""
    if schema is None or raw is None:
        raise StoreEmptied()
    if schema != keys.SCHEMA.encode():
        raise UnfitStore(
            where=shown(url),
            why=f"it was written by another release (schema {schema.decode(errors='replace')[:20]})",
            how="Start the release that wrote it, or restore a backup of this one.",
        )
    try:
        found = tags.check(keys.INSTALLATION, raw).body.decode(errors="replace")
    except Tampered as bad:
        raise UnfitStore(
            where=shown(url),
            why="it belongs to another installation, or this one has other keys",
            how="Give each installation its own store; bots of one installation share one key directory.",
        ) from bad
    if found != installation:
        raise UnfitStore(
            where=shown(url),
            why=f"it belongs to installation {found}, and this is {installation}",
            how="Give each installation a store of its own.",
        )
