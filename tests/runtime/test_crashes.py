"""A bot that dies at any call, and a store that is killed: the session goes on, everything happens once."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from bot.audit import verify
from bot.engine.refusals import Gone
from bot.engine.session import Session
from bot.runtime import View, limits
from bot.store import EmbeddedStore
from tests.runtime.lab import ADMIN, ANNA, BEN, BOT, Killed, Lab, Someone, asks, is_over, until

T = TypeVar("T")
CARA = Someone("p-00000000000cara", "operator")
Told = list[tuple[int, str, str, int, str, str]]


class Client:
    """A person's browser: it repeats what was not answered with the same id, and reads on where it was."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.restarts = 0
        self.seen: list[int] = []

    async def play(self) -> Session:
        """Fetch an image, take it back, fetch it again."""
        session = (await self.call(lambda: self.lab.open("fetch"))).session
        session = (await self.answer(session, "nginx")).session
        await self.answer(session, True)
        session = await self.until(session.id, asks("more"))
        await self.call(
            lambda: self.lab.runtime.undo(person=ANNA, session_id=session.id, seq=session.seq, id="undo")
        )
        session = await self.until(session.id, asks("sure"))
        await self.answer(session, True)
        session = await self.until(session.id, asks("more"))
        return (await self.answer(session, "enough")).session

    async def answer(self, session: Session, value: object) -> View:
        return await self.call(lambda: self.lab.answer(session, value))

    async def until(self, session_id: str, holds: Callable[[Session], bool]) -> Session:
        async def read() -> Session:
            after = self.seen[-1] if self.seen else 0
            async with self.lab.runtime.watch(session_id, after=after) as updates:
                async for update in updates:
                    if update.kind == "entry":
                        self.seen.append(update.body.n)  # type: ignore[union-attr]
                    elif isinstance(update.body, Session) and holds(update.body):
                        return update.body
            raise AssertionError

        return await self.call(read)

    async def call(self, do: Callable[[], Awaitable[T]]) -> T:
        async with asyncio.timeout(60):
            while True:
                doing = asyncio.ensure_future(do())
                dying = asyncio.ensure_future(self.lab.was_killed.wait())
                await asyncio.wait({doing, dying}, return_when=asyncio.FIRST_COMPLETED)
                dying.cancel()
                if doing.done() and not isinstance(doing.exception(), Killed | Gone):
                    return doing.result()
                if self.lab.was_killed.is_set():
                    doing.cancel()
                    await asyncio.gather(doing, return_exceptions=True)
                    await self.restart()
                else:
                    await asyncio.sleep(0.1)

    async def restart(self) -> None:
        self.restarts += 1
        self.lab.kill_at = 0
        await self.lab.kill()
        await self.lab.begin()


async def told(lab: Lab, session: Session) -> Told:
    return [(e.n, e.kind, e.state, e.seq, e.order, e.outcome) for e in await lab.entries(session.id)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead process held is taken up at once, not after seconds."""
    monkeypatch.setattr(limits, "LEASE_MS", 250)
    monkeypatch.setattr(limits, "RENEW_S", 0.06)


@pytest.mark.usefixtures("quick")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.full), 4])
async def test_killed_at_any_call_a_session_goes_on_and_everything_happens_once(lab: Lab, every: int) -> None:
    client = Client(lab)
    session = await client.play()
    wanted, orders = await told(lab, session), sorted(lab.world.orders)
    await until(lab.outbox_is_empty)
    audited = verify(lab.folder / "audit").last
    assert audited > 8
    for n in itertools.count(1, every):
        await lab.end()
        await lab.fresh()
        await lab.begin()
        lab.points, lab.kill_at = 0, n
        client = Client(lab)
        session = await client.play()
        assert is_over(session), n
        assert await told(lab, session) == wanted, n
        assert client.seen == list(range(1, len(client.seen) + 1)), n
        assert sorted(lab.world.orders) == orders, n
        assert {known.carried_out for known in lab.world.orders.values()} == {1}, n
        await client.call(lambda: until(lab.outbox_is_empty))
        assert verify(lab.folder / "audit").last == audited, n
        if not client.restarts:
            assert n > 40
            break


class Waiter(Client):
    """Somebody whose sessions wait: for each other, for outside, for others."""

    async def play_all(self) -> list[Session]:
        """One session of each kind, and the one that was begun alongside."""
        family = (await self.call(lambda: self.lab.open("family", ref="nginx"))).session
        await self.answer(family, "well")
        family = await self.over(family.id)
        child = await self.over(family.children[0].session)
        build = (await self.call(lambda: self.lab.open("build", id="2", what="web"))).session
        await self.call(lambda: self.tell(build))
        ship = (await self.call(lambda: self.lab.open("ship", id="3", what="v2"))).session
        for who in (BEN, CARA):
            await self.call(partial(self.approve, ship, who))
        return [family, child, *[await self.over(one.id) for one in (build, ship)]]

    async def over(self, session_id: str) -> Session:
        self.seen.clear()
        return await self.until(session_id, is_over)

    async def tell(self, session: Session) -> View:
        return await self.lab.runtime.tell(
            person=ANNA, session_id=session.id, id="e", name="build.done", data={"ok": True}
        )

    async def approve(self, session: Session, who: Someone) -> View:
        return await self.lab.runtime.approve(person=who, session_id=session.id, id="v", yes=True)


@pytest.mark.usefixtures("quick")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.full), 13])
async def test_killed_at_any_call_sessions_that_wait_go_on_and_everything_happens_once(
    lab: Lab, every: int
) -> None:
    client = Waiter(lab)
    wanted = [await told(lab, session) for session in await client.play_all()]
    await until(lab.outbox_is_empty)
    audited = verify(lab.folder / "audit").last
    for n in itertools.count(1, every):
        await lab.end()
        await lab.fresh()
        await lab.begin()
        lab.points, lab.kill_at = 0, n
        client = Waiter(lab)
        sessions = await client.play_all()
        assert [await told(lab, session) for session in sessions] == wanted, n
        assert {known.carried_out for known in lab.world.orders.values()} == {1}, n
        await client.call(lambda: until(lab.outbox_is_empty))
        assert await client.call(lambda: lab.runtime.asked(BEN)) == [], n
        assert verify(lab.folder / "audit").last == audited, n
        if not client.restarts:
            assert n > 40
            break


@pytest.fixture
def own_valkey() -> Iterator[EmbeddedStore]:
    folder = Path(tempfile.mkdtemp(prefix="hr"))
    server = EmbeddedStore(folder, admin_password=ADMIN, bot_password=BOT, free_bytes=0)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())
    shutil.rmtree(folder)


@pytest.mark.usefixtures("quick")
async def test_store_killed_again_and_again_in_the_middle_loses_nothing(
    own_valkey: EmbeddedStore, tmp_path: Path
) -> None:
    lab = Lab(own_valkey, tmp_path)
    await lab.make_ready()
    await lab.begin()
    client = Client(lab)

    async def havoc() -> None:
        for pause_s in (0.05, 0.2, 0.4, 0.1, 0.3):
            await asyncio.sleep(pause_s)
            os.kill(own_valkey.pid, signal.SIGKILL)
            await asyncio.sleep(0.1)
            await own_valkey.start()

    breaking = asyncio.create_task(havoc())
    for id in ("one", "two", "three"):
        session = (await client.call(partial(lab.open, "fetch", id=id))).session
        session = (await client.answer(session, "nginx")).session
        await client.answer(session, True)
        session = await client.until(session.id, asks("more"))
        client.seen.clear()
        session = (await client.answer(session, "enough")).session
        assert is_over(session)
        entries = await client.call(partial(lab.entries, session.id))
        assert [e.n for e in entries] == list(range(1, len(entries) + 1))
    await breaking
    assert {known.carried_out for known in lab.world.orders.values()} == {1}
    assert len(lab.world.orders) == 6
    await client.call(lambda: until(lab.outbox_is_empty))
    assert verify(tmp_path / "audit").last == 3 * 6
    await lab.end()
