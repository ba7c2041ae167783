"""Who watches a session sees every entry once, in order, and the prompt after the entries that led to it."""

from __future__ import annotations

import asyncio

import pytest

from agent.orders.results import Progress
from bot.engine.refusals import NoSuchSession
from bot.engine.session import Entry, Session
from bot.runtime import Runtime, Update, limits, watching
from bot.store import Store
from bot.store.setup import BOT_USER
from tests.runtime.lab import ANNA, BODY_KEY, BOT, INSTALLATION, TAG_KEY, Lab, asks, is_over, until


async def test_a_watcher_sees_a_whole_session_in_order(lab: Lab) -> None:
    session = (await lab.open("fetch")).session
    seen: list[Update] = []

    async def watch() -> None:
        async with lab.runtime.watch(session.id, after=0) as updates:
            async for update in updates:
                seen.append(update)
                if isinstance(update.body, Session) and is_over(update.body):
                    return

    watching_ = asyncio.create_task(watch())
    await lab.answer((await lab.answer(session, "nginx")).session, True)
    await lab.answer(await lab.until(session.id, asks("more")), "x")
    await asyncio.wait_for(watching_, 60)
    entries = [u.body for u in seen if isinstance(u.body, Entry)]
    assert [e.n for e in entries] == list(range(1, len(entries) + 1))
    assert len(entries) == len(await lab.entries(session.id))
    told = 0
    for update in seen:  # no prompt comes before the entries that it stands on
        if isinstance(update.body, Entry):
            told = update.body.n
        elif isinstance(update.body, Session):
            assert update.body.entries <= told


async def test_two_hundred_watchers_that_come_at_any_time_have_no_gap_and_no_repeat(lab: Lab) -> None:
    session = (await lab.open("greet")).session

    async def watch(start_s: float) -> list[int]:
        await asyncio.sleep(start_s)
        numbers: list[int] = []
        async with lab.runtime.watch(session.id, after=0) as updates:
            async for update in updates:
                if isinstance(update.body, Entry):
                    numbers.append(update.body.n)
                elif isinstance(update.body, Session) and is_over(update.body):
                    return numbers
        raise AssertionError

    watchers = [asyncio.create_task(watch(n / 1000)) for n in range(200)]
    for n in range(8):
        await asyncio.sleep(0.02)
        at = {"person": ANNA, "session_id": session.id}
        session = (await lab.answer(session, "Ada", id=f"a{n}")).session
        session = (await lab.runtime.back(**at, seq=session.seq, id=f"b{n}")).session  # type: ignore[arg-type]
    session = (await lab.answer((await lab.answer(session, "Ada", id="end")).session, 3, id="last")).session
    wanted = list(range(1, session.entries + 1))
    assert await asyncio.gather(*watchers) == [wanted] * 200


async def test_a_lookup_that_fills_in_is_told_as_options(lab: Lab) -> None:
    gate = asyncio.Event()
    real = lab.fleet.facts

    async def slow(effect: object) -> object:
        await gate.wait()
        return await real(effect)  # type: ignore[arg-type]

    lab.fleet.facts = slow  # type: ignore[method-assign, assignment]
    session = (await lab.open("choice")).session
    kinds: list[str] = []
    async with lab.runtime.watch(session.id, after=0) as updates:
        async for update in updates:
            kinds.append(update.kind)
            gate.set()
            if isinstance(update.body, Session) and asks("which")(update.body):
                break
    assert kinds[:2] == ["entry", "prompt"]
    assert kinds[-1] == "options"


async def test_progress_reaches_who_watches_and_who_comes_later(lab: Lab) -> None:
    lab.world.answering = lambda effect: None
    session = (await lab.open("fetch")).session
    session = (await lab.answer((await lab.answer(session, "nginx")).session, True)).session
    await until(lambda: bool(lab.world.orders))
    order = next(iter(lab.world.orders))

    async def first_progress() -> Progress:
        async with lab.runtime.watch(session.id) as updates:
            async for update in updates:
                if isinstance(update.body, Progress):
                    return update.body
        raise AssertionError

    early = asyncio.create_task(first_progress())
    await asyncio.sleep(0.1)
    await lab.runtime.order_progressed(
        order, Progress(order=order, step="getting_image", says="Half.", done=1)
    )
    assert (await asyncio.wait_for(early, 60)).says == "Half."
    assert (await asyncio.wait_for(first_progress(), 60)).says == "Half."
    await lab.runtime.order_progressed("o-0000000000000000", Progress(order="o", step="x", says="Nobody's."))


async def test_a_lost_hint_costs_some_seconds_and_nothing_else(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOOK_S", 0.2)
    session = (await lab.open("greet")).session
    monkeypatch.setattr(lab.store._hints, "_for_watchers", lambda channel, data: None)
    elsewhere = another_process(lab)
    other = asyncio.create_task(lab.until(session.id, asks("often")))
    await asyncio.sleep(0.1)
    await elsewhere.answer(person=ANNA, session_id=session.id, seq=session.seq, id="a", value="Ada")
    await asyncio.wait_for(other, 60)


async def test_what_two_processes_commit_in_turn_is_seen_once_and_in_order(lab: Lab) -> None:
    session = (await lab.open("greet")).session
    elsewhere = another_process(lab)
    seen: list[int] = []

    async def watch() -> None:
        async with lab.runtime.watch(session.id, after=0) as updates:
            async for update in updates:
                if isinstance(update.body, Entry):
                    seen.append(update.body.n)
                elif isinstance(update.body, Session) and is_over(update.body):
                    return

    watchers = [asyncio.create_task(watch()) for _ in range(3)]
    for n in range(30):
        here, there = (lab.runtime, elsewhere) if n % 2 else (elsewhere, lab.runtime)
        at = {"person": ANNA, "session_id": session.id}
        session = (await here.answer(**at, seq=session.seq, id=f"a{n}", value="Ada")).session  # type: ignore[arg-type]
        session = (await there.back(**at, seq=session.seq, id=f"b{n}")).session  # type: ignore[arg-type]
    await elsewhere.cancel(person=ANNA, session_id=session.id, seq=session.seq, id="end")
    await asyncio.wait_for(asyncio.gather(*watchers), 60)
    entries = await lab.entries(session.id)
    assert sorted(seen) == sorted([e.n for e in entries] * 3)


async def test_a_process_that_remembers_less_refuses_nothing_for_it(lab: Lab) -> None:
    session = (await lab.open("greet")).session
    server, at = lab.server, {"person": ANNA, "session_id": session.id}
    store = await Store.connect(
        server.url, user=BOT_USER, password=BOT, tag_key=TAG_KEY, installation=INSTALLATION
    )
    try:
        elsewhere = another_process(lab, store)
        for n in range(5):
            here, there = (lab.runtime, elsewhere) if n % 2 else (elsewhere, lab.runtime)
            session = (await here.answer(**at, seq=session.seq, id=f"a{n}", value="Ada")).session  # type: ignore[arg-type]
            session = (await there.back(**at, seq=session.seq, id=f"b{n}")).session  # type: ignore[arg-type]
            again = await here.back(**at, seq=session.seq - 1, id=f"b{n}")  # type: ignore[arg-type]
            assert again.repeated
    finally:
        await store.close()


async def test_what_is_committed_here_is_told_without_reading_it(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = (await lab.open("greet")).session
    async with lab.runtime.watch(session.id, after=0) as updates:
        async for update in updates:
            if update.kind == "prompt":
                break
        monkeypatch.setattr(lab.store, "entries", None)
        answered = (await lab.answer(session, "Ada")).session
        told = []
        async for update in updates:
            told.append(update.body)
            if isinstance(update.body, Session):
                break
    assert told[-1] == answered
    assert [e.n for e in told[:-1] if isinstance(e, Entry)] == [
        *range(session.entries + 1, answered.entries + 1)
    ]


def another_process(lab: Lab, store: Store | None = None) -> Runtime:
    """A runtime on the same store that does not share what this one knows."""
    return Runtime(
        store=store or lab.store,
        fleet=lab.fleet,
        sealer=lab.fleet,
        flows=lab.flows,
        audit=lab.audit,
        body_key=BODY_KEY,
        now_ms=lab.now_ms,
    )


async def test_entries_wait_for_one_to_come(lab: Lab) -> None:
    session = (await lab.open("greet")).session
    at = {"person": ANNA, "session_id": session.id}
    assert await lab.runtime.entries(**at, after=1, wait_s=0.05) == []  # type: ignore[arg-type]
    waiting = asyncio.create_task(lab.runtime.entries(**at, after=1, wait_s=60))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    await lab.answer(session, "Ada")
    assert (await asyncio.wait_for(waiting, 60))[0].n == 2
    assert [e.n for e in await lab.runtime.entries(**at, after=0, limit=2)] == [1, 2]  # type: ignore[arg-type]


async def test_a_session_that_is_not_there_cannot_be_watched(lab: Lab) -> None:
    with pytest.raises(NoSuchSession):
        async with lab.runtime.watch("s-0000000000000000") as updates:
            await anext(updates)


def test_progress_of_another_release_is_left_out() -> None:
    assert watching._progress(b'{"x": 1}') is None
    assert watching._progress(b"\xff") is None
