"""A bot with its web channel for tests: real store, people, blobs, engine and runtime; the fleet is fake.

With `new_socket` it listens in another network namespace. `House.stop` and `House.start` are a restart under
the same address; the store goes on between them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, web

from bot.app_versions import Versions
from bot.audit import AuditLog
from bot.blobs import Blobs
from bot.channels.web import make_web, runner_for
from bot.channels.web_parts import Parts, Settings
from bot.engine.slots import Named
from bot.ops.metrics import Metrics
from bot.people import People
from bot.plugins.book import FlowBook
from bot.plugins.meaning import Meaning
from bot.runtime import KeptFlows, Runtime
from bot.store import EmbeddedStore, Store
from bot.store.setup import BOT_USER
from tests.runtime.lab import BODY_KEY, BOT, INSTALLATION, TAG_KEY, FakeFleet, World, now_ms


def free_port(new_socket: Callable[[], socket.socket]) -> int:
    """A port of the loopback address that is free just now."""
    with new_socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Page:
    """A page of a list."""

    items: Sequence[Any]
    next: str = ""


class Lists:
    """Fleet and audit as lists, with a line each."""

    async def nodes(self, *, after: str, limit: int) -> Page:
        return Page([{"id": "n-1", "name": "here", "online": True}])

    async def deployments(self, *, after: str, limit: int) -> Page:
        return Page([{"id": "d-1", "settings": [{"name": "A", "sealed": {"for_node": "x"}}], "raw": b"x"}])

    async def orders(self, *, after: str, limit: int) -> Page:
        return Page([])

    async def entries(self, *, after: str, limit: int) -> Page:
        return Page([{"what": "session.opened"}])


class HeldKey:
    """A recovery key that is here until it is forgotten."""

    def __init__(self) -> None:
        self.key: str | None = "ab" * 32
        self.noted: list[tuple[str, str]] = []

    def is_here(self) -> bool:
        """Whether nobody has had it deleted yet."""
        return self.key is not None

    def taken_ms(self) -> int:
        """When it was forgotten."""
        return 0 if self.key else 1_700_000_000_000

    async def show(self, person: str) -> str | None:
        """The key."""
        self.noted.append((person, "shown"))
        return self.key

    async def forget(self, person: str) -> bool:
        """Delete it."""
        had, self.key = self.key is not None, None
        self.noted.append((person, "deleted"))
        return had


class House:
    """See the module."""

    def __init__(
        self,
        server: EmbeddedStore,
        folder: Path,
        *,
        new_socket: Callable[[], socket.socket] = socket.socket,
    ) -> None:
        self._server, self._folder, self._new_socket = server, folder, new_socket
        self.plugins = folder / "chatflows.d"  # made by who wants one
        self.world = World()
        self.port = free_port(new_socket)
        self.names: tuple[str, ...] = ()
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Start the bot."""
        stack = self._stack = AsyncExitStack()
        self.store = await Store.connect(
            self._server.url, user=BOT_USER, password=BOT, tag_key=TAG_KEY, installation=INSTALLATION
        )
        stack.push_async_callback(self.store.close)
        self.people = People(self.store, INSTALLATION)
        await self.people.start()
        self.fleet = FakeFleet(self.world, lambda: None)
        stack.push_async_callback(self.fleet.close)
        audit = AuditLog(self._folder / "audit")
        await audit.open()
        self.blobs = Blobs(self._folder / "blobs", quota_bytes=10**9, reserve_bytes=0)
        (self._folder / "blobs" / "uploads").mkdir(parents=True, exist_ok=True)
        await self.blobs.start()
        stack.push_async_callback(self.blobs.stop)
        self.book = book = FlowBook(
            KeptFlows(self.store),
            kept=self._folder / "flows",
            folders=[self.plugins],
            package="tests.channels.flows",
        )
        await book.open(watch=False)
        stack.push_async_callback(book.close)
        self.runtime = Runtime(
            store=self.store,
            fleet=self.fleet,
            sealer=self.fleet,
            flows=book,
            audit=audit,
            body_key=BODY_KEY,
            now_ms=now_ms,
        )
        self.fleet.on_result = self.runtime.order_finished
        await self.runtime.start()
        stack.push_async_callback(self.runtime.stop)
        self.metrics = Metrics()
        self.recovery = HeldKey()
        self.app = make_web(self._parts(book))
        runner = runner_for(self.app)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        listening = self._new_socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", self.port))
        await web.SockSite(runner, listening).start()
        self.owner = await self.people.named("owner")

    async def stop(self) -> None:
        """Stop it; the store stays."""
        await self._stack.aclose()

    @property
    def url(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://localhost:{self.port}"

    async def token(self, who: str = "owner", **more: Any) -> str:
        """An API token's secret."""
        person = await self.people.named(who)
        return (await self.people.make_token(person.id, **more)).secret

    async def link(self) -> str:
        """The address of a one-time link of the owner."""
        return f"{self.url}/in/{await self.people.make_link(self.owner.id)}"

    def client(self, token: str = "") -> ClientSession:
        """An HTTP client, with a token if one is given."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return ClientSession(self.url, headers=headers)

    async def _called(self, person: str) -> str:
        return (await self.people.person(person)).name

    async def _named(self) -> list[Named]:
        return [Named(kind="container", label="nginx", value="c1")]

    def _parts(self, book: FlowBook) -> Parts:
        lists = Lists()
        return Parts(
            settings=Settings(
                installation=INSTALLATION, port=self.port, base_url=f"{self.url}/", names=self.names
            ),
            runtime=self.runtime,
            people=self.people,
            flows=book,
            versions=Versions(book, self.runtime, now_ms),
            meaning=Meaning(lambda: [ready.flow for ready in book.flows()], self._named),
            blobs=self.blobs,
            fleet=lists,
            audit=lists,
            counted=self.metrics,
            recovery=self.recovery,
            called=self._called,
        )
