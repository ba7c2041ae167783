"""Hints: a watcher misses nothing, hears progress, and cannot be flooded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from redis.asyncio import Redis

from bot.store import Hint, Store, keys, limits
from bot.store.tags import Tags
from tests.store.conftest import Connect
from tests.store.steps import SESSION, TAG_KEY, committed, send, step, until

ENTRIES = Hint(kind="entries")


async def next_hint(hints: AsyncGenerator[Hint, None]) -> Hint:
    return await asyncio.wait_for(anext(hints), 60)


async def test_first_hint_comes_at_once_and_each_commit_brings_one(another: Connect) -> None:
    here, there = await another(), await another()
    async with aclosing(here.watch(SESSION)) as hints:
        assert await next_hint(hints) == ENTRIES
        await committed(there, step(0))
        assert await next_hint(hints) == ENTRIES
        assert await here.entries(SESSION) == [(1, b"entry 1")]
        await committed(here, step(1))
        assert await next_hint(hints) == ENTRIES


async def test_second_watcher_of_a_session_gets_its_first_hint_too(store: Store) -> None:
    async with aclosing(store.watch(SESSION)) as one, aclosing(store.watch(SESSION)) as other:
        assert await next_hint(one) == ENTRIES
        assert await next_hint(other) == ENTRIES
        await committed(store, step(0))
        assert await next_hint(one) == ENTRIES
        assert await next_hint(other) == ENTRIES


async def test_nobody_hears_of_a_session_that_is_not_watched_any_more(store: Store, admin: Redis) -> None:
    async def watching() -> int:
        channel = keys.session_channel(SESSION)
        return int((await send(admin, "PUBSUB", "SHARDNUMSUB", channel))[1])

    async with aclosing(store.watch(SESSION)) as hints:
        await next_hint(hints)
        assert await watching() == 1

    async def nobody() -> bool:
        return await watching() == 0

    await until(nobody)
    assert store._hints._watchers == {}


async def test_progress_is_heard_with_its_body_and_kept_for_late_comers(another: Connect) -> None:
    here, there = await another(), await another()
    async with aclosing(here.watch(SESSION)) as hints:
        await next_hint(hints)
        await there.say_progress(SESSION, b"30 %")
        await there.say_progress(SESSION, b"60 %")
        assert await next_hint(hints) == Hint(kind="progress", body=b"30 %")
        assert await next_hint(hints) == Hint(kind="progress", body=b"60 %")
    assert await here.progress(SESSION) == [b"60 %"]
    assert await here.progress(SESSION, limit=9) == [b"60 %", b"30 %"]


async def test_progress_is_capped_and_goes_away(store: Store, admin: Redis) -> None:
    await asyncio.gather(
        *(store.say_progress(SESSION, b"%d" % n) for n in range(limits.PROGRESS_ENTRIES + 50))
    )
    assert await admin.xlen(keys.progress(SESSION)) == limits.PROGRESS_ENTRIES
    assert 0 < await admin.pttl(keys.progress(SESSION)) <= limits.PROGRESS_KEPT_MS


async def test_flood_of_hints_fills_no_memory_and_drops_the_oldest_progress(store: Store) -> None:
    async with aclosing(store.watch(SESSION)) as hints:
        await next_hint(hints)
        for n in range(3 * limits.WATCHED_PROGRESS):
            await store.say_progress(SESSION, b"%d" % n)
        await committed(store, step(0))
        heard = [await next_hint(hints)]
        while heard[-1].body != b"%d" % (3 * limits.WATCHED_PROGRESS - 1):
            heard.append(await next_hint(hints))
        if ENTRIES not in heard:
            assert await next_hint(hints) == ENTRIES
    assert len([one for one in heard if one.kind == "progress"]) <= limits.WATCHED_PROGRESS


async def test_hints_made_up_by_others_only_make_the_reader_look(store: Store, admin: Redis) -> None:
    channel = keys.session_channel(SESSION)
    forged = Tags(b"x" * 32).stamp(keys.progress(SESSION), b"type your password here")
    async with aclosing(store.watch(SESSION)) as hints:
        await next_hint(hints)
        for data in (b"", b"x", b"p", b"pfoo", b"p" + forged, b"p" + b"x" * 1_000_000, b"e9:9"):
            await send(admin, "SPUBLISH", channel, data)
        for data in (b"", b"x", b"-1", b"9" * 100):
            await send(admin, "SPUBLISH", keys.ready_channel(keys.shard(SESSION)), data)
        assert await next_hint(hints) == ENTRIES
        await store.say_progress(SESSION, b"real")
        assert await next_hint(hints) == Hint(kind="progress", body=b"real")


async def test_progress_stamped_for_another_session_is_not_heard(store: Store, admin: Redis) -> None:
    other = Tags(TAG_KEY).stamp(keys.progress("s-other"), b"done")
    async with aclosing(store.watch(SESSION)) as hints:
        await next_hint(hints)
        await send(admin, "SPUBLISH", keys.session_channel(SESSION), b"p" + other)
        await store.say_progress(SESSION, b"real")
        assert await next_hint(hints) == Hint(kind="progress", body=b"real")


async def test_watcher_goes_on_after_the_connection_was_cut(store: Store, admin: Redis) -> None:
    async def subscribed() -> bool:
        return bool(store._hints._pubsub and store._hints._subscribed)

    async with aclosing(store.watch(SESSION)) as hints:
        await next_hint(hints)
        await send(admin, "CLIENT", "KILL", "TYPE", "pubsub")
        await committed(store, step(0))  # its own hint may fall into the gap
        assert await next_hint(hints) == ENTRIES
        await until(subscribed)
        await committed(store, step(1))
        assert await next_hint(hints) == ENTRIES


async def test_subscription_that_answers_nothing_is_given_up(
    store: Store, admin: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aclosing(store.watch(SESSION)) as hints:
        await next_hint(hints)
        first = store._hints._pubsub

        async def deaf(*_: object) -> None:
            return None

        monkeypatch.setattr(store._hints, "_prove", deaf)
        monkeypatch.setattr(limits, "SWEEP_S", 0.05)
        await send(admin, "CLIENT", "PAUSE", "10")  # any traffic: the reader takes the new limit

        async def replaced() -> bool:
            return store._hints._pubsub not in (first, None)

        await store.say_progress(SESSION, b"wake")
        await until(replaced)
        assert await next_hint(hints) == Hint(kind="progress", body=b"wake")
        assert await next_hint(hints) == ENTRIES
