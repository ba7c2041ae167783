"""Orders for many nodes, and results that nobody waits for any more, on the real store with restarts."""

from __future__ import annotations

import pytest

from agent.orders.results import Result
from bot.engine.effects import SendOrder
from bot.engine.text import plain
from bot.runtime import limits
from tests.runtime.lab import Known, Lab, asks, done, is_over, until, well


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of the world in milliseconds; what a dead process held is taken up at once."""
    for name in ("RESEND_FROM_MS", "RESEND_TO_MS", "BACKOFF_TO_MS"):
        monkeypatch.setattr(limits, name, 60)
    monkeypatch.setattr(limits, "LEASE_MS", 250)
    monkeypatch.setattr(limits, "RENEW_S", 0.06)


def known(lab: Lab) -> list[Known]:
    return list(lab.world.orders.values())


async def test_a_bot_killed_in_the_middle_of_many_goes_on_and_each_is_done_once(lab: Lab) -> None:
    session = (await lab.open("spread")).session
    lab.world.answering = lambda effect: None
    await lab.answer(session, True)
    await until(lambda: len(known(lab)) == 2)
    for n in range(5):
        await until(lambda n=n: len(known(lab)) > n)  # type: ignore[misc]
        one = known(lab)[n]
        one.result, one.carried_out = done(one.effect), one.carried_out + 1
        if n in (1, 3):
            await lab.kill()
            await lab.begin()
        lab.fleet.tell(one.effect.id)
    session = await lab.until(session.id, asks("more"))
    assert sorted(o.effect.node for o in known(lab)) == [f"n-{one * 16}" for one in "abcde"]
    assert {one.carried_out for one in known(lab)} == {1}
    assert session.batch is None
    await until(lab.outbox_is_empty)


async def test_all_results_at_once_lose_nothing(lab: Lab) -> None:
    session = (await lab.open("spread")).session
    await lab.answer(session, True)
    session = await lab.until(session.id, asks("more"))
    told = [e for e in await lab.entries(session.id) if e.kind == "finished"]
    assert len(told) == 6 and len({e.order for e in told}) == 6


async def test_a_watcher_sees_what_a_target_is_but_not_what_the_flow_knows_of_it(lab: Lab) -> None:
    lab.world.answering = lambda effect: None
    session = (await lab.open("spread")).session
    session = (await lab.answer(session, True)).session
    assert session.batch is not None
    assert [t.state for t in session.batch.targets] == ["under_way", "under_way", "to_do", "to_do", "to_do"]
    assert all(t.value is None and t.label for t in session.batch.targets)


async def test_what_was_gone_on_without_is_told_after_the_end_and_after_a_restart(lab: Lab) -> None:
    def unknown(effect: SendOrder) -> Result | None:
        if effect.order["verb"] == "image.resolve":
            return well(effect)
        return Result(order=effect.id, node=effect.node, verb=effect.order["verb"], outcome="unknown")

    lab.world.answering = unknown
    session = (await lab.open("fetch")).session
    await lab.answer((await lab.answer(session, "nginx")).session, True)
    session = await lab.until(session.id, lambda s: s.unsure is not None)
    session = (await lab.answer(session, "go_on")).session
    session = (await lab.answer(session, "enough")).session
    assert is_over(session) and len(session.unsettled) == 1
    order = known(lab)[1]
    assert order.effect.id.encode() in await lab.outbox(), "its node is asked on"
    await lab.kill()
    await lab.begin()
    order.result = well(order.effect)
    lab.fleet.tell(order.effect.id)
    session = await lab.until(session.id, lambda s: s.unsettled == ())
    assert is_over(session) and session.outcome == "done"
    last = (await lab.entries(session.id))[-1]
    assert last.kind == "corrected" and "it was done" in plain(last.text)
    await until(lab.outbox_is_empty)
