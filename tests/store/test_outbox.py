"""Effects and timers: leased, handed over when a lease ends, settled once."""

from __future__ import annotations

import asyncio

import pytest
from redis.asyncio import Redis

from bot.store import Leased, Store, keys
from tests.store.conftest import Connect
from tests.store.steps import NOW, SESSION, Clock, committed, step


async def lease(store: Store, now_ms: int = NOW, lease_ms: int = 1000, limit: int = 100) -> list[Leased]:
    return await store.lease(now_ms, lease_ms=lease_ms, limit=limit)


def ids(leased: list[Leased]) -> list[str]:
    return sorted(one.effect_id for one in leased)


async def test_effect_is_leased_once_it_is_due_with_all_it_was_given(store: Store) -> None:
    await committed(store, step(0, effects=[("f-1", NOW, b"body")], timers=[("t-1", NOW + 5, b"timer")]))
    assert await lease(store, NOW - 1) == []
    assert await lease(store, NOW) == [
        Leased(
            effect_id="f-1",
            session_id=SESSION,
            kind="effect",
            body=b"body",
            attempt=1,
            due_ms=NOW,
            until_ms=NOW + 1000,
        )
    ]
    [timer] = await lease(store, NOW + 5)
    assert (timer.effect_id, timer.kind, timer.body) == ("t-1", "timer", b"timer")


async def test_leased_effect_goes_to_nobody_else_until_the_lease_ends(another: Connect) -> None:
    one, other = await another(), await another()
    await committed(one, step(0, effects=[("f-1", NOW, b"")]))
    [mine] = await lease(one)
    assert await lease(other, NOW + 999) == []
    [theirs] = await lease(other, NOW + 1000)
    assert (mine.attempt, theirs.attempt) == (1, 2)


async def test_effect_of_a_killed_process_goes_to_another(another: Connect) -> None:
    dead, living = await another(), await another()
    await committed(dead, step(0, effects=[("f-1", NOW, b"")]))
    await lease(dead)
    await dead.close()
    assert ids(await lease(living, NOW + 1000)) == ["f-1"]


async def test_many_processes_share_effects_without_doubles(another: Connect) -> None:
    stores = [await another() for _ in range(4)]
    for n in range(60):
        await committed(stores[0], step(0, session_id=f"s-{n}", effects=[(f"f-{n}", NOW, b"")]))
    found = await asyncio.gather(*(lease(store, limit=60) for store in stores))
    assert sorted(id for some in found for id in ids(some)) == sorted(f"f-{n}" for n in range(60))


@pytest.mark.parametrize("limit", [1, 7, 300])
async def test_everything_due_is_found_whatever_the_limit(store: Store, limit: int) -> None:
    for n in range(20):
        effects = [(f"f-{n}-{m}", NOW, b"") for m in range(3)]
        await committed(store, step(0, session_id=f"s-{n}", effects=effects))
    found: list[Leased] = []
    while some := await lease(store, limit=limit):
        assert len(some) <= limit
        found += some
    assert len(found) == len(set(ids(found))) == 60


async def test_settled_effect_is_never_leased_again(store: Store) -> None:
    await committed(store, step(0, effects=[("f-1", NOW, b""), ("f-2", NOW, b"")]))
    leased = await lease(store)
    assert await store.settle(*leased) == 2
    assert await store.settle(*leased) == 0
    assert await lease(store, NOW + 10_000) == []


async def test_released_effect_comes_back_at_its_new_time(store: Store) -> None:
    await committed(store, step(0, effects=[("f-1", NOW, b"")]))
    [leased] = await lease(store, lease_ms=60_000)
    assert await store.release(leased, NOW + 50)
    assert await lease(store, NOW + 49) == []
    assert [one.attempt for one in await lease(store, NOW + 50)] == [2]


async def test_release_after_the_lease_went_to_another_changes_nothing(store: Store) -> None:
    await committed(store, step(0, effects=[("f-1", NOW, b"")]))
    [late] = await lease(store)
    [now_holder] = await lease(store, NOW + 1000, lease_ms=60_000)
    assert not await store.release(late, NOW)
    assert await lease(store, NOW + 2000) == []
    await store.settle(now_holder)
    assert not await store.release(now_holder, NOW)
    assert await lease(store, NOW + 90_000) == []


async def test_dropped_timer_never_comes(store: Store) -> None:
    await committed(store, step(0, timers=[("t-1", NOW, b""), ("t-2", NOW, b"")]))
    await committed(store, step(1, dropped_timers=["t-1"]))
    assert ids(await lease(store)) == ["t-2"]


async def test_repeated_commit_brings_no_settled_effect_back(store: Store) -> None:
    first = step(0, effects=[("f-1", NOW, b"")])
    await committed(store, first)
    await store.settle(*await lease(store))
    await store.commit(first)
    assert await lease(store, NOW + 10_000) == []


async def test_waiting_ends_when_this_process_commits_an_effect(store: Store, clock: Clock) -> None:
    await lease(store, clock())
    waiting = asyncio.create_task(store.wait_due(600))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    await committed(store, step(0, effects=[("f-1", clock(), b"")]))
    await asyncio.wait_for(waiting, 60)
    assert ids(await lease(store, clock())) == ["f-1"]


async def test_waiting_ends_when_another_process_commits_an_effect(another: Connect, clock: Clock) -> None:
    here, there = await another(), await another()
    await asyncio.sleep(0.1)  # the subscription stands
    await lease(here, clock())
    waiting = asyncio.create_task(here.wait_due(600))
    await asyncio.sleep(0)
    await committed(there, step(0, effects=[("f-1", clock(), b"")]))
    await asyncio.wait_for(waiting, 60)
    assert ids(await lease(here, clock())) == ["f-1"]


async def test_waiting_ends_at_the_time_of_a_timer(store: Store, clock: Clock) -> None:
    await committed(store, step(0, timers=[("t-1", clock() + 80, b"")]))
    await lease(store, clock())
    began = asyncio.get_running_loop().time()
    await store.wait_due(600)
    assert 0.05 < asyncio.get_running_loop().time() - began < 60


async def test_effect_whose_hint_was_lost_is_found_by_the_sweep(another: Connect) -> None:
    here, there = await another(), await another()
    await asyncio.sleep(0.1)
    await lease(here)
    here._outbox.note = lambda number, due_ms: None  # type: ignore[method-assign]
    here._hints._on_ready = lambda number, due_ms: None
    await committed(there, step(0, effects=[("f-1", NOW, b"")]))
    await asyncio.sleep(0.05)
    assert await lease(here) == []
    await here._look_at_all()
    assert ids(await lease(here)) == ["f-1"]


async def test_leasing_asks_the_server_nothing_when_nothing_is_due(store: Store, admin: Redis) -> None:
    async def calls() -> int:
        stats = await admin.info("commandstats")
        return int(stats.get("cmdstat_fcall", {}).get("calls", 0))

    await committed(store, step(0, timers=[("t-1", NOW + 60_000, b"")]))
    await lease(store)
    before = await calls()
    for _ in range(100):
        assert await lease(store) == []
    assert await calls() == before


async def test_wish_that_somebody_made_due_early_waits_for_its_own_time(store: Store, admin: Redis) -> None:
    await committed(store, step(0, timers=[("t-1", NOW + 60_000, b"")]))
    await admin.zadd(keys.ready(keys.shard(SESSION)), {"t-1": 0})
    await store._look_at_all()
    assert await lease(store) == []
    assert ids(await lease(store, NOW + 60_000)) == ["t-1"]


async def test_name_in_the_ready_list_without_an_effect_is_dropped(store: Store, admin: Redis) -> None:
    ready = keys.ready(keys.shard(SESSION))
    await admin.zadd(ready, {"f-ghost": 0})
    await store._look_at_all()
    assert await lease(store) == []
    assert await admin.zcard(ready) == 0


async def test_lease_of_no_time_is_our_bug(store: Store) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        await lease(store, lease_ms=0)


async def test_clock_set_back_keeps_no_effect_waiting_and_brings_no_timer_early(store: Store) -> None:
    hour_ms = 3_600_000
    timers = [("t-1", NOW + 1_000, b"")]
    await committed(store, step(0, effects=[("f-1", 0, b""), ("f-2", 0, b"")], timers=timers))
    first, _dead = await lease(store, NOW)
    assert await store.release(first, NOW + 300_000)  # a retry, timed by the clock as it was
    back = NOW - hour_ms
    assert ids(await lease(store, back)) == ["f-1", "f-2"]  # f-2: the lease of somebody who died then
    assert await lease(store, back) == []
    assert ids(await lease(store, NOW + 1_000)) == ["f-1", "f-2", "t-1"]


async def test_a_little_disorder_of_two_tasks_is_no_clock_set_back(store: Store) -> None:
    await committed(store, step(0, effects=[("f-1", 0, b"")]))
    assert ids(await lease(store, NOW)) == ["f-1"]
    assert await lease(store, NOW - 1_999) == []
