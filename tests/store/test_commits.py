"""Commits: one wins, repeats get the first outcome, everything in one call or nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from redis.asyncio import Redis

from bot.store import (
    Commit,
    Committed,
    IdReused,
    Loaded,
    OutOfStep,
    Repeated,
    Store,
    StoreEmptied,
    Superseded,
    Tampered,
    TooLarge,
    keys,
    limits,
)
from bot.store.errors import BadName
from tests.store.conftest import Connect
from tests.store.steps import NOW, SESSION, committed, step


async def test_committed_session_is_loaded_with_its_transcript(store: Store) -> None:
    assert await store.load(SESSION) is None
    assert (await committed(store, step(0))).version == 1
    assert (await committed(store, step(1))).entries == 2

    loaded = await store.load(SESSION)
    assert loaded is not None
    assert (loaded.version, loaded.record, loaded.open, loaded.person) == (2, b"record 2", True, "p-1")
    assert await store.entries(SESSION) == [(1, b"entry 1"), (2, b"entry 2")]
    assert await store.entries(SESSION, after=1) == [(2, b"entry 2")]
    assert await store.entries(SESSION, after=2) == []


@pytest.mark.parametrize("processes", [1, 3])
async def test_of_100_answers_to_one_prompt_at_once_one_wins(another: Connect, processes: int) -> None:
    stores = [await another() for _ in range(processes)]
    await committed(stores[0], step(0))

    outcomes = await asyncio.gather(
        *(
            stores[n % processes].commit(step(1, by=f"answer {n}", record=f"of {n}".encode()))
            for n in range(100)
        )
    )

    assert Counter(type(one) for one in outcomes) == {Committed: 1, Superseded: 99}
    winner = next(n for n, one in enumerate(outcomes) if isinstance(one, Committed))
    assert {one for one in outcomes if isinstance(one, Superseded)} == {
        Superseded(2, f"of {winner}".encode())
    }
    assert len(await stores[0].entries(SESSION)) == 2


async def test_100_openings_of_one_session_at_once_make_one(store: Store) -> None:
    outcomes = await asyncio.gather(*(store.commit(step(0, by="open")) for _ in range(100)))
    assert Counter(type(one) for one in outcomes) == {Committed: 1, Repeated: 99}
    assert (await store.session_ids("p-1")).ids == [SESSION]


async def test_repeated_commit_returns_its_first_outcome_and_changes_nothing(store: Store) -> None:
    await committed(store, step(0, by="open", outcome=b"first"))
    await committed(store, step(1))
    assert await store.commit(step(0, by="open", outcome=b"other")) == Repeated(1, b"first")
    loaded = await store.load(SESSION)
    assert loaded is not None
    assert (loaded.version, loaded.entries) == (2, 2)


async def test_repeat_is_known_by_its_id_whatever_version_it_saw(store: Store) -> None:
    await committed(store, step(0))
    await committed(store, step(1, by="answer"))
    assert await store.commit(step(2, by="answer")) == Repeated(2, b"outcome 2")


async def test_same_id_with_another_body_is_refused(store: Store) -> None:
    await committed(store, step(0, body_sha="aa"))
    assert isinstance(await store.commit(step(0, body_sha="aa")), Repeated)
    with pytest.raises(IdReused):
        await store.commit(step(0, body_sha="bb"))


async def test_commit_on_a_session_that_is_not_there_is_superseded_by_nothing(store: Store) -> None:
    assert await store.commit(step(3)) == Superseded(0, b"")


async def test_superseded_commit_leaves_nothing_behind(store: Store) -> None:
    await committed(store, step(0))
    await committed(store, step(1))
    lost = step(1, by="late", effects=[("f-late", NOW, b"x")], timers=[("t-late", NOW, b"x")])
    assert isinstance(await store.commit(lost), Superseded)
    assert await store.lease(NOW, lease_ms=1000) == []
    assert len(await store.entries(SESSION)) == 2
    assert isinstance(await store.commit(lost), Superseded)  # its id is not taken either


@pytest.mark.parametrize("first", [1, 3])
async def test_entries_that_do_not_follow_are_refused_and_change_nothing(store: Store, first: int) -> None:
    await committed(store, step(0))
    with pytest.raises(OutOfStep):
        await store.commit(step(1, entries=[(first, b"x")]))
    loaded = await store.load(SESSION)
    assert loaded is not None
    assert (loaded.version, loaded.entries) == (1, 1)


async def test_effects_that_led_to_a_commit_are_settled_by_it(store: Store) -> None:
    await committed(store, step(0, effects=[("f-1", NOW, b"1"), ("f-2", NOW, b"2")]))
    assert len(await store.lease(NOW, lease_ms=1000)) == 2
    await committed(store, step(1, settled=["f-1", "f-never"]))
    assert [one.effect_id for one in await store.lease(NOW + 1000, lease_ms=1000)] == ["f-2"]


async def test_ended_session_moves_from_open_to_ended_for_its_person_and_flow(store: Store) -> None:
    await committed(store, step(0, flow="deploy"))
    assert (await store.session_ids("p-1")).ids == [SESSION]
    await committed(store, step(1, open=False, flow="deploy"))
    for asked in ({"person": "p-1"}, {"flow": "deploy"}, {"person": None}):
        assert (await store.session_ids(state="open", **asked)).ids == []
        assert (await store.session_ids(state="ended", **asked)).ids == [SESSION]
        assert (await store.session_ids(state=None, **asked)).ids == [SESSION]


@pytest.mark.parametrize("person", ["p-1", None])
@pytest.mark.parametrize("limit", [1, 3, 50])
async def test_sessions_are_paged_without_gap_or_repeat(store: Store, person: str | None, limit: int) -> None:
    made = [f"s-{n}" for n in range(11)]
    for n, id in enumerate(made):
        await committed(store, step(0, session_id=id, open=n % 3 != 0))

    found: list[str] = []
    after = ""
    for _ in range(30):
        page = await store.session_ids(person, state=None, after=after, limit=limit)
        assert len(page.ids) <= limit
        found += page.ids
        after = page.after
        if not after:
            break
    assert sorted(found) == sorted(made)
    assert [n in made[::3] for n in found] == sorted(n in made[::3] for n in found)  # the open ones first


async def test_lists_that_a_dead_process_left_unwritten_are_filled_by_the_next(
    store: Store, admin: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr(store._indexes, "write", dies)
    await committed(store, step(0))
    assert (await store.session_ids("p-1")).ids == []
    monkeypatch.undo()
    await store._look_at_all()
    assert (await store.session_ids("p-1")).ids == [SESSION]
    assert await admin.exists(keys.unindexed(keys.shard(SESSION))) == 0


async def test_lists_of_persons_and_flows_can_be_rebuilt(store: Store, admin: Redis) -> None:
    for n in range(5):
        await committed(store, step(0, session_id=f"s-{n}", flow="f", open=n > 0))
    before = [await store.session_ids("p-1", state=None), await store.session_ids(flow="f", state=None)]
    for of, id in (("person", "p-1"), ("flow", "f")):
        await admin.delete(*(keys.index(of, id, state) for state in ("open", "ended", "versions")))
    assert (await store.session_ids("p-1", state=None)).ids == []
    assert await store.rebuild_indexes() == 5
    after = [await store.session_ids("p-1", state=None), await store.session_ids(flow="f", state=None)]
    assert [set(page.ids) for page in after] == [set(page.ids) for page in before]


async def test_a_full_transcript_is_said_by_its_size(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not (await committed(store, step(0))).full
    monkeypatch.setattr(limits, "ENTRIES", 2)
    assert (await committed(store, step(1))).full
    monkeypatch.setattr(limits, "ENTRIES", 10_000)
    assert not (await committed(store, step(2))).full
    monkeypatch.setattr(limits, "TRANSCRIPT_BYTES", 200)
    assert (await committed(store, step(3, entries=[(4, b"x" * 200)]))).full


@pytest.mark.parametrize(
    "large",
    [
        {"record": b"x" * (limits.RECORD_BYTES + 1)},
        {"outcome": b"x" * (limits.OUTCOME_BYTES + 1)},
        {"entries": [(1, b"x" * (limits.ENTRY_BYTES + 1))]},
        {"effects": [("f-1", NOW, b"x" * (limits.EFFECT_BYTES + 1))]},
    ],
    ids=lambda large: next(iter(large)),
)
async def test_value_above_its_limit_is_refused_and_changes_nothing(
    store: Store, large: dict[str, Any]
) -> None:
    with pytest.raises(TooLarge):
        await store.commit(step(0, **large))
    assert await store.load(SESSION) is None


async def test_largest_values_allowed_are_kept(store: Store) -> None:
    record = b"r" * limits.RECORD_BYTES
    await committed(store, step(0, record=record, effects=[("f-1", NOW, b"e" * limits.EFFECT_BYTES)]))
    loaded = await store.load(SESSION)
    assert isinstance(loaded, Loaded)
    assert loaded.record == record
    assert len((await store.lease(NOW, lease_ms=1000))[0].body) == limits.EFFECT_BYTES


@pytest.mark.parametrize("bad", ["", "a b", "{x}", "s-1\n", "s/1", "x" * 201, "sé"])
async def test_id_that_could_reach_another_key_is_refused(store: Store, bad: str) -> None:
    for call in (
        store.load(bad),
        store.entries(bad),
        store.commit(step(0, session_id=bad)),
        store.commit(step(0, effects=[(bad, NOW, b"")])),
        store.say_progress(bad, b""),
        store.session_ids(bad),
    ):
        with pytest.raises(BadName):
            await call


async def test_emptied_store_takes_no_commit_and_says_so(store: Store, admin: Redis) -> None:
    await committed(store, step(0))
    await admin.flushall()
    for commit in (step(0, session_id="s-new"), step(1)):
        with pytest.raises(StoreEmptied):
            await store.commit(commit)
    with pytest.raises(StoreEmptied):
        await store.ping()


async def test_commits_of_one_turn_leave_in_few_writes(store: Store, admin: Redis) -> None:
    def commit(n: int) -> Commit:
        return step(0, session_id=f"s-{n}", person="")

    async def reads() -> int:
        return int((await admin.info("stats"))["total_reads_processed"])

    before = await reads()
    await asyncio.gather(*(store.commit(commit(n)) for n in range(400)))
    assert await reads() - before < 100  # one read of the server takes up to 16 kB of a pipeline


async def test_a_commit_from_what_was_remembered_meets_what_others_committed(another: Connect) -> None:
    here, there = await another(), await another()
    await committed(here, step(0))
    assert here.remembered(SESSION) == b"record 1"
    assert there.remembered(SESSION) is None
    await committed(there, step(1, by="there", record=b"of there"))
    assert await here.commit(step(1, by="here")) == Superseded(2, b"of there")
    assert here.remembered(SESSION) is None
    await committed(here, step(2, open=False))
    assert here.remembered(SESSION) is None  # ended: nobody commits to it again


async def test_a_record_changed_by_hand_is_not_committed_over_from_memory(store: Store, admin: Redis) -> None:
    await committed(store, step(0))
    raw = await admin.hget(keys.session(SESSION), "r")
    assert isinstance(raw, bytes)
    await admin.hset(keys.session(SESSION), "r", raw[:-1] + bytes([raw[-1] ^ 1]))
    changed = await admin.hgetall(keys.session(SESSION))
    for _ in range(2):
        with pytest.raises(Tampered):
            await store.commit(step(1))
    assert await admin.hgetall(keys.session(SESSION)) == changed
    assert [alarm.key for alarm in await store.alarms()] == [keys.session(SESSION)]


async def test_few_and_small_sessions_are_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "REMEMBERED", 2)
    for n in range(3):
        await committed(store, step(0, session_id=f"s-{n}"))
    assert [store.remembered(f"s-{n}") is None for n in range(3)] == [True, False, False]
    await committed(store, step(1, session_id="s-2", record=b"x" * limits.REMEMBERED_BYTES))
    assert store.remembered("s-2") is None
    await committed(store, step(2, session_id="s-2"))
