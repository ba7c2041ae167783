"""Effects: sent again, timed out, failed by the world, by a plugin, or by us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.orders.results import Result
from bot.engine import advance, ask
from bot.engine.effects import AskFacts, SendOrder
from bot.engine.events import FactsCame
from bot.engine.ready import WAY_ON
from bot.engine.refusals import Gone, InvalidAnswer
from bot.engine.session import Session
from bot.runtime import carrying, limits, turns
from bot.runtime.refusals import FlowBroken
from tests.runtime.lab import ANNA, Known, Lab, asks, failed, is_over, now_ms, until, well

PLUGIN = '''
"""Hooks."""
from bot.engine import Ask, Chatflow, Choose, End, Number, Text


def polite(names):
    if names["word"] == "fly":
        raise ValueError("no such word")
    if names["word"] == "loop":
        while True:
            pass
    return "Say please." if names["word"] == "now" else ""


def by_size(names):
    if names["n"] == 13:
        raise RuntimeError("unlucky")
    return "big" if names["n"] > 5 else "nowhere" if names["n"] == 0 else "small"


class Hooked(Chatflow):
    """Goes by functions."""

    title = "Hooked"
    word = Ask(Text("Word?"), check=polite)
    n = Ask(Number("Number?"))
    way = Choose(by=by_size, targets=["big", "small"])
    big = End("Big.")
    small = End("Small.")
'''


async def ordering(lab: Lab, id: str = "1") -> Session:
    """A session whose first order is under way."""
    session = (await lab.open("fetch", id=id)).session
    session = (await lab.answer(session, "nginx")).session
    return (await lab.answer(session, True)).session


def first(lab: Lab) -> Known:
    return next(iter(lab.world.orders.values()))


@pytest.fixture
async def quick(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Pauses of the world in milliseconds."""
    for name in ("RESEND_FROM_MS", "RESEND_TO_MS", "BACKOFF_TO_MS"):
        monkeypatch.setattr(limits, name, 60)
    monkeypatch.setattr(limits, "BACKOFF_FROM_MS", 10)
    yield


async def test_an_order_of_a_node_that_is_away_is_sent_when_it_is_back(lab: Lab, quick: None) -> None:
    lab.world.offline = True
    session = await ordering(lab)
    await until(lambda: bool(lab.world.orders) and first(lab).sent > 3)
    assert session.waiting is not None
    lab.world.offline = False
    await lab.until(session.id, asks("more"))


async def test_an_order_under_way_is_asked_about_and_not_pushed(lab: Lab) -> None:
    lab.world.answering = lambda effect: None
    session = await ordering(lab)
    await until(lambda: bool(lab.world.orders))
    await asyncio.sleep(1)
    assert first(lab).sent == 1
    assert len(await lab.outbox()) == 1
    lab.world.answering = None
    await lab.fleet.send(first(lab).effect)
    await lab.until(session.id, asks("more"))
    await until(lab.outbox_is_empty)


async def test_the_same_result_twice_is_one_result(lab: Lab) -> None:
    session = await ordering(lab)
    await lab.until(session.id, asks("more"))
    before = len(await lab.entries(session.id))
    for known in lab.world.orders.values():
        assert known.result is not None
        await lab.runtime.order_finished(known.effect.id, known.result)
    assert len(await lab.entries(session.id)) == before
    await lab.runtime.order_finished("o-0000000000000000", well(first(lab).effect))


async def test_unknown_yet_is_said_once_and_the_end_still_counts(lab: Lab, quick: None) -> None:
    def unknown(effect: SendOrder) -> Result:
        return Result(order=effect.id, node=effect.node, verb=effect.order["verb"], outcome="unknown")

    lab.world.answering = unknown
    session = await ordering(lab)
    await lab.until(session.id, lambda s: s.unsure is not None)
    for _ in range(3):
        await lab.runtime.order_finished(first(lab).effect.id, unknown(first(lab).effect))
    assert [e.outcome for e in await lab.entries(session.id) if e.kind == "finished"] == ["unknown"]
    assert first(lab).effect.id.encode() in await lab.outbox()
    lab.world.answering, first(lab).result = None, well(first(lab).effect)
    lab.fleet.tell(first(lab).effect.id)
    await lab.until(session.id, asks("more"))
    await until(lab.outbox_is_empty)


async def test_an_order_never_handed_over_fails_when_its_time_is_over(
    lab: Lab, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.world.offline = True
    session = await ordering(lab)
    await until(lambda: bool(lab.world.orders) and first(lab).sent > 1)
    lab.ahead_ms = first(lab).effect.expires_ms - now_ms() + 1
    lab.store.woken.set()
    session = await lab.until(session.id, asks(WAY_ON))
    assert session.shown is not None
    assert "nothing was done" in session.shown.problem
    assert first(lab).withdrawn
    lab.world.offline = False
    lab.ahead_ms = 0
    await lab.answer(session, "retry")
    await lab.until(session.id, asks("more"))
    assert first(lab).carried_out == 0
    await until(lab.outbox_is_empty)


async def test_an_order_that_was_handed_over_is_unknown_when_its_time_is_over(lab: Lab, quick: None) -> None:
    session = await ordering(lab)
    session = await lab.until(session.id, asks("more"))
    lab.world.answering = lambda effect: None
    at = {"person": ANNA, "session_id": session.id}
    await lab.runtime.undo(**at, seq=session.seq, id="undo")  # type: ignore[arg-type]
    await until(lambda: len(lab.world.orders) == 3)
    removing = list(lab.world.orders.values())[2]
    await until(lambda: removing.sent > 1)
    lab.ahead_ms = removing.effect.expires_ms - now_ms() + limits.OVERDUE_MS + 1
    lab.store.woken.set()
    await lab.until(session.id, lambda s: s.unsure is not None)
    sent = removing.sent
    await until(lambda: removing.sent > sent)  # it is asked on
    removing.result = well(removing.effect)
    lab.world.answering = None
    lab.fleet.tell(removing.effect.id)
    await lab.until(session.id, asks("sure"))
    await until(lab.outbox_is_empty)


async def test_an_order_that_only_reads_has_failed_when_its_time_is_over(lab: Lab, quick: None) -> None:
    lab.world.answering = lambda effect: None
    session = await ordering(lab)
    await until(lambda: bool(lab.world.orders) and first(lab).sent > 1)
    lab.ahead_ms = first(lab).effect.expires_ms - now_ms() + 1
    lab.store.woken.set()
    session = await lab.until(session.id, asks(WAY_ON))
    lab.world.answering = None
    first(lab).result = well(first(lab).effect)
    lab.fleet.tell(first(lab).effect.id)  # too late, and no harm
    await lab.answer(session, "retry")
    await lab.until(session.id, asks("more"))


async def test_a_failed_order_offers_ways_on(lab: Lab) -> None:
    lab.world.answering = lambda effect: failed(effect, "image_not_found")
    session = await ordering(lab)
    session = await lab.until(session.id, asks(WAY_ON))
    lab.world.answering = None
    await lab.answer(session, "retry")
    await lab.until(session.id, asks("more"))


@pytest.mark.parametrize("how", ["late", "gone", "bug"])
async def test_a_lookup_that_fails_becomes_a_sentence(
    lab: Lab, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def facts(effect: AskFacts) -> FactsCame:
        if how == "gone":
            raise Gone()
        if how == "bug":
            raise KeyError("oops")
        await asyncio.sleep(60)
        raise AssertionError

    lab.world.facts = facts
    monkeypatch.setattr(ask, "LOOKUP_WITHIN_MS", 300 if how == "late" else 10_000)
    session = (await lab.open("choice")).session
    session = await lab.until(session.id, asks("which"))
    assert session.shown is not None
    assert session.shown.problem
    lab.world.facts = None
    await lab.answer(session, "look-again")
    session = await lab.until(session.id, lambda s: s.shown is not None and len(s.shown.options) == 3)
    await until(lab.outbox_is_empty)


async def test_functions_of_a_plugin_check_and_choose(lab: Lab) -> None:
    (lab.plugin_folder / "hooked.py").write_text(PLUGIN)
    await lab.flows.reload()
    assert not lab.flows.troubles()
    session = (await lab.open("hooked")).session
    with pytest.raises(InvalidAnswer, match="Say please"):
        await lab.answer(session, "now")
    with pytest.raises(InvalidAnswer, match="no such word"):
        await lab.answer(session, "fly")
    with pytest.raises(InvalidAnswer, match="2 s"):
        await lab.answer(session, "loop")
    session = (await lab.answer(session, "please")).session
    session = (await lab.answer(session, 7)).session
    session = await lab.until(session.id, is_over)
    assert session.stack[-1].state == "big"


@pytest.mark.parametrize(("n", "says"), [(13, "unlucky"), (0, "nowhere")])
async def test_a_function_that_fails_or_lies_becomes_a_sentence(lab: Lab, n: int, says: str) -> None:
    (lab.plugin_folder / "hooked.py").write_text(PLUGIN)
    await lab.flows.reload()
    session = (await lab.open("hooked")).session
    session = (await lab.answer(session, "please")).session
    session = (await lab.answer(session, n)).session
    session = await lab.until(session.id, asks(WAY_ON))
    assert session.shown is not None
    assert says in session.shown.problem
    await lab.runtime.back(person=ANNA, session_id=session.id, seq=session.seq, id="b")
    await lab.answer(await lab.session(session.id), 1)
    await lab.until(session.id, is_over)


async def test_an_effect_that_keeps_failing_by_our_fault_is_parked_and_listed(
    lab: Lab, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(**_: Any) -> bool:
        raise KeyError("our bug")

    good = lab.audit.append
    monkeypatch.setattr(lab.audit, "append", broken)
    monkeypatch.setattr(limits, "PARK_AFTER", 2)
    session = await ordering(lab)
    await lab.until(session.id, asks("more"))  # nobody waits for the audit
    await until(lambda: len(lab.runtime.parked()) == 5)
    assert {parked.kind for parked in lab.runtime.parked()} == {"audit"}
    assert "our bug" in lab.runtime.parked()[0].why
    monkeypatch.setattr(lab.audit, "append", good)
    assert len(await lab.outbox()) == 5
    lab.ahead_ms = limits.PARKED_MS + 1
    lab.store.woken.set()
    await until(lab.outbox_is_empty)
    assert not lab.runtime.parked()


async def test_a_disk_that_takes_no_audit_is_waited_for(
    lab: Lab, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0
    good = lab.audit.append

    async def full(**given: Any) -> bool:
        nonlocal tries
        tries += 1
        if tries < 40:
            raise OSError(28, "No space left on device")
        return await good(**given)

    monkeypatch.setattr(lab.audit, "append", full)
    await lab.open("greet")
    await until(lab.outbox_is_empty)
    assert not lab.runtime.parked()


async def test_a_fault_of_the_engine_is_a_sentence_and_ends_no_worker(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = advance.advance
    monkeypatch.setattr(turns, "advance", _breaks_at_results(good))
    session = await ordering(lab)
    session = await lab.until(session.id, asks(WAY_ON))
    assert session.shown is not None
    assert "made a mistake" in session.shown.problem
    other = (await lab.open("greet", id="other")).session
    assert asks("often")((await lab.answer(other, "Ada")).session)
    monkeypatch.setattr(turns, "advance", good)
    await lab.answer(session, "retry")
    await lab.until(session.id, asks("more"))


def _breaks_at_results(good: Any) -> Any:
    def advance(flows: Any, session: Session, event: Any) -> Any:
        if type(event).__name__ == "OrderFinished":
            raise ZeroDivisionError
        return good(flows, session, event)

    return advance


async def test_a_fault_of_the_engine_at_an_answer_changes_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = (await lab.open("greet")).session
    good = advance.advance

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(turns, "advance", broken)
    with pytest.raises(FlowBroken):
        await lab.answer(session, "Ada", id="x")
    monkeypatch.setattr(turns, "advance", good)
    assert not (await lab.answer(session, "Ada", id="x")).repeated


def test_every_kind_of_effect_stands_in_the_table_and_has_its_share() -> None:
    from typing import get_args

    from bot.engine import effects

    kinds = {str(kind.__struct_config__.tag) for kind in get_args(effects.AnyEffect)}
    carried = kinds - {"drop_timer"}  # part of the commit itself
    assert set(limits.AT_ONCE) == carried
    for kind in carried:
        assert f"| {kind} |" in str(carrying.__doc__)
