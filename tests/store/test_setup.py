"""Making a store ready: fitness, ownership, and an emptied store that is not taken for a new one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.store import EmbeddedStore, StoreEmptied, StoreGone, UnfitStore, keys, setup
from tests.store.steps import committed, connect, make_ready, send, step


@pytest.fixture
async def settings(admin: Redis) -> AsyncIterator[Redis]:
    """The admin; settings changed through it are put back."""
    before: Any = await admin.config_get("maxmemory-policy", "appendfsync", "appendonly", "maxmemory")
    yield admin
    for name, value in before.items():
        await admin.config_set(name, value)


async def test_store_as_hercules_starts_it_has_no_warnings(valkey: EmbeddedStore, admin: Redis) -> None:
    again = await make_ready(valkey)
    assert (again.server, again.made_new, again.warnings) == ("valkey", False, [])


async def test_policy_that_drops_keys_is_refused(valkey: EmbeddedStore, settings: Redis) -> None:
    await settings.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(UnfitStore, match="allkeys-lru") as refused:
        await make_ready(valkey)
    assert "noeviction" in refused.value.next_step


@pytest.mark.parametrize("fsync", ["everysec", "no"])
async def test_weaker_sync_is_used_with_a_sentence_for_the_page(
    valkey: EmbeddedStore, settings: Redis, fsync: str
) -> None:
    await settings.config_set("appendfsync", fsync)
    [warning] = (await make_ready(valkey)).warnings
    assert warning == (
        f"This store's appendfsync is {fsync}, not always: "
        "acknowledged answers of the last second can be lost."
    )


async def test_store_without_a_file_is_used_with_a_sentence(valkey: EmbeddedStore, settings: Redis) -> None:
    await settings.config_set("appendonly", "no")
    [warning] = (await make_ready(valkey)).warnings
    assert "appendonly" in warning


async def test_store_that_hides_its_settings_is_used_with_a_sentence(
    valkey: EmbeddedStore, admin: Redis
) -> None:
    await send(admin, "ACL", "SETUSER", "managed", "on", ">pw", "~*", "&*", "+@all", "-config")
    [warning] = (await make_ready(valkey, user="managed", password="pw")).warnings
    assert "does not say" in warning


async def test_server_older_than_functions_is_refused(
    valkey: EmbeddedStore, admin: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "OLDEST", 99)
    with pytest.raises(UnfitStore, match="valkey 9"):
        await make_ready(valkey)


@pytest.mark.parametrize("rights", ["off", "on nopass ~h1:* &* +@all", "on nopass ~* &* +@all -exec"])
async def test_store_that_could_not_replay_its_file_is_refused(
    valkey: EmbeddedStore, admin: Redis, rights: str
) -> None:
    await send(admin, "ACL", "SETUSER", "default", "reset", *rights.split())
    try:
        with pytest.raises(UnfitStore, match="default user") as refused:
            await make_ready(valkey)
        assert "+@all" in refused.value.next_step
    finally:
        await send(admin, "ACL", "SETUSER", "default", "reset", "off", "~*", "&*", "+@all")
    await make_ready(valkey)


async def test_store_of_another_installation_is_refused(valkey: EmbeddedStore, admin: Redis) -> None:
    for call in (make_ready, connect):
        with pytest.raises(UnfitStore, match="i-other"):
            await call(valkey, installation="i-other")


async def test_bot_with_other_keys_is_refused(valkey: EmbeddedStore, admin: Redis) -> None:
    for call in (make_ready, connect):
        with pytest.raises(UnfitStore, match="other keys"):
            await call(valkey, tag_key=b"x" * 32)


async def test_store_of_another_schema_is_refused(valkey: EmbeddedStore, admin: Redis) -> None:
    await admin.set(keys.SCHEMA_KEY, "2")
    for call in (make_ready, connect):
        with pytest.raises(UnfitStore, match="schema 2"):
            await call(valkey)


async def test_emptied_store_is_not_made_again_for_an_installation_that_had_one(
    valkey: EmbeddedStore, admin: Redis
) -> None:
    await admin.flushall()
    with pytest.raises(StoreEmptied):
        await make_ready(valkey, may_create=False)
    with pytest.raises(StoreEmptied):
        await connect(valkey)


async def test_making_ready_again_keeps_what_is_there(valkey: EmbeddedStore, admin: Redis) -> None:
    store = await connect(valkey)
    await committed(store, step(0))
    await make_ready(valkey, may_create=False)
    await committed(store, step(1))
    await store.close()


async def test_new_password_of_the_bot_counts_from_the_next_start(
    valkey: EmbeddedStore, admin: Redis
) -> None:
    await make_ready(valkey, bot_password="n" * 32)
    with pytest.raises(UnfitStore):
        await connect(valkey)
    store = await connect(valkey, password="n" * 32)
    await store.close()


async def test_store_without_its_functions_is_said_to_be_emptied(valkey: EmbeddedStore, admin: Redis) -> None:
    await send(admin, "FUNCTION", "FLUSH")
    with pytest.raises(StoreEmptied):
        await connect(valkey)


@pytest.mark.parametrize("call", [make_ready, connect])
async def test_address_where_nothing_answers_is_gone(
    valkey: EmbeddedStore, admin: Redis, call: object
) -> None:
    with pytest.raises(StoreGone):
        await call(valkey, url="redis://127.0.0.1:1")  # type: ignore[operator]
    with pytest.raises(StoreGone):
        await call(valkey, url="unix:///nowhere/valkey.sock")  # type: ignore[operator]


@pytest.mark.parametrize("call", [make_ready, connect])
async def test_wrong_password_is_said_without_repeating_it(
    valkey: EmbeddedStore, admin: Redis, call: object
) -> None:
    with pytest.raises(UnfitStore) as refused:
        await call(valkey, password="wrong-secret")  # type: ignore[operator]
    assert "wrong-secret" not in refused.value.sentence + refused.value.next_step


async def test_password_in_an_address_is_not_shown(valkey: EmbeddedStore) -> None:
    for url in (
        "http://me:secret-word@host/",
        "unix:///x?password=secret-word",
        "redis://:secret-word@[::1]:1",
    ):
        with pytest.raises((UnfitStore, StoreGone)) as refused:
            await connect(valkey, url=url)
        assert "secret-word" not in refused.value.sentence


async def test_full_store_says_so_and_still_finishes_what_is_open(
    valkey: EmbeddedStore, settings: Redis
) -> None:
    from bot.store.errors import StoreFull

    store = await connect(valkey)
    await committed(store, step(0, effects=[("f-1", 1, b"")]))
    await settings.config_set("maxmemory", "1")
    with pytest.raises(StoreFull):
        await store.commit(step(1))
    leased = await store.lease(1, lease_ms=1000)
    assert await store.settle(*leased) == 1
    await settings.config_set("maxmemory", "0")
    await committed(store, step(1))
    await store.close()
