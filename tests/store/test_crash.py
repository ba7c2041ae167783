"""kill -9 of Valkey in a stream of commits: nothing acknowledged is lost, nothing happens twice.

Counted through, not rolled for: the n-th acknowledgement pulls the trigger, with the other callers' commits
somewhere on their way; then everybody repeats what was left unanswered, with the same ids.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.store import Committed, EmbeddedStore, Repeated, Store, StoreGone, Superseded
from tests.store.steps import ADMIN, BOT, NOW, connect, make_ready, step, until

CALLERS, STEPS = 6, 5


@pytest.fixture
async def server(folder: Path) -> AsyncIterator[EmbeddedStore]:
    made = EmbeddedStore(folder, admin_password=ADMIN, bot_password=BOT, free_bytes=0)
    await made.start()
    await make_ready(made)
    yield made
    await made.stop()


class Stream:
    """CALLERS sessions of STEPS commits each. `kill_at`: after which acknowledgement Valkey dies."""

    def __init__(self, server: EmbeddedStore, store: Store, kill_at: int) -> None:
        self.server, self.store, self.kill_at = server, store, kill_at
        self.acknowledged: dict[str, int] = {}
        self.repeated = self.count = 0
        self.was_killed = False
        self.back = asyncio.Event()
        self.name = f"s-{kill_at}"

    async def play(self) -> None:
        revival = asyncio.create_task(self.revive())
        await asyncio.gather(*(self.caller(f"{self.name}-{n}") for n in range(CALLERS)))
        if revival.done():
            revival.result()
        revival.cancel()

    async def caller(self, session_id: str) -> None:
        for seen in range(STEPS):
            commit = step(
                seen,
                session_id=session_id,
                effects=[(f"f-{session_id}-{seen}", NOW, b"")],
                settled=[f"f-{session_id}-{seen - 1}"],
            )
            while True:
                try:
                    outcome = await self.store.commit(commit)
                except StoreGone:
                    await self.back.wait()
                    continue
                assert not isinstance(outcome, Superseded), outcome
                self.repeated += isinstance(outcome, Repeated)
                assert isinstance(outcome, Committed) or outcome.outcome == commit.outcome
                self.acknowledged[session_id] = seen + 1
                self.count += 1
                if self.count == self.kill_at:
                    os.kill(self.server.pid, signal.SIGKILL)
                    self.was_killed = True
                break

    async def revive(self) -> None:
        await self.server.wait()
        before = dict(self.acknowledged)
        try:
            await self.server.start()
            for session_id, version in before.items():
                loaded = await self.loaded(session_id)
                assert loaded >= version, f"{session_id}: {version} was acknowledged, {loaded} is there"
        finally:
            self.back.set()

    async def loaded(self, session_id: str) -> int:
        loaded = await self.store.load(session_id)
        assert loaded is not None
        return loaded.version

    async def broken_invariants(self) -> list[str]:
        broken = []
        for n in range(CALLERS):
            session_id = f"{self.name}-{n}"
            if await self.loaded(session_id) != STEPS:
                broken.append(f"{session_id} has another version than it had commits")
            if await self.store.entries(session_id) != [
                (n + 1, f"entry {n + 1}".encode()) for n in range(STEPS)
            ]:
                broken.append(f"{session_id} has other entries than it was given")
        leased = await self.store.lease(NOW, lease_ms=60_000, limit=1000)
        left = sorted(one.effect_id for one in leased if one.session_id.startswith(f"{self.name}-"))
        if left != sorted(f"f-{self.name}-{n}-{STEPS - 1}" for n in range(CALLERS)):
            broken.append(f"effects left: {left}")
        listed = (await self.store.session_ids("p-1", limit=1000)).ids
        if not {f"{self.name}-{n}" for n in range(CALLERS)} <= set(listed):
            broken.append("a session is not in its person's list")
        if await self.store.alarms():
            broken.append("something was parked")
        return broken


async def test_nothing_acknowledged_is_lost_whenever_the_store_is_killed(server: EmbeddedStore) -> None:
    store = await connect(server)
    repeated = 0
    for kill_at in range(1, CALLERS * STEPS + 2):
        stream = Stream(server, store, kill_at)
        await asyncio.wait_for(stream.play(), 30)
        if stream.was_killed and not stream.back.is_set():  # killed after the last one was acknowledged
            await server.wait()
            await server.start()

        async def answers() -> bool:
            try:
                await store.ping()
            except StoreGone:
                return False
            return True

        await until(answers)
        await store._look_at_all()  # what the sweep does by itself within five seconds
        assert await stream.broken_invariants() == [], f"killed at acknowledgement {kill_at}"
        repeated += stream.repeated
        if not stream.was_killed:
            break
    else:
        pytest.fail("the last round was to be without a kill")
    await store.close()


async def test_cut_connection_in_the_middle_of_commits_is_survived_by_repeating(
    server: EmbeddedStore,
) -> None:
    from redis.asyncio import Redis

    store = await connect(server)
    admin = Redis(unix_socket_path=str(server.socket), username=server.admin_user, password=ADMIN)
    done = 0

    async def caller(number: int) -> None:
        nonlocal done
        for seen in range(20):
            while True:
                try:
                    outcome = await store.commit(step(seen, session_id=f"s-{number}"))
                except StoreGone:
                    continue
                assert not isinstance(outcome, Superseded)
                break
        done += 1

    async def cutter() -> None:
        while done < 10:
            await admin.client_kill_filter(_type="normal", skipme=True)
            await asyncio.sleep(0.01)

    await asyncio.wait_for(asyncio.gather(cutter(), *(caller(n) for n in range(10))), 60)
    for n in range(10):
        assert len(await store.entries(f"s-{n}")) == 20
    await admin.aclose()
    await store.close()
