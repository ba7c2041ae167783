"""Open, answer, repeat, refuse."""

from __future__ import annotations

import asyncio

import pytest

from bot.engine.refusals import AlreadyAnswered, IdReused, InvalidAnswer, NoSuchFlow, NoSuchSession, NotNow
from bot.runtime import limits
from bot.runtime.refusals import BadId, TooManyOpen
from tests.runtime.lab import ANNA, BEN, OWNER, Lab, Someone, asks, is_over


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


async def test_a_value_that_does_not_fit_changes_nothing(lab: Lab) -> None:
    session = (await lab.open("greet")).session
    session = (await lab.answer(session, "Ada")).session
    values: list[object] = [0, 10, "many", None, [], {"a": 1}]
    for value in values:
        with pytest.raises(InvalidAnswer):
            await lab.answer(session, value)
    assert (await lab.session(session.id)).version == session.version
    assert is_over((await lab.answer(session, 9)).session)


async def test_the_same_answer_again_returns_the_first_outcome_however_late(lab: Lab) -> None:
    opened = (await lab.open("greet")).session
    first = await lab.answer(opened, "Ada", id="x")
    await lab.answer(first.session, 3)
    again = await lab.answer(opened, "Ada", id="x")
    assert again.repeated
    assert again.session == first.session
    with pytest.raises(IdReused):
        await lab.answer(opened, "Bob", id="x")
    with pytest.raises(IdReused):
        await lab.runtime.back(person=ANNA, session_id=opened.id, seq=1, id="x")


async def test_an_answered_question_is_refused_by_a_new_id(lab: Lab) -> None:
    opened = (await lab.open("greet")).session
    await lab.answer(opened, "Ada", id="x")
    with pytest.raises(AlreadyAnswered):
        await lab.answer(opened, "Ada", id="y")
    with pytest.raises(NotNow):
        await lab.runtime.answer(person=ANNA, session_id=opened.id, seq=7, id="z", value=1)


async def test_a_retried_start_meets_the_same_session(lab: Lab) -> None:
    first = await lab.open("greet", id="start")
    again = await lab.open("greet", id="start")
    assert (first.repeated, again.repeated) == (False, True)
    assert again.session == first.session
    other = await lab.open("greet", id="start", who=BEN)
    assert other.session.id != first.session.id
    with pytest.raises(IdReused):
        await lab.open("fetch", id="start")
    with pytest.raises(IdReused):
        await lab.open("greet", id="start", often=3)


async def test_many_starts_with_one_id_make_one_session(lab: Lab) -> None:
    views = await asyncio.gather(*(lab.open("greet", id="start") for _ in range(30)))
    assert len({view.session.id for view in views}) == 1
    assert sum(not view.repeated for view in views) == 1
    assert len(await lab.entries(views[0].session.id)) == 1


async def test_a_retried_back_goes_back_once(lab: Lab) -> None:
    session = (await lab.open("greet")).session
    session = (await lab.answer(session, "Ada")).session
    views = [
        await lab.runtime.back(person=ANNA, session_id=session.id, seq=session.seq, id="b") for _ in range(3)
    ]
    assert [view.repeated for view in views] == [False, True, True]
    assert {view.session.version for view in views} == {session.version + 1}
    assert asks("who")(await lab.session(session.id))


async def test_a_cancelled_session_takes_back_what_it_did(lab: Lab) -> None:
    session = (await lab.open("fetch")).session
    session = (await lab.answer(session, "nginx")).session
    await lab.answer(session, True)
    session = await lab.until(session.id, asks("more"))
    await lab.runtime.cancel(person=ANNA, session_id=session.id, seq=session.seq, id="c")
    session = await lab.until(session.id, is_over)
    assert session.outcome == "cancelled"
    assert [known.effect.order["verb"] for known in lab.world.orders.values()] == [
        "image.resolve",
        "image.pull",
        "image.remove",
    ]


@pytest.mark.parametrize("id", ["", "x" * 201, "a\x00b", "a\nb"])
async def test_an_id_that_cannot_be_one_is_refused(lab: Lab, id: str) -> None:
    session = (await lab.open("greet")).session
    with pytest.raises(BadId):
        await lab.runtime.answer(person=ANNA, session_id=session.id, seq=1, id=id, value="x")
    with pytest.raises(BadId):
        await lab.open("greet", id=id)


async def test_values_that_are_no_answer_at_all_are_refused(lab: Lab) -> None:
    session = (await lab.open("greet")).session
    deep: object = 1
    for _ in range(100_000):
        deep = [deep]
    for value in ("x" * 600_000, deep, object(), {"a": {1, 2}.__iter__()}, "a\x00b", "\ud800"):
        with pytest.raises(InvalidAnswer):
            await lab.answer(session, value)
    assert (await lab.session(session.id)).version == session.version


async def test_what_is_not_there_is_said(lab: Lab) -> None:
    with pytest.raises(NoSuchFlow):
        await lab.open("nothing")
    for id in ("s-0000000000000000", "", "../../etc", "s-" + "x" * 300, "a b", "ü"):
        with pytest.raises(NoSuchSession):
            await lab.session(id)
        with pytest.raises(NoSuchSession):
            await lab.runtime.answer(person=ANNA, session_id=id, seq=1, id="x", value="x")


async def test_sessions_of_others_are_not_there_but_the_owner_sees_all(lab: Lab) -> None:
    session = (await lab.open("greet", who=BEN)).session
    stranger = Someone("p-0000000000stranger", "operator")
    with pytest.raises(NoSuchSession):
        await lab.session(session.id, who=stranger)
    with pytest.raises(NoSuchSession):
        await lab.runtime.entries(person=stranger, session_id=session.id)
    with pytest.raises(NoSuchSession):
        await lab.answer(session, "x", who=stranger)
    with pytest.raises(NoSuchSession):
        await lab.runtime.view(person=stranger.id, session_id=session.id)
    assert (await lab.session(session.id, who=OWNER)).id == session.id
    assert asks("often")((await lab.answer(session, "Ada", who=OWNER)).session)


async def test_lists_hold_ones_own_sessions_and_an_owner_may_ask_for_all(lab: Lab) -> None:
    for n in range(5):
        await lab.open("greet", id=f"b{n}", who=BEN)
    mine = (await lab.open("greet", id="a", who=ANNA)).session
    await lab.runtime.cancel(person=ANNA, session_id=mine.id, seq=1, id="c")
    page = await lab.runtime.sessions(person=BEN, state="open", limit=3)
    rest = await lab.runtime.sessions(person=BEN, state="open", limit=3, after=page.next)
    assert len({s.id for s in (*page.items, *rest.items)}) == 5
    assert rest.next == ""
    assert page.items[0].asks == "Who are you?"
    assert [s.id for s in (await lab.runtime.sessions(person=ANNA)).items] == [mine.id]
    assert not (await lab.runtime.sessions(person=ANNA, state="open")).items
    assert len((await lab.runtime.sessions(person=OWNER, everyone=True)).items) == 6
    assert len((await lab.runtime.sessions(person=BEN, everyone=True)).items) == 5


async def test_open_sessions_of_a_person_have_a_limit(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "OPEN_PER_PERSON", 3)
    for n in range(3):
        await lab.open("greet", id=str(n))
    with pytest.raises(TooManyOpen):
        await lab.open("greet", id="4")
    assert (await lab.open("greet", id="2")).repeated
    await lab.open("greet", id="4", who=BEN)
