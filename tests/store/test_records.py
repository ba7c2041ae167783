"""Generic records: compare-and-set, one-time take, expiry, lists."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from bot.store import Conflict, Kind, Store, StoreEmptied, TooLarge, keys, limits
from bot.store.errors import BadName
from bot.store.records import Record, Records
from tests.store.conftest import Connect
from tests.store.steps import Clock, until


async def body(store: Store, kind: Kind, id: str) -> bytes | None:
    record = await store.get(kind, id)
    return record.body if record else None


@pytest.mark.parametrize("kind", Kind)
async def test_record_of_every_kind_is_kept_counted_listed_and_deleted(store: Store, kind: Kind) -> None:
    assert await store.get(kind, "x-1") is None
    assert await store.put(kind, "x-1", b"one") == 1
    assert await store.put(kind, "x-1", b"two", seen=1) == 2
    record = await store.get(kind, "x-1")
    assert record is not None
    assert (record.id, record.version, record.body, record.expires_ms) == ("x-1", 2, b"two", None)
    assert (await store.all(kind)).items == [record]
    assert await store.delete(kind, "x-1")
    assert not await store.delete(kind, "x-1")
    assert await store.get(kind, "x-1") is None
    assert (await store.all(kind)).items == []


@pytest.mark.parametrize(("seen", "present"), [(0, 2), (1, 2), (3, 2)])
async def test_change_from_another_version_is_refused(store: Store, seen: int, present: int) -> None:
    await store.put(Kind.NODE, "n-1", b"one")
    await store.put(Kind.NODE, "n-1", b"two")
    with pytest.raises(Conflict) as refused:
        await store.put(Kind.NODE, "n-1", b"three", seen=seen)
    assert refused.value.present == present
    assert await body(store, Kind.NODE, "n-1") == b"two"


async def test_change_of_a_record_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(Conflict) as refused:
        await store.put(Kind.NODE, "n-1", b"x", seen=1)
    assert refused.value.present == 0


async def test_of_50_changes_from_one_version_one_wins(another: Connect) -> None:
    stores = [await another() for _ in range(2)]
    await stores[0].put(Kind.PERSON, "p-1", b"start")
    outcomes = await asyncio.gather(
        *(stores[n % 2].put(Kind.PERSON, "p-1", b"%d" % n, seen=1) for n in range(50)), return_exceptions=True
    )
    won = [n for n, one in enumerate(outcomes) if one == 2]
    assert len(won) == 1
    assert sum(isinstance(one, Conflict) for one in outcomes) == 49
    assert await body(stores[0], Kind.PERSON, "p-1") == b"%d" % won[0]


async def test_20_unconditional_writers_all_get_their_turn(store: Store) -> None:
    versions = await asyncio.gather(*(store.put(Kind.SETTING, "s", b"%d" % n) for n in range(20)))
    assert sorted(versions) == list(range(1, 21))


async def test_one_time_link_raced_by_50_is_used_once(another: Connect) -> None:
    stores = [await another() for _ in range(5)]
    await stores[0].put(Kind.LINK, "l-1", b"for p-1")
    taken = await asyncio.gather(*(stores[n % 5].take(Kind.LINK, "l-1") for n in range(50)))
    assert [one.body for one in taken if one] == [b"for p-1"]
    assert await stores[0].take(Kind.LINK, "l-1") is None
    assert (await stores[0].all(Kind.LINK)).items == []


async def test_record_is_gone_when_its_time_is_over_though_it_lies_there(
    store: Store, admin: Redis, clock: Clock
) -> None:
    ends = clock() + 60_000
    await store.put(Kind.SIGN_IN, "c-1", b"p-1", expires_ms=ends)
    key = keys.record(Kind.SIGN_IN, "c-1")
    assert 0 < await admin.pttl(key) <= 61_000
    await admin.persist(key)  # whoever has the store can lengthen its life there

    clock.now_ms = ends - 1
    assert await body(store, Kind.SIGN_IN, "c-1") == b"p-1"
    clock.now_ms = ends
    assert await store.get(Kind.SIGN_IN, "c-1") is None
    assert await store.take(Kind.SIGN_IN, "c-1") is None
    assert (await store.all(Kind.SIGN_IN)).items == []


async def test_id_of_an_expired_record_is_free_again(store: Store, clock: Clock) -> None:
    await store.put(Kind.SIGN_IN, "c-1", b"old", expires_ms=clock() + 60_000)
    clock.now_ms += 60_000
    version = await store.put(Kind.SIGN_IN, "c-1", b"new", seen=0)
    assert await store.put(Kind.SIGN_IN, "c-1", b"new", seen=version) == version + 1
    assert await body(store, Kind.SIGN_IN, "c-1") == b"new"


async def test_of_two_who_find_a_record_expired_the_slower_one_is_refused(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put(Kind.CLAIM, "c-1", b"old", expires_ms=clock() + 60_000)
    clock.now_ms += 61_000
    found_expired, go_on = asyncio.Event(), asyncio.Event()
    get = Records.get

    async def slow(self: Records, kind: Kind, id: str) -> Record | None:
        record = await get(self, kind, id)
        if not found_expired.is_set():
            found_expired.set()
            await go_on.wait()
        return record

    monkeypatch.setattr(Records, "get", slow)
    first = asyncio.create_task(store.put(Kind.CLAIM, "c-1", b"slow", seen=0))
    await found_expired.wait()
    await store.put(Kind.CLAIM, "c-1", b"quick", seen=0)
    go_on.set()
    with pytest.raises(Conflict):
        await first
    assert await body(store, Kind.CLAIM, "c-1") == b"quick"


async def test_expired_record_leaves_the_server_and_the_list(
    store: Store, admin: Redis, clock: Clock
) -> None:
    await store.put(Kind.TICKET, "k-1", b"x", expires_ms=clock() + 60)
    await store.put(Kind.TICKET, "k-2", b"y")

    async def expired() -> bool:
        return not await admin.exists(keys.record(Kind.TICKET, "k-1"))

    await until(expired)
    assert [one.id for one in (await store.all(Kind.TICKET)).items] == ["k-2"]
    listed = keys.record_ids(Kind.TICKET, keys.record_shard(Kind.TICKET, "k-1"))
    assert await admin.zrange(listed, 0, -1) == [b"k-2"]


@pytest.mark.parametrize("kind", [Kind.NODE, Kind.ORDER])
@pytest.mark.parametrize("limit", [1, 4, 100])
async def test_records_are_paged_without_gap_or_repeat(store: Store, kind: Kind, limit: int) -> None:
    made = [f"x-{n:02d}" for n in range(17)]
    for id in made:
        await store.put(kind, id, id.encode())
    found: list[str] = []
    after = ""
    for _ in range(40):
        page = await store.all(kind, after=after, limit=limit)
        assert len(page.items) <= limit
        found += [one.id for one in page.items]
        after = page.after
        if not after:
            break
    assert sorted(found) == made


async def test_kinds_do_not_see_each_others_records(store: Store) -> None:
    await store.put(Kind.LINK, "x", b"link")
    assert await store.get(Kind.TOKEN, "x") is None
    assert await store.take(Kind.TICKET, "x") is None
    assert await body(store, Kind.LINK, "x") == b"link"


async def test_record_above_its_limit_is_refused(store: Store) -> None:
    await store.put(Kind.FLOW, "f", b"x" * limits.RECORD_BYTES)
    with pytest.raises(TooLarge):
        await store.put(Kind.FLOW, "f", b"x" * (limits.RECORD_BYTES + 1))


async def test_id_that_could_reach_another_key_is_refused(store: Store) -> None:
    for call in (
        store.get(Kind.NODE, "a}b"),
        store.put(Kind.NODE, "a b", b""),
        store.take(Kind.NODE, ""),
        store.delete(Kind.NODE, "a/b"),
    ):
        with pytest.raises(BadName):
            await call


async def test_emptied_store_takes_no_record(store: Store, admin: Redis) -> None:
    await admin.flushall()
    with pytest.raises(StoreEmptied):
        await store.put(Kind.PERSON, "p-1", b"owner")
