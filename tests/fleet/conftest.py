"""A fleet on a real store and a real socket, and nodes to link to it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from agent.orders.results import Progress, Result
from bot.blobs import Blobs
from bot.engine.effects import AskFacts, SendOrder
from bot.engine.ids import derived
from bot.fleet import keys
from bot.fleet.fleet import Fleet
from bot.fleet.nodes import write_pin
from tests.fleet.node import Node
from tests.fleet.storage import Storage, running_storage

DEPLOYMENT = derived("d", "a test")
IMAGE = {"reference": "nginx:1.27", "repository": "docker.io/library/nginx", "digest": "sha256:" + "a" * 64}


class Lab:
    """One installation: keys, store, blobs, a fleet (again after `restart`), what it told."""

    def __init__(self, folder: Path, storage: Storage) -> None:
        self.folder = folder
        self.storage = storage
        self.installation = keys.ensure(folder / "keys")
        self.socket = folder / "agent.sock"
        self.blobs = Blobs(folder / "blobs", quota_bytes=10**9, reserve_bytes=0)
        self.results: asyncio.Queue[tuple[str, Result]] = asyncio.Queue()
        self.progress: asyncio.Queue[tuple[str, Progress]] = asyncio.Queue()
        self.fail_results: list[Exception] = []  # raised, one each, by the next tellings
        self.late_ms = 0  # the bot's clock is ahead by so much
        self.nodes: list[Node] = []
        self.fleet = self.new_fleet()

    def new_fleet(self, **options: Any) -> Fleet:
        """A fleet as a fresh bot process makes it."""
        fleet = Fleet(
            store=self.storage.store,
            installation=self.installation,
            blobs=self.blobs,
            socket=self.socket,
            bot="0.1.0",
            now_ms=self.now_ms,
            **options,
        )
        fleet.on_result = self._on_result
        fleet.on_progress = self._on_progress
        return fleet

    def now_ms(self) -> int:
        """The bot's clock."""
        return time.time_ns() // 1_000_000 + self.late_ms

    async def restart(self, **options: Any) -> None:
        """Another bot process on the same data."""
        await self.fleet.stop()
        self.fleet = self.new_fleet(**options)
        await self.fleet.start()

    def pinned(self, name: str = "") -> Node:
        """A node whose keys are pinned."""
        node = self.stranger()
        write_pin(
            self.installation.directory, identity=node.identity_hex, sealing=node.sealing_hex, name=name
        )
        return node

    def stranger(self) -> Node:
        """A node that nobody pinned."""
        node = Node(self.socket, self.installation.dispatch.verify_key)
        self.nodes.append(node)
        return node

    async def linked(self, name: str = "", **how: Any) -> Node:
        """A node with a link that the fleet has taken up."""
        return await self.up(self.pinned(name), **how)

    async def up(self, node: Node, **how: Any) -> Node:
        """Link a node and wait until the fleet knows."""
        await node.link(**how)
        await self.until_online(node, True)
        return node

    async def down(self, node: Node) -> None:
        """Cut a node's link and wait until the fleet knows."""
        await node.hang_up()
        await self.until_online(node, False)

    async def until_online(self, node: Node, wanted: bool) -> None:
        """Wait until the fleet says that a node has a link, or has none."""
        for _ in range(6_000):  # a minute
            if any(n.id == node.id and n.online for n in await self.fleet.nodes()) is wanted:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{node.id} is not {'on' if wanted else 'off'}line")

    def effect(
        self, node: Node | str, order: dict[str, Any] | None = None, *, lasts_ms: int = 60_000, **fields: Any
    ) -> SendOrder:
        """A wish to send an order, by default a stop."""
        target = {"type": "part", "deployment": DEPLOYMENT}
        return SendOrder(
            **{
                "id": derived("o", secrets.token_hex(8)),
                "session": "s-0000000000000001",
                "node": node if isinstance(node, str) else node.id,
                "order": order or {"verb": "container.stop", "target": target},
                "actor": "p-owner",
                "not_before_ms": 0,
                "expires_ms": self.now_ms() + lasts_ms,
                **fields,
            }
        )

    def deploy(
        self, node: Node, name: str = "web", *, deployment: str = DEPLOYMENT, number: int = 1, **fields: Any
    ) -> SendOrder:
        """A wish to put a revision in place."""
        revision = {
            "number": number,
            "image": IMAGE,
            "ports": [{"container_port": 80, "node_port": 20_001}],
            **fields,
        }
        order = {"verb": "deployment.apply", "deployment": deployment, "name": name, "revision": revision}
        return self.effect(node, order)

    async def asked(self, fact: str, node: Node | None = None, **args: Any) -> Any:
        """The facts for a prompt; fails with the problem."""
        effect = AskFacts(
            id="f-0000000000000001",
            session="s-0000000000000001",
            seq=1,
            fact=fact,
            args=args,
            node=node.id if node else "",
            due_ms=self.now_ms() + 60_000,
        )
        came = await self.fleet.facts(effect)
        assert came.lookup_id == effect.id
        assert came.facts is not None, came.problem
        return came.facts

    async def result(self) -> tuple[str, Result]:
        """The next result that the fleet told."""
        async with asyncio.timeout(60):
            return await self.results.get()

    async def no_result(self, within_s: float = 0.3) -> None:
        """Fails if a result is told."""
        await asyncio.sleep(within_s)
        assert self.results.empty(), self.results.get_nowait()

    async def _on_result(self, id: str, result: Result) -> None:
        if self.fail_results:
            raise self.fail_results.pop(0)
        self.results.put_nowait((id, result))

    async def _on_progress(self, id: str, progress: Progress) -> None:
        self.progress.put_nowait((id, progress))


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncGenerator[Lab]:
    """A started fleet."""
    async with running_storage() as storage:
        made = Lab(tmp_path, storage)
        await made.blobs.start()
        await made.fleet.start()
        try:
            yield made
        finally:
            for node in made.nodes:
                await node.hang_up()
            await made.fleet.stop()
            await made.blobs.stop()
