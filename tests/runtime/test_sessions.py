"""Open, answer, repeat, refuse."""

from __future__ import annotations

import asyncio

import pytest

from bot.engine.refusals import AlreadyAnswered, IdReused, InvalidAnswer, NoSuchFlow, NoSuchSession, NotNow
from tests.runtime.lab import ANNA, BEN, Lab, asks, is_over


async def test_a_session_is_opened_answered_and_ended(lab: Lab) -> None:
    view = await lab.open("greet")
    assert asks("who")(view.session)
    view = await lab.answer(view.session, "Ada")
    view = await lab.answer(view.session, 3)
    assert (view.session.status, view.session.outcome) == ("ended", "done")
    kinds = [(e.n, e.kind) for e in await lab.entries(view.session.id)]
    assert kinds == list(enumerate(["asked", "answered", "asked", "answered", "said", "ended"], start=1))


async def test_orders_are_sent_and_their_results_go_on(lab: Lab) -> None:
    session = (await lab.open("fetch")).session
    session = (await lab.answer(session, "nginx")).session
    await lab.answer(session, True)
    session = await lab.until(session.id, asks("more"))
    assert [known.carried_out for known in lab.world.orders.values()] == [1, 1]
    session = (await lab.answer(session, "done")).session
    assert is_over(session)


async def test_live_options_fill_in_and_a_timer_comes(lab: Lab) -> None:
    session = (await lab.open("choice")).session
    session = await lab.until(session.id, asks("which"))
    assert session.shown is not None
    assert [o.value for o in session.shown.options] == ["c0", "c1", "c2"]
    assert is_over((await lab.answer(session, "c1")).session)
    session = (await lab.open("pause", id="2")).session
    await lab.answer(session, "x")
    await lab.until(session.id, is_over)


async def test_called_flow_runs_in_the_same_session(lab: Lab) -> None:
    session = (await lab.open("outer")).session
    for value in ("a", "b", 2):
        session = (await lab.answer(session, value)).session
    assert is_over(session)
