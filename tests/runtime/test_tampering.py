"""What somebody writes into the store by hand is never acted on, and disturbs nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from bot.store import Tampered
from tests.runtime.lab import Lab, asks, is_over, until


async def keys(client: Any, pattern: str, type: bytes) -> list[bytes]:
    return [key async for key in client.scan_iter(pattern) if await client.type(key) == type]


def flipped(value: bytes) -> bytes:
    return value[:-1] + bytes([value[-1] ^ 1])


async def flip(client: Any, key: bytes, field: str | bytes) -> None:
    await client.hset(key, field, flipped(await client.hget(key, field)))


async def test_a_changed_session_is_held_and_the_others_go_on(lab: Lab) -> None:
    session = (await lab.open("fetch")).session
    session = (await lab.answer(session, "nginx")).session
    lab.world.answering = lambda effect: None
    await lab.answer(session, True)
    await until(lambda: bool(lab.world.orders))
    async with lab.admin() as client:
        found = await keys(client, f"h1:*{session.id}*", b"hash")
        [key] = [key for key in found if await client.hexists(key, "r")]
        await flip(client, key, "r")
    with pytest.raises(Tampered):
        await lab.session(session.id)
    with pytest.raises(Tampered):
        await lab.answer(session, "x", id="new")
    lab.world.answering = None
    order = next(iter(lab.world.orders.values()))
    await lab.fleet.send(order.effect)  # its result finds a session that nobody may act on
    assert not [s for s in (await lab.runtime.sessions(person=session.person)).items if s.id == session.id]
    other = (await lab.open("greet", id="2")).session
    assert asks("often")((await lab.answer(other, "Ada")).session)
    assert await lab.store.alarms()


async def test_a_session_changed_before_the_next_answer_is_held(lab: Lab) -> None:
    session = (await lab.open("greet")).session
    session = (await lab.answer(session, "Ada")).session
    async with lab.admin() as client:
        found = await keys(client, f"h1:*{session.id}*", b"hash")
        [key] = [key for key in found if await client.hexists(key, "r")]
        await flip(client, key, "r")
    for id in ("one", "two"):
        with pytest.raises(Tampered):
            await lab.answer(session, 3, id=id)
    assert await lab.store.alarms()


async def test_a_changed_effect_is_never_carried_out(lab: Lab) -> None:
    await lab.runtime.stop()
    session = (await lab.open("fetch")).session
    session = (await lab.answer(session, "nginx")).session
    await lab.answer(session, True)
    async with lab.admin() as client:
        for key in await keys(client, "h1:*:effects", b"hash"):
            for id in await client.hkeys(key):
                await flip(client, key, id)
    await lab.runtime.start()
    other = (await lab.open("pause", id="2")).session
    await lab.answer(other, "x")
    await lab.until(other.id, is_over)
    assert not lab.world.orders
    assert len(await lab.store.alarms()) >= 2


async def test_a_changed_flow_is_never_run(lab: Lab) -> None:
    session = (await lab.open("greet")).session
    client: Any
    async with lab.admin() as client:
        [key] = await keys(client, f"h1:*{session.flow_version}*", b"string")
        await client.set(key, flipped(await client.get(key)))
    lab.flows._ready.clear()  # as another process would begin
    with pytest.raises(Tampered):
        await lab.answer(session, "Ada")
