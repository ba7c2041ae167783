"""A real Valkey for the run, a real store, book of flows, engine and audit for each test."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.store import EmbeddedStore
from tests.runtime.lab import ADMIN, BOT, Lab


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedStore]:
    folder = Path(tempfile.mkdtemp(prefix="hr"))
    server = EmbeddedStore(folder, admin_password=ADMIN, bot_password=BOT, free_bytes=0)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())
    shutil.rmtree(folder)


@pytest.fixture
async def lab(valkey: EmbeddedStore, tmp_path: Path) -> AsyncIterator[Lab]:
    """An installation: an empty store that is made ready, and a runtime that runs on it."""
    lab = Lab(valkey, tmp_path)
    await lab.make_ready()
    await lab.begin()
    yield lab
    await lab.end()
