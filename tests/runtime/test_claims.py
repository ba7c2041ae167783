"""Claims on a real store: of many at once one has it, and a dead one lets go."""

from __future__ import annotations

import asyncio

import pytest

from bot.engine.effects import SendOrder
from bot.engine.session import Session
from bot.engine.text import plain
from bot.runtime import claims as claiming
from bot.runtime import limits
from bot.runtime.claims import Claim, Claims
from bot.store import Kind
from tests.runtime.lab import ANNA, BEN, Known, Lab, asks, is_over, now_ms, until, well

DEPLOYMENT = "d-0000000000000000"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of the world in milliseconds."""
    for name in ("RESEND_FROM_MS", "RESEND_TO_MS", "BACKOFF_TO_MS", "CLAIM_LOOK_MS"):
        monkeypatch.setattr(limits, name, 60)
    monkeypatch.setattr(limits, "LEASE_MS", 250)
    monkeypatch.setattr(limits, "RENEW_S", 0.06)


async def named(person: str, /) -> str:
    return f"name of {person}"


def order(session: str, **more: str) -> SendOrder:
    return SendOrder(
        id=f"o-{session}",
        session=session,
        node="n-1",
        order={"verb": "container.stop"},
        actor=f"p-{session}",
        not_before_ms=0,
        expires_ms=1,
        claim=DEPLOYMENT,
        **more,
    )


async def stopping(lab: Lab, who: object = ANNA, id: str = "1") -> Session:
    """A session that has been told to stop it."""
    session = (await lab.open("halt", id=id, who=who)).session  # type: ignore[arg-type]
    return (await lab.answer(session, True, who=who)).session  # type: ignore[arg-type]


def known(lab: Lab) -> list[Known]:
    return list(lab.world.orders.values())


async def test_of_many_at_once_exactly_one_has_it_again_and_again(lab: Lab) -> None:
    claims = Claims(lab.store, named, now_ms)
    for n in range(20):
        sessions = [f"s-{n}-{one}" for one in range(8)]
        found = await asyncio.gather(*(claims.take(order(s)) for s in sessions))
        winners = [s for s, other in zip(sessions, found, strict=True) if other is None]
        assert len(winners) == 1
        assert {other.session for other in found if other is not None} == set(winners)
        assert {other.name for other in found if other is not None} == {f"name of p-{winners[0]}"}
        await asyncio.gather(*(claims.release(s, (DEPLOYMENT,)) for s in sessions))
        assert await claims.is_free(DEPLOYMENT, "s-any")


async def test_of_many_that_meet_a_dead_ones_claim_exactly_one_has_it(lab: Lab) -> None:
    ahead_ms = 0
    claims = Claims(lab.store, named, lambda: now_ms() + ahead_ms)
    assert await claims.take(order("s-dead")) is None
    for n in range(20):
        ahead_ms += claiming.LEASE_MS + 1
        sessions = [f"s-{n}-{one}" for one in range(8)]
        found = await asyncio.gather(*(claims.take(order(s)) for s in sessions))
        assert sum(other is None for other in found) == 1


async def test_of_many_that_take_over_one_has_it_and_the_others_meet_that_one(lab: Lab) -> None:
    claims = Claims(lab.store, named, now_ms)
    assert await claims.take(order("s-slow")) is None
    sessions = [f"s-{one}" for one in range(8)]
    found = await asyncio.gather(*(claims.take(order(s, breaks="s-slow", because="x")) for s in sessions))
    assert sum(other is None for other in found) == 1
    await claims.release("s-slow", (DEPLOYMENT,))
    assert not await claims.is_free(DEPLOYMENT, "s-slow"), "what is another's is not given back"


async def test_taken_twice_by_one_session_is_taken_once_and_renewed(lab: Lab) -> None:
    ahead_ms = 0
    claims = Claims(lab.store, named, lambda: now_ms() + ahead_ms)
    assert await claims.take(order("s-1")) is None
    for _ in range(3):
        ahead_ms += claiming.LEASE_MS - 1_000
        await claims.renew(order("s-1"))
    assert await claims.take(order("s-1")) is None
    other = await claims.take(order("s-2"))
    assert other is not None and other.since_ms < now_ms() + 1_000, "since when is told from the first"
    await claims.renew(order("s-2"))
    assert isinstance(await claims.take(order("s-2")), Claim), "nobody renews what is another's"


async def test_a_second_person_is_told_who_is_at_it_waits_and_goes_on(lab: Lab) -> None:
    lab.world.answering = lambda effect: None
    first = await stopping(lab)
    await until(lambda: len(known(lab)) == 1)
    second = await stopping(lab, BEN, "2")
    second = await lab.until(second.id, asks("way_on"))
    assert second.shown is not None and "is at it just now: Stopping it" in second.shown.problem
    assert len(known(lab)) == 1, "the second order was not handed over"
    second = (await lab.answer(second, "wait", who=BEN)).session
    assert second.waiting is not None and second.waiting.kind == "claim"
    await lab.kill()
    await lab.begin()
    lab.world.answering = None
    one = known(lab)[0]
    one.result = well(one.effect)
    lab.fleet.tell(one.effect.id)
    first = await lab.until(first.id, asks("more"))
    await lab.answer(first, "enough")
    await lab.until(second.id, asks("more"))
    assert len(known(lab)) == 2
    await until(lab.outbox_is_empty)


async def test_taking_over_tells_the_other_and_goes_on(lab: Lab) -> None:
    lab.world.answering = lambda effect: None
    first = await stopping(lab)
    await until(lambda: len(known(lab)) == 1)
    second = await lab.until((await stopping(lab, BEN, "2")).id, asks("way_on"))
    second = (await lab.answer(second, "take_over", who=BEN)).session
    await lab.answer(second, "It hangs.", who=BEN)
    await until(lambda: len(known(lab)) == 2)
    await until(lambda: _was_told(lab, first.id))
    lab.world.answering = None
    for one in known(lab):
        one.result = well(one.effect)
        lab.fleet.tell(one.effect.id)
    await lab.until(second.id, asks("more"))
    await lab.until(first.id, asks("more"))


async def _was_told(lab: Lab, session_id: str) -> bool:
    told = [plain(e.text) for e in await lab.entries(session_id) if e.outcome == "taken_over"]
    return bool(told) and told[0].endswith("took over what you are working on: It hangs.")


async def test_a_claim_is_given_back_at_the_end(lab: Lab) -> None:
    session = await lab.until((await stopping(lab)).id, asks("more"))
    found = await lab.store.get(Kind.CLAIM, DEPLOYMENT)
    assert found is not None and session.id.encode() in found.body
    session = (await lab.answer(session, "enough")).session
    assert is_over(session)
    await until(lab.outbox_is_empty)
    found = await lab.store.get(Kind.CLAIM, DEPLOYMENT)
    assert found is not None and session.id.encode() not in found.body


async def test_a_record_that_was_changed_by_hand_stops_nobody(lab: Lab) -> None:
    claims = Claims(lab.store, named, now_ms)
    assert await claims.take(order("s-1")) is None
    async with lab.admin() as client:
        keys = [key async for key in client.scan_iter(f"*record:claim:{DEPLOYMENT}")]
        assert len(keys) == 1
        await client.set(keys[0], b"forged")
    assert await claims.take(order("s-2")) is None
    assert await claims.is_free(DEPLOYMENT, "s-3")
    await claims.renew(order("s-2"))
    await claims.release("s-2", (DEPLOYMENT,))
