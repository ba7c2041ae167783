"""Reads while the store is away: they wait a little, then say calmly that it is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession

from bot.channels import web_reads
from bot.store import EmbeddedStore
from tests.channels.house import House
from tests.channels.test_sign_in import Browser, browser

__all__ = ["browser"]


@asynccontextmanager
async def away(server: EmbeddedStore) -> AsyncIterator[None]:
    """The store is stopped meanwhile, as in a restart of it; its own loop was the fixture's."""
    await asyncio.to_thread(lambda: asyncio.run(server.stop()))
    try:
        yield
    finally:
        await asyncio.to_thread(lambda: asyncio.run(server.start()))


async def test_reads_wait_for_the_store_to_come_back(
    house: House, api: ClientSession, web_valkey: EmbeddedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_reads, "WAIT_S", 60.0)  # a busy machine may need long to start a store
    view = await house.runtime.open(person=house.owner, id="1", flow="greet")
    at = f"/api/v1/sessions/{view.session.id}"
    async with away(web_valkey):
        reads = [asyncio.create_task(api.get(path)) for path in (at, f"{at}/entries", "/api/v1/sessions")]
        done, _ = await asyncio.wait(reads, timeout=0.5)
        assert not done
    for answer in await asyncio.gather(*reads):
        async with answer:
            assert answer.status == 200, await answer.text()


async def test_a_store_that_stays_away_is_told_and_the_page_comes_again_by_itself(
    house: House,
    api: ClientSession,
    browser: Browser,
    web_valkey: EmbeddedStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web_reads, "WAIT_S", 0.3)
    await browser.sign_in()
    async with away(web_valkey):
        async with api.get("/api/v1/sessions") as answer:
            assert (answer.status, (await answer.json())["code"]) == (503, "store_gone")
            assert "Refresh" not in answer.headers
        async with browser.get("/") as page:
            text = await page.text()
            assert (page.status, page.headers["Refresh"]) == (503, "2")
            assert "Reconnecting…" in text
            assert "Nothing is lost" in text
    async with browser.get("/") as page:
        assert page.status == 200
