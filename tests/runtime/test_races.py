"""Many at once: one answer wins, the others are told, nobody waits for nobody."""

from __future__ import annotations

import asyncio

from bot.engine.refusals import AlreadyAnswered, NotNow
from bot.runtime import View
from tests.runtime.lab import ANNA, Lab, asks, is_over


async def test_of_a_hundred_answers_to_one_prompt_one_wins(lab: Lab) -> None:
    session = (await lab.open("greet")).session
    outcomes = await asyncio.gather(
        *(lab.answer(session, f"p{n}", id=f"id{n}") for n in range(100)), return_exceptions=True
    )
    won = [o for o in outcomes if isinstance(o, View)]
    assert len(won) == 1
    assert not won[0].repeated
    assert sum(isinstance(o, AlreadyAnswered) for o in outcomes) == 99
    said = [e for e in await lab.entries(session.id) if e.kind == "answered"]
    assert len(said) == 1


async def test_of_a_hundred_times_the_same_answer_all_get_the_first_outcome(lab: Lab) -> None:
    session = (await lab.open("greet")).session
    views = await asyncio.gather(*(lab.answer(session, "Ada", id="same") for _ in range(100)))
    assert sum(not view.repeated for view in views) == 1
    assert len({view.session.version for view in views}) == 1
    assert len([e for e in await lab.entries(session.id) if e.kind == "answered"]) == 1


async def test_answers_back_and_cancel_at_once_leave_one_whole_transcript(lab: Lab) -> None:
    for round_ in range(10):
        session = (await lab.open("greet", id=f"r{round_}")).session
        session = (await lab.answer(session, "Ada")).session
        at = {"person": ANNA, "session_id": session.id, "seq": session.seq}
        outcomes = await asyncio.gather(
            lab.answer(session, 3, id="answer"),
            lab.runtime.back(**at, id="back"),  # type: ignore[arg-type]
            lab.runtime.cancel(**at, id="cancel"),  # type: ignore[arg-type]
            return_exceptions=True,
        )
        assert sum(isinstance(o, View) for o in outcomes) == 1
        assert all(isinstance(o, View | AlreadyAnswered | NotNow) for o in outcomes)
        entries = await lab.entries(session.id)
        assert [e.n for e in entries] == list(range(1, len(entries) + 1))


async def test_a_lookup_that_comes_while_a_person_goes_back_disturbs_nobody(lab: Lab) -> None:
    session = (await lab.open("choice")).session
    await asyncio.gather(
        lab.runtime.cancel(person=ANNA, session_id=session.id, seq=1, id="c"),
        lab.until(session.id, is_over),
    )
    assert not lab.runtime.parked()


async def test_two_hundred_sessions_at_once_all_end(lab: Lab) -> None:
    async def play(n: int) -> None:
        session = (await lab.open("fetch", id=f"s{n}")).session
        session = (await lab.answer(session, "nginx")).session
        await lab.answer(session, True)
        session = await lab.until(session.id, asks("more"), within_s=60)
        assert is_over((await lab.answer(session, "x")).session)

    await asyncio.gather(*(play(n) for n in range(200)))
    assert len(lab.world.orders) == 400
    assert {known.carried_out for known in lab.world.orders.values()} == {1}
