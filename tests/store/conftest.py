"""One Valkey per mode for the whole run, emptied and made ready again for each test.

Every test that uses `store` runs twice: on a plain Valkey and on one with `cluster-enabled yes` and all
slots, which refuses what a cluster would refuse.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from bot.store import EmbeddedStore, Store
from tests.store.steps import ADMIN, BOT, Clock, connect, make_ready


@pytest.fixture(scope="session", params=["single", "cluster"])
def valkey(request: pytest.FixtureRequest) -> Iterator[EmbeddedStore]:
    folder = Path(tempfile.mkdtemp(prefix="hs"))
    server = EmbeddedStore(
        folder, admin_password=ADMIN, bot_password=BOT, cluster=request.param == "cluster", free_bytes=0
    )
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())
    shutil.rmtree(folder)


@pytest.fixture
async def admin(valkey: EmbeddedStore) -> AsyncIterator[Redis]:
    """The attacker's and the operator's way in; the store is empty and made ready."""
    client = Redis(unix_socket_path=str(valkey.socket), username=valkey.admin_user, password=ADMIN)
    await client.flushall()
    await make_ready(valkey)
    yield client
    await client.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


Connect = Callable[[], Awaitable[Store]]


@pytest.fixture
async def another(valkey: EmbeddedStore, admin: Redis, clock: Clock) -> AsyncIterator[Connect]:
    """Connects further bot processes' stores."""
    made: list[Store] = []

    async def make() -> Store:
        made.append(await connect(valkey, clock))
        return made[-1]

    yield make
    for one in made:
        await one.close()


@pytest.fixture
async def store(another: Connect) -> Store:
    return await another()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data directory with a path short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="hs"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
