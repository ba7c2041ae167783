"""A real Valkey for the run and a whole bot on it for each test; only the fleet is fake."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession

from bot.store import EmbeddedStore
from tests.channels.house import House
from tests.runtime.lab import ADMIN, BOT, Lab


@pytest.fixture(scope="session")
def web_valkey() -> Iterator[EmbeddedStore]:
    """The store of the run."""
    folder = Path(tempfile.mkdtemp(prefix="hw"))
    server = EmbeddedStore(folder, admin_password=ADMIN, bot_password=BOT, free_bytes=0)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())
    shutil.rmtree(folder)


@pytest.fixture
async def house(web_valkey: EmbeddedStore, tmp_path: Path) -> AsyncIterator[House]:
    """A bot that serves."""
    await Lab(web_valkey, tmp_path).make_ready()
    house = House(web_valkey, tmp_path)
    await house.start()
    yield house
    await house.stop()


@pytest.fixture
async def api(house: House) -> AsyncIterator[ClientSession]:
    """A client with the owner's token."""
    async with house.client(await house.token()) as client:
        yield client
