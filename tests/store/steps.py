"""What the store's tests are made of: a commit with defaults, a clock, a ready Valkey."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis

from bot.store import Commit, Committed, EmbeddedStore, Store
from bot.store.setup import BOT_USER, Prepared, prepare

ADMIN, BOT = "a" * 32, "b" * 32
TAG_KEY = b"k" * 32
INSTALLATION = "i-0000000000000001"
SESSION = "s-0000000000000001"
NOW = 1_800_000_000_000


class Clock:
    """The store's clock, moved by hand."""

    def __init__(self) -> None:
        self.now_ms = time.time_ns() // 1_000_000  # Valkey's own expiry goes by the real one

    def __call__(self) -> int:
        return self.now_ms


async def make_ready(server: EmbeddedStore, **other: Any) -> Prepared:
    given: dict[str, Any] = {
        "user": server.admin_user,
        "password": ADMIN,
        "bot_password": BOT,
        "tag_key": TAG_KEY,
        "installation": INSTALLATION,
        **other,
    }
    return await prepare(given.pop("url", server.url), **given)


async def connect(server: EmbeddedStore, clock: Clock | None = None, **other: Any) -> Store:
    given: dict[str, Any] = {
        "user": BOT_USER,
        "password": BOT,
        "tag_key": TAG_KEY,
        "installation": INSTALLATION,
        "clock": clock or Clock(),
        **other,
    }
    return await Store.connect(given.pop("url", server.url), **given)


def step(seen: int = 0, by: str | None = None, session_id: str = SESSION, **other: Any) -> Commit:
    """A commit from version `seen`, with one entry, numbered to follow commits of one entry each."""
    given: dict[str, Any] = {
        "outcome": f"outcome {seen + 1}".encode(),
        "record": f"record {seen + 1}".encode(),
        "entries": [(seen + 1, f"entry {seen + 1}".encode())],
        "person": "p-1",
        **other,
    }
    return Commit(session_id=session_id, seen=seen, by=by or f"a-{seen}", **given)


async def until(true: Callable[[], Awaitable[bool]], within_s: float = 60) -> None:
    """Wait until `true` says so."""
    began = time.monotonic()
    while not await true():
        assert time.monotonic() - began < within_s, "it did not come true"
        await asyncio.sleep(0.01)


async def send(client: Redis, *words: str | bytes) -> Any:
    """One plain command."""
    return await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def committed(store: Store, commit: Commit) -> Committed:
    done = await store.commit(commit)
    assert isinstance(done, Committed), done
    return done
