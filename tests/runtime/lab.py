"""An installation for tests: real store, engine, book of flows and audit; a fleet that is made here.

`Lab.begin` starts a bot process's worth of parts on the store, `Lab.kill` takes them away without a word, as
a kill -9 does: tasks end where they are, and the connection is dropped. `Lab.kill_at` has that happen at
the n-th call of the store or the fleet.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from agent.orders.results import Problem, Result
from bot.audit import AuditLog
from bot.engine.effects import AskFacts, SendOrder
from bot.engine.events import FactsCame
from bot.engine.ids import derived
from bot.engine.refusals import Gone
from bot.engine.session import Entry, Session
from bot.plugins.book import FlowBook
from bot.runtime import KeptFlows, Runtime, View
from bot.store import EmbeddedStore, Store
from bot.store.setup import BOT_USER, prepare

ADMIN, BOT = "a" * 32, "b" * 32
TAG_KEY, BODY_KEY = b"k" * 32, b"f" * 32
INSTALLATION = "i-0000000000000001"
NODE = "n-0000000000000001"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Someone:
    id: str
    role: str = "owner"


ANNA = Someone("p-000000000000anna")
BEN = Someone("p-0000000000000ben", "operator")
OWNER = Someone("p-00000000000owner")


@dataclass(frozen=True)
class FakeNode:
    id: str = NODE
    online: bool = True


@dataclass
class Known:
    """An order as the fake fleet (and the node behind it) knows it."""

    effect: SendOrder
    session: str
    handed_ms: int = 0
    sent: int = 0
    carried_out: int = 0
    result: Result | None = None
    withdrawn: bool = False
    kept: bool = False


Answering = Callable[[SendOrder], Result | None]


@dataclass
class World:
    """What outlives a bot process: nodes with their journals, and the fleet's records of orders."""

    orders: dict[str, Known] = field(default_factory=dict)
    offline: bool = False
    answering: Answering | None = None
    secrets: list[str] = field(default_factory=list)
    facts: Callable[[AskFacts], Awaitable[FactsCame]] | None = None


def done(effect: SendOrder, **facts: Any) -> Result:
    return Result(
        order=effect.id,
        node=effect.node,
        verb=effect.order["verb"],
        outcome="done",
        facts=facts,
        started_ms=1,
        ended_ms=2,
    )


def failed(effect: SendOrder, code: str = "internal") -> Result:
    problem = Problem(code=code, says="It did not work.", do="Try again.")
    return Result(
        order=effect.id, node=effect.node, verb=effect.order["verb"], outcome="failed", problem=problem
    )


def well(effect: SendOrder) -> Result:
    """What a node answers when all goes well."""
    if effect.order["verb"] == "image.resolve":
        digest = "sha256:" + "0" * 64
        pin = {"reference": effect.order["reference"], "repository": "docker.io/library/x", "digest": digest}
        return done(effect, digest=digest, pin=pin)
    return done(effect)


class FakeFleet:
    """The port `bot.runtime.ports.Fleet` over a `World`; results come back in tasks of their own."""

    def __init__(self, world: World, at_point: Callable[[], None]) -> None:
        self.world, self._at_point = world, at_point
        self.on_result: Callable[[str, Result], Awaitable[None]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, effect: SendOrder) -> None:
        self._at_point()
        known = self.world.orders.setdefault(effect.id, Known(effect, effect.session))
        assert known.effect == effect, "an order's id came with another content"
        known.sent += 1
        if self.world.offline:
            raise Gone()
        known.handed_ms = known.handed_ms or now_ms()
        if known.result is None:  # the node's journal: carried out once, answered from then on
            result = (self.world.answering or well)(effect)
            if result is None:
                return
            known.carried_out += 1
            known.result = result
        self.tell(effect.id)
        self._at_point()

    def tell(self, order_id: str) -> None:
        """Say the result until it was taken, as the fleet does."""
        task = asyncio.create_task(self._tell(order_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, order_id: str) -> None:
        result = self.world.orders[order_id].result
        while result is not None and self.on_result is not None:
            try:
                await self.on_result(order_id, result)
            except Gone:
                await asyncio.sleep(0.05)
            else:
                self.world.orders[order_id].kept = True
                return

    def resume(self) -> None:
        """Nodes say again what was not acknowledged."""
        for id, known in self.world.orders.items():
            if known.result is not None and not known.kept:
                self.tell(id)

    async def withdraw(self, order: str) -> bool:
        self._at_point()
        known = self.world.orders.get(order)
        if known is None:
            return True
        if known.handed_ms and not known.withdrawn:
            return False
        known.withdrawn = True
        return True

    async def order(self, id: str) -> Known | None:
        self._at_point()
        return self.world.orders.get(id)

    async def facts(self, effect: AskFacts) -> FactsCame:
        self._at_point()
        if self.world.facts is not None:
            return await self.world.facts(effect)
        options = [{"value": f"c{n}", "label": f"c{n}", "data": {"name": f"c{n}"}} for n in range(3)]
        return FactsCame(at_ms=now_ms(), lookup_id=effect.id, facts={"options": options})

    async def nodes(self) -> list[FakeNode]:
        return [FakeNode()]

    def seal(self, node: str, plaintext: str) -> dict[str, Any]:
        """As a sealed box: nothing of the plaintext is left in it."""
        self.world.secrets.append(plaintext)
        box = base64.b64encode(derived("x", plaintext, time.time_ns(), length=40).encode()).decode()
        return {"node": node, "for_node": box, "for_recovery": box}

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Killed(BaseException):
    """The process died here. No except clause of ours catches it."""


class Lab:
    """See the module."""

    def __init__(self, server: EmbeddedStore, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.world = World()
        self.ahead_ms = 0  # of the real clock
        self.points = 0
        self.kill_at = 0
        self.was_killed = asyncio.Event()
        self.plugin_folder = folder / "chatflows.d"
        self.plugin_folder.mkdir()

    def now_ms(self) -> int:
        """The clock of this installation."""
        return now_ms() + self.ahead_ms

    def admin(self) -> Redis:
        """The operator's, and the attacker's, way into the store."""
        return Redis(
            unix_socket_path=str(self.server.socket), username=self.server.admin_user, password=ADMIN
        )

    async def outbox(self) -> list[bytes | str]:
        """The ids of all effects and timers that are in the store."""
        async with self.admin() as client:
            found = [key async for key in client.scan_iter("h1:*:effects")]
            return [id for key in found for id in await client.hkeys(key)]

    async def outbox_is_empty(self) -> bool:
        return not await self.outbox()

    async def make_ready(self) -> None:
        async with self.admin() as client:
            await client.flushall()
        await prepare(
            self.server.url,
            user=self.server.admin_user,
            password=ADMIN,
            bot_password=BOT,
            tag_key=TAG_KEY,
            installation=INSTALLATION,
        )

    async def fresh(self) -> None:
        """Everything new: store, world, audit."""
        await self.make_ready()
        self.world = World()
        shutil.rmtree(self.folder / "audit", ignore_errors=True)

    async def begin(self, *, start: bool = True) -> None:
        """Start a bot's parts."""
        self.was_killed.clear()
        self.store = await Store.connect(
            self.server.url,
            user=BOT_USER,
            password=BOT,
            tag_key=TAG_KEY,
            installation=INSTALLATION,
            clock=self.now_ms,
        )
        self._count_calls(self.store)
        self.fleet = FakeFleet(self.world, self.at_point)
        self.audit = AuditLog(self.folder / "audit")
        await self.audit.open()
        self.flows = FlowBook(
            KeptFlows(self.store),
            kept=self.folder / "flows",
            folders=[self.plugin_folder],
            package="tests.runtime.flows",
        )
        await self.flows.open(watch=False)
        self.runtime = Runtime(
            store=self.store,
            fleet=self.fleet,
            sealer=self.fleet,
            flows=self.flows,
            audit=self.audit,
            body_key=BODY_KEY,
            now_ms=self.now_ms,
        )
        self.fleet.on_result = self.runtime.order_finished
        if start:
            await self.runtime.start()
            self.fleet.resume()

    async def end(self) -> None:
        """Stop cleanly."""
        await self.runtime.stop()
        await self.fleet.close()
        await self.flows.close()
        await self.store.close()

    async def kill(self) -> None:
        """Take the process away: nothing is given back or said any more."""
        self.fleet.on_result = None
        await self.store.close()  # first, so that what ends now can write nothing
        with contextlib.suppress(Killed):  # it ends its tasks; it cannot give anything back
            await self.runtime.stop()
        await self.fleet.close()
        await self.flows.close()

    def at_point(self) -> None:
        """Count a point; die when it is the one."""
        if self.was_killed.is_set():
            raise Killed
        self.points += 1
        if self.kill_at and self.points >= self.kill_at:
            self.was_killed.set()
            raise Killed

    def _count_calls(self, store: Store) -> None:
        """Every changing call of the store is two points: before it, and after it, nobody told."""
        for name in ("commit", "lease", "release", "settle", "put"):
            call = getattr(store, name)

            def counted(*args: Any, _call: Any = call, **kw: Any) -> Any:
                async def go() -> Any:
                    self.at_point()
                    outcome = await _call(*args, **kw)
                    self.at_point()
                    return outcome

                return go()

            setattr(store, name, counted)

    # What tests do and look at

    async def open(self, flow: str, id: str = "1", who: Someone = ANNA, **answers: Any) -> View:
        return await self.runtime.open(person=who, id=id, flow=flow, answers=answers)

    async def answer(self, session: Session, value: Any, id: str = "", who: Someone = ANNA) -> View:
        seq = session.shown.seq if session.shown else session.seq
        return await self.runtime.answer(
            person=who, session_id=session.id, seq=seq, id=id or f"a{seq}", value=value
        )

    async def session(self, session_id: str, who: Someone = ANNA) -> Session:
        return (await self.runtime.view(person=who, session_id=session_id)).session

    async def entries(self, session_id: str, who: Someone = ANNA) -> list[Entry]:
        return await self.runtime.entries(person=who, session_id=session_id)

    async def until(self, session_id: str, holds: Callable[[Session], bool], within_s: float = 60) -> Session:
        """The session once it is as wanted; by watching it, without polling."""
        async with asyncio.timeout(within_s), self.runtime.watch(session_id) as updates:
            async for update in updates:
                if isinstance(update.body, Session) and holds(update.body):
                    return update.body
        raise AssertionError


async def until(holds: Callable[[], Awaitable[bool] | bool], within_s: float = 60) -> None:
    """Wait for what has no event of its own."""
    async with asyncio.timeout(within_s):
        while True:
            held = holds()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.02)


def asks(name: str) -> Callable[[Session], bool]:
    """The session shows that prompt, and it is filled in."""
    return lambda s: s.shown is not None and s.shown.name == name and not s.shown.loading


def is_over(session: Session) -> bool:
    return session.status == "ended"
