"""Attack S-1: whoever can write to the store can delay, but nothing that they wrote is acted on.

Each test changes one record by hand over the admin's connection: it is parked, alarmed and never returned.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from bot.store import Alarm, Kind, OutOfStep, Store, Tampered, keys, limits
from bot.store.tags import HEAD, Tags
from tests.store.conftest import Connect
from tests.store.steps import NOW, SESSION, TAG_KEY, Clock, committed, step

SHARD = keys.shard(SESSION)
Change = Callable[[bytes], bytes]


def flipped(at: int) -> Change:
    return lambda raw: (
        raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] if at >= 0 else flipped(len(raw) + at)(raw)
    )


CHANGES: dict[str, Change] = {
    "format changed": flipped(0),
    "tag changed": flipped(1),
    "version raised": flipped(24),
    "life lengthened": flipped(30),
    "body changed": flipped(-1),
    "cut": lambda raw: raw[:-1],
    "lengthened": lambda raw: raw + b"\0",
    "emptied": lambda raw: b"",
    "half a head": lambda raw: raw[: HEAD - 1],
    "made up": lambda raw: b'{"role": "owner"}',
    "stamped with another key": lambda raw: Tags(b"x" * 32).stamp("h1:{s000}:x", raw[HEAD:], version=1),
    "huge": lambda raw: b"\1" * (limits.RECORD_BYTES * 2 + 1),
}
changes = pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())


async def held(admin: Redis, key: str, field: str | None = None) -> bytes:
    raw = await (admin.get(key) if field is None else admin.hget(key, field))
    assert isinstance(raw, bytes)
    return raw


async def alarmed(store: Store) -> list[str]:
    return [alarm.key for alarm in await store.alarms()]


@changes
async def test_changed_session_is_parked(
    store: Store, admin: Redis, another: Connect, change: Change
) -> None:
    key = keys.session(SESSION)
    await committed(store, step(0))
    good = await held(admin, key, "r")
    await admin.hset(key, "r", change(good))
    for one in (store, await another()):
        with pytest.raises(Tampered):
            await one.load(SESSION)
        with pytest.raises(Tampered):
            await one.commit(step(1))
    assert await alarmed(store) == [key]

    await admin.hset(key, "r", good)  # put right by hand: still parked until the alarm is cleared
    with pytest.raises(Tampered):
        await store.load(SESSION)
    assert await store.clear_alarm(key)
    assert await store.load(SESSION) is not None
    await committed(store, step(1))


@changes
async def test_changed_session_is_parked_by_the_commit_that_meets_it_first(
    store: Store, admin: Redis, change: Change
) -> None:
    key = keys.session(SESSION)
    await committed(store, step(0))
    await committed(store, step(1))
    good = await held(admin, key, "r")
    await admin.hset(key, "r", change(good))
    with pytest.raises(Tampered):
        await store.commit(step(0, by="late"))  # would be superseded: carries the present record
    assert await alarmed(store) == [key]


@changes
@pytest.mark.parametrize("kind", ["effects", "timers"])
async def test_changed_effect_or_timer_is_parked_and_the_rest_goes_on(
    store: Store, admin: Redis, kind: str, change: Change
) -> None:
    wishes: dict[str, Any] = {kind: [("x-1", NOW, b"send"), ("x-2", NOW, b"send")]}
    await committed(store, step(0, **wishes))
    good = await held(admin, keys.effects(SHARD), "x-1")
    await admin.hset(keys.effects(SHARD), "x-1", change(good))
    assert [one.effect_id for one in await store.lease(NOW, lease_ms=1000)] == ["x-2"]
    assert "x-1" not in [one.effect_id for one in await store.lease(NOW + 9_000, lease_ms=1000)]
    assert await alarmed(store) == ([] if change(good) == b"" else [keys.effect(SHARD, "x-1")])
    assert await admin.zscore(keys.ready(SHARD), "x-1") is None


async def test_effect_written_by_hand_is_parked(store: Store, admin: Redis) -> None:
    await admin.hset(keys.effects(SHARD), "f-evil", b'{"effect":"send_order","order":{"verb":"node.wipe"}}')
    await admin.zadd(keys.ready(SHARD), {"f-evil": 0})
    await store._look_at_all()
    assert await store.lease(NOW, lease_ms=1000) == []
    assert await alarmed(store) == [keys.effect(SHARD, "f-evil")]


async def test_effect_with_bytes_for_a_name_is_parked(store: Store, admin: Redis) -> None:
    await admin.hset(keys.effects(SHARD), b"\xff\x00", b"x")
    await admin.zadd(keys.ready(SHARD), {b"\xff\x00": 0})
    await store._look_at_all()
    assert await store.lease(NOW, lease_ms=1000) == []
    assert await admin.zcard(keys.ready(SHARD)) == 0
    assert len(await alarmed(store)) == 1


async def test_effect_of_another_id_or_shard_is_parked(store: Store, admin: Redis) -> None:
    await committed(store, step(0, effects=[("f-1", NOW, b"send")]))
    good = await held(admin, keys.effects(SHARD), "f-1")
    other = (SHARD + 1) % 256
    for shard, id in ((SHARD, "f-copy"), (other, "f-1")):
        await admin.hset(keys.effects(shard), id, good)
        await admin.zadd(keys.ready(shard), {id: 0})
    await store._look_at_all()
    assert [one.effect_id for one in await store.lease(NOW, lease_ms=1000)] == ["f-1"]
    assert sorted(await alarmed(store)) == sorted([keys.effect(SHARD, "f-copy"), keys.effect(other, "f-1")])


@changes
async def test_changed_entry_is_parked(store: Store, admin: Redis, change: Change) -> None:
    await committed(store, step(0))
    await committed(store, step(1))
    rows: Any = await admin.xrange(keys.transcript(SESSION), "2-0")
    await admin.xdel(keys.transcript(SESSION), "2-0")
    await admin.xadd(keys.transcript(SESSION), {"e": change(rows[0][1][b"e"])}, id="2-1")
    with pytest.raises(Tampered):
        await store.entries(SESSION)
    assert await store.entries(SESSION, limit=1) == [(1, b"entry 1")]
    assert await alarmed(store) == [keys.entry(SESSION, 2)]


async def test_entry_taken_out_of_the_middle_is_noticed(store: Store, admin: Redis) -> None:
    for seen in range(3):
        await committed(store, step(seen))
    await admin.xdel(keys.transcript(SESSION), "2-0")
    with pytest.raises(Tampered):
        await store.entries(SESSION)
    with pytest.raises(Tampered):
        await store.entries(SESSION, after=1)


@changes
async def test_changed_outcome_of_a_commit_is_parked(store: Store, admin: Redis, change: Change) -> None:
    await committed(store, step(0, by="open"))
    good = await held(admin, keys.commits(SESSION), "open")
    await admin.hset(keys.commits(SESSION), "open", change(good))
    with pytest.raises(Tampered):
        await store.commit(step(0, by="open"))
    assert await alarmed(store) == [keys.commit(SESSION, "open")]


async def test_outcome_of_another_commit_is_not_returned(store: Store, admin: Redis) -> None:
    await committed(store, step(0, by="open"))
    good = await held(admin, keys.commits(SESSION), "open")
    await admin.hset(keys.commits(SESSION), "a-1", good)
    with pytest.raises(Tampered):
        await store.commit(step(1, by="a-1"))


@pytest.mark.parametrize("kind", Kind)
async def test_changed_record_of_any_kind_is_parked(store: Store, admin: Redis, kind: Kind) -> None:
    await store.put(kind, "x-good", b"body")
    for n, change in enumerate(CHANGES.values()):
        key = keys.record(kind, f"x-{n}")
        await store.put(kind, f"x-{n}", b"body")
        await admin.set(key, change(await held(admin, key)))
        for call in (
            store.get(kind, f"x-{n}"),
            store.take(kind, f"x-{n}"),
            store.put(kind, f"x-{n}", b"new", seen=1),
        ):
            with pytest.raises(Tampered):
                await call
        assert [one.id for one in (await store.all(kind)).items] == ["x-good"]
        assert await alarmed(store) == [key]

        assert await store.delete(kind, f"x-{n}")  # the way out: deleted with its alarm, written again
        assert await store.put(kind, f"x-{n}", b"new", seen=0) == 1
        assert await store.delete(kind, f"x-{n}")
        assert await alarmed(store) == []


async def test_record_of_another_kind_or_id_is_parked(store: Store, admin: Redis) -> None:
    await store.put(Kind.PERSON, "p-guest", b"role owner")
    good = await held(admin, keys.record(Kind.PERSON, "p-guest"))
    for kind, id in ((Kind.PERSON, "p-2"), (Kind.TOKEN, "p-guest")):
        await admin.set(keys.record(kind, id), good)
        with pytest.raises(Tampered):
            await store.get(kind, id)


async def test_record_with_a_longer_life_written_in_is_parked(
    store: Store, admin: Redis, clock: Clock
) -> None:
    await store.put(Kind.SIGN_IN, "c-1", b"p-1", expires_ms=clock() + 1000)
    key = keys.record(Kind.SIGN_IN, "c-1")
    good = await held(admin, key)
    await admin.set(key, good[:25] + (clock() + 10**9).to_bytes(8, "big") + good[33:])
    with pytest.raises(Tampered):
        await store.get(Kind.SIGN_IN, "c-1")


async def test_used_link_put_back_is_only_what_it_was_and_expires(
    store: Store, admin: Redis, clock: Clock
) -> None:
    ends = clock() + 60_000
    await store.put(Kind.LINK, "l-1", b"p-1", expires_ms=ends)
    key = keys.record(Kind.LINK, "l-1")
    good = await held(admin, key)
    assert await store.take(Kind.LINK, "l-1")
    await admin.set(key, good)  # the one thing a tag cannot show; bounded by its time
    clock.now_ms = ends
    assert await store.take(Kind.LINK, "l-1") is None


async def test_yesterdays_session_put_back_only_repeats_known_ids(store: Store, admin: Redis) -> None:
    """Attack S-2: what an old record leads to has ids that were used, so the first outcome is returned."""
    key = keys.session(SESSION)
    await committed(store, step(0))
    old: Any = await admin.hgetall(key)
    await committed(store, step(1, by="answer"))
    await admin.hset(key, mapping=old)
    assert (await store.commit(step(1, by="answer"))).outcome == b"outcome 2"  # type: ignore[union-attr]
    with pytest.raises((OutOfStep, Tampered)):
        await store.commit(step(1, by="another"))


WRONG_TYPES: dict[str, Callable[[Store], Awaitable[object]]] = {
    keys.session(SESSION): lambda store: store.load(SESSION),
    keys.transcript(SESSION): lambda store: store.entries(SESSION),
    keys.commits(SESSION): lambda store: store.commit(step(0)),
    keys.record(Kind.NODE, "n-1"): lambda store: store.get(Kind.NODE, "n-1"),
}


@pytest.mark.parametrize("key", WRONG_TYPES)
async def test_key_of_another_type_is_parked(store: Store, admin: Redis, key: str) -> None:
    await admin.rpush(key, "x")
    with pytest.raises(Tampered):
        await WRONG_TYPES[key](store)
    assert len(await alarmed(store)) == 1


@pytest.mark.parametrize(
    "key",
    [
        keys.session(SESSION),
        keys.transcript(SESSION),
        keys.commits(SESSION),
        keys.effects(SHARD),
        keys.attempts(SHARD),
        keys.ready(SHARD),
        keys.open_sessions(SHARD),
        keys.unindexed(SHARD),
    ],
)
async def test_commit_that_meets_a_key_of_another_type_writes_nothing(
    store: Store, admin: Redis, key: str
) -> None:
    await admin.rpush(key, "x")
    before = {name: await admin.dump(name) for name in await admin.keys()}
    with pytest.raises(Tampered):
        await store.commit(step(0, effects=[("f-1", NOW, b"")], timers=[("t-1", NOW, b"")], settled=["f-0"]))
    after = {name: await admin.dump(name) for name in await admin.keys()}
    after.pop(keys.parked(SHARD).encode(), None)
    assert after == before
    await admin.delete(key)  # put right: nothing else is needed to go on
    await committed(store, step(0))


async def test_ready_list_of_another_type_stops_only_its_own_shard(store: Store, admin: Redis) -> None:
    await admin.set(keys.ready((SHARD + 1) % 256), "x")
    await committed(store, step(0, effects=[("f-1", NOW, b"")]))
    await store._look_at_all()
    assert [one.effect_id for one in await store.lease(NOW, lease_ms=1000)] == ["f-1"]
    assert await alarmed(store) == [keys.types((SHARD + 1) % 256)]


async def test_changed_sizes_of_a_session_do_no_harm(store: Store, admin: Redis) -> None:
    await committed(store, step(0))
    await admin.hset(keys.session(SESSION), mapping={"n": "many", "b": "-1"})
    loaded = await store.load(SESSION)
    assert loaded is not None
    assert loaded.entries == 0
    with pytest.raises(Tampered):
        await store.commit(step(1))


async def test_find_is_logged_and_told_once_and_listed_with_its_reason(
    store: Store, admin: Redis, clock: Clock
) -> None:
    told: list[Alarm] = []
    store.on_alarm(told.append)
    await admin.set(keys.record(Kind.TOKEN, "x"), b"forged")
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(Tampered, match="parked and not used"):
                await store.get(Kind.TOKEN, "x")
    key = keys.record(Kind.TOKEN, "x")
    assert [(one["event"], one["key"], one["log_level"]) for one in logs] == [
        ("store.tampered", key, "error")
    ]
    assert [one.key for one in told] == [key]
    assert await store.alarms() == [Alarm(key=key, why="it has no tag", at_ms=clock())]


async def test_alarms_that_were_changed_too_are_still_listed(store: Store, admin: Redis) -> None:
    await admin.hset(keys.parked(3), mapping={"h1:{s003}:a": b"\xff", b"\xff": msgspec.msgpack.encode(7)})
    await admin.set(keys.parked(4), "x")
    found = await store.alarms()
    assert len(found) == 3
    assert {one.at_ms for one in found if one.key != keys.parked(4)} == {0}


async def test_parked_list_has_a_cap(store: Store, admin: Redis) -> None:
    for n in range(0, 2 * limits.PARKED_PER_SHARD, 500):
        names: dict[Any, Any] = {f"f-{m}": b"x" for m in range(n, n + 500)}
        await admin.hset(keys.effects(SHARD), mapping=names)
        await admin.zadd(keys.ready(SHARD), dict.fromkeys(names, 0))
    await store._look_at_all()
    assert await store.lease(NOW, lease_ms=1000, limit=50) == []
    assert await admin.zcard(keys.ready(SHARD)) == 0
    assert len(await store.alarms()) == limits.PARKED_PER_SHARD


async def test_pickle_is_never_loaded_from_the_store(store: Store, admin: Redis) -> None:
    """Attack R-6: what a stored value may do is fail its tag."""
    import pickle

    class Bomb:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return exec, ("raise SystemExit('executed')",)

    await admin.set(keys.record(Kind.FLOW, "x"), pickle.dumps(Bomb()))
    with pytest.raises(Tampered):
        await store.get(Kind.FLOW, "x")


def test_stamp_made_with_this_key_holds_for_its_name_only() -> None:
    tags = Tags(TAG_KEY)
    value = tags.stamp("a", b"body", version=3, expires_ms=9)
    assert tags.check("a", value) == (3, 9, b"body")
    for name in ("b", "", "aa"):
        with pytest.raises(Tampered):
            tags.check(name, value)


def test_every_single_byte_of_a_stamped_value_counts() -> None:
    tags = Tags(TAG_KEY)
    value = tags.stamp("name", b"body", version=1, expires_ms=2)
    for at in range(len(value)):
        with pytest.raises(Tampered):
            tags.check("name", flipped(at)(value))
        with pytest.raises(Tampered):
            tags.check("name", value[:at])


def test_tag_key_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="32"):
        Tags(b"short")
