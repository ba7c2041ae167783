"""Sessions that wait: for a time, outside, others, each other; over restarts and clocks that jump."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from bot.engine import text
from bot.engine.refusals import (
    IdReused,
    InvalidAnswer,
    NoSuchEvent,
    NoSuchSession,
    NotAsked,
    NotNow,
    Voted,
)
from bot.engine.session import Session
from bot.runtime.refusals import FlowVanished
from tests.runtime.lab import ANNA, BEN, OWNER, Lab, Someone, asks, is_over, until

CARA = Someone("p-00000000000cara", "operator")
DAN = Someone("p-000000000000dan", "viewer")
HOUR_MS = 3_600_000


def waits_for(kind: str) -> Callable[[Session], bool]:
    return lambda s: s.waiting is not None and s.waiting.kind == kind


async def jump(lab: Lab, by_ms: int) -> None:
    """The clock of the machine is another one from now on."""
    lab.ahead_ms += by_ms
    lab.store.woken.set()


async def test_a_time_of_day_in_a_zone_outlives_a_restart_and_comes_once(lab: Lab) -> None:
    session = (await lab.open("night", guest="Ann")).session
    assert session.shown is not None and "03:00 Europe/Brussels, in " in text.plain(session.shown.label)
    due_ms = session.alarms[0].due_ms
    await lab.end()
    await lab.begin()
    assert (await lab.session(session.id)).alarms[0].due_ms == due_ms
    await jump(lab, 25 * HOUR_MS)
    session = await lab.until(session.id, is_over)
    assert [text.plain(e.text) for e in await lab.entries(session.id)][-1] == "Good morning Ann."
    await until(lab.outbox_is_empty)


async def test_a_clock_that_goes_back_does_not_ring_again_and_skips_nothing(lab: Lab) -> None:
    one = (await lab.open("night", id="1", guest="Ann")).session
    await jump(lab, 25 * HOUR_MS)
    await lab.until(one.id, is_over)
    await jump(lab, -25 * HOUR_MS)
    two = (await lab.open("night", id="2", guest="Ben")).session
    assert two.alarms[0].due_ms == one.alarms[0].due_ms
    count = len(await lab.entries(one.id))
    await jump(lab, 25 * HOUR_MS)
    await lab.until(two.id, is_over)
    assert len(await lab.entries(one.id)) == count


async def test_go_on_now_drops_the_timer(lab: Lab) -> None:
    session = (await lab.open("night", guest="Ann")).session
    assert is_over((await lab.answer(session, "now")).session)
    await until(lab.outbox_is_empty)


async def test_the_zone_of_who_opens_counts_before_that_of_the_installation(lab: Lab) -> None:
    view = await lab.runtime.open(person=ANNA, id="z", flow="greet", zone="Asia/Tokyo")
    assert view.session.zone == "Asia/Tokyo"
    with pytest.raises(InvalidAnswer, match="no time zone"):
        await lab.runtime.open(person=ANNA, id="y", flow="greet", zone="Mars/Olympus")


async def tell(lab: Lab, session: Session, id: str, data: object, who: Someone = ANNA) -> Session:
    view = await lab.runtime.tell(person=who, session_id=session.id, id=id, name="build.done", data=data)
    return view.session


async def test_an_event_from_outside_is_taken_once_however_often_it_is_sent(lab: Lab) -> None:
    session = (await lab.open("build")).session
    first = await tell(lab, session, "e1", {"ok": True})
    assert len(first.mail) == 1
    assert await tell(lab, session, "e1", {"ok": True}) == first
    with pytest.raises(IdReused):
        await tell(lab, session, "e1", {"ok": False})
    assert len((await lab.session(session.id)).mail) == 1
    session = (await lab.answer(session, "web")).session
    assert is_over(session)
    with pytest.raises(NotNow):
        await tell(lab, session, "e2", {"ok": True})
    assert (await tell(lab, session, "e1", {"ok": True})).status == "open", "the first outcome, again"


async def test_only_who_may_answer_may_send_an_event_and_only_one_that_fits(lab: Lab) -> None:
    session = (await lab.open("build")).session
    with pytest.raises(NoSuchSession):
        await tell(lab, session, "e", {"ok": True}, who=BEN)
    with pytest.raises(InvalidAnswer):
        await tell(lab, session, "e", {"ok": "yes"})
    with pytest.raises(NoSuchEvent):
        await lab.runtime.tell(person=ANNA, session_id=session.id, id="e", name="other", data=None)
    assert len((await tell(lab, session, "e", {"ok": True}, who=OWNER)).mail) == 1


async def test_an_event_that_does_not_come_in_time_is_gone_on_without(lab: Lab) -> None:
    session = (await lab.open("build", what="web")).session
    await jump(lab, HOUR_MS)
    session = await lab.until(session.id, is_over)
    assert session.outcome == "failed"


async def approve(lab: Lab, session: Session, who: Someone, yes: bool = True, reason: str = "") -> Session:
    view = await lab.runtime.approve(
        person=who, session_id=session.id, id=f"v-{who.id}", yes=yes, reason=reason
    )
    return view.session


async def test_those_who_are_asked_see_it_and_two_of_them_decide(lab: Lab) -> None:
    session = (await lab.open("ship", what="v2")).session

    async def is_listed() -> bool:
        return bool(await lab.runtime.asked(BEN))

    await until(is_listed)
    asked = (await lab.runtime.asked(BEN))[0]
    assert (asked.session, asked.need, asked.rows) == (session.id, 2, (("What?", "v2"),))
    assert text.plain(asked.question) == "Ship v2?"
    assert await lab.runtime.asked(DAN) == [] and await lab.runtime.asked(ANNA) == []
    with pytest.raises(NoSuchSession):
        await approve(lab, session, DAN)
    with pytest.raises(NotAsked):
        await approve(lab, session, ANNA)
    session = await approve(lab, session, BEN)
    assert session.status == "open" and await lab.runtime.asked(BEN) == []
    assert await approve(lab, session, BEN) == session, "the same id is the same vote"
    with pytest.raises(Voted):
        await lab.runtime.approve(person=BEN, session_id=session.id, id="again", yes=True)
    assert [vote.by for vote in (await lab.runtime.asked(CARA))[0].votes] == [BEN.id]
    assert is_over(await approve(lab, session, CARA))
    assert is_over(await approve(lab, session, CARA)), "a repeat gets the first outcome"
    await until(lab.outbox_is_empty)
    assert await lab.runtime.asked(CARA) == []
    audit = (lab.folder / "audit" / "audit-00000001.jsonl").read_text()
    assert audit.count("approval.asked") == 1 and audit.count("approval.given") == 2


async def test_a_refusal_ends_it_and_what_was_cancelled_is_listed_no_more(lab: Lab) -> None:
    session = (await lab.open("ship", what="v2")).session
    session = await approve(lab, session, BEN, yes=False, reason="Not on Friday.")
    assert session.outcome == "unchanged"
    other = (await lab.open("ship", id="2", what="v3")).session
    await lab.runtime.cancel(person=ANNA, session_id=other.id, seq=other.seq, id="c")
    await until(lab.outbox_is_empty)
    assert await lab.runtime.asked(BEN) == []


async def test_a_session_alongside_has_its_own_transcript_and_gives_its_result(lab: Lab) -> None:
    lab.world.offline = True
    session = (await lab.open("family", ref="nginx")).session
    child_id = session.children[0].session
    child = await _there(lab, child_id)
    assert child.parent == session.id and child.person == ANNA.id
    session = (await lab.answer(session, "well")).session
    assert session.waiting is not None and session.waiting.kind == "child"
    lab.world.offline = False
    session = await lab.until(session.id, is_over)
    kinds = [(e.kind, text.plain(e.text)) for e in await lab.entries(session.id)]
    assert kinds[-1] == ("ended", "nginx")
    assert "ordered" not in {kind for kind, _ in kinds}
    assert "ordered" in {e.kind for e in await lab.entries(child_id)}
    await until(lab.outbox_is_empty)


async def _there(lab: Lab, session_id: str) -> Session:
    async def began() -> bool:
        try:
            await lab.session(session_id)
        except NoSuchSession:
            return False
        return True

    await until(began)
    return await lab.session(session_id)


async def test_cancel_of_the_parent_cancels_what_goes_on_alongside(lab: Lab) -> None:
    lab.world.answering = lambda effect: None  # the node says nothing yet
    session = (await lab.open("family", ref="nginx")).session
    child = await _there(lab, session.children[0].session)
    await lab.runtime.cancel(person=ANNA, session_id=session.id, seq=session.seq, id="c")
    stopping = await lab.until(child.id, lambda s: s.stopping)
    lab.world.answering = None
    for known in lab.world.orders.values():
        await lab.fleet.send(known.effect)
    assert (await lab.until(stopping.id, is_over)).outcome == "cancelled"
    await until(lab.outbox_is_empty)


async def test_a_session_alongside_that_cannot_begin_is_told_to_its_parent(lab: Lab) -> None:
    (lab.plugin_folder / "bad.py").write_text(
        "from bot.engine import Call, Chatflow, End, Wait\n\n"
        "class Bad(Chatflow):\n"
        "    title = 'Bad'\n"
        "    begun = Call('greet', alongside=True, nobody='x')\n"
        "    wait = Wait(child='begun')\n"
        "    done = End('{{ wait.problem }}')\n"
    )
    await lab.flows.reload()
    session = (await lab.open("bad")).session
    session = await lab.until(session.id, is_over)
    assert "asks nothing called 'nobody'" in text.plain((await lab.entries(session.id))[-1].text)


async def test_who_does_not_answer_is_reminded_and_gone_on_without(lab: Lab) -> None:
    session = (await lab.open("family")).session
    await jump(lab, 601_000)
    await lab.until(session.id, lambda s: any(a.kind == "remind" and a.count == 1 for a in s.alarms))
    assert [e.kind for e in await lab.entries(session.id)][-1] == "reminded"
    await jump(lab, HOUR_MS)
    session = await lab.until(session.id, is_over)
    assert session.outcome == "failed"
    await until(lab.outbox_is_empty)


async def test_a_flow_that_vanishes_parks_its_sessions_and_they_go_on_when_it_returns(lab: Lab) -> None:
    file = lab.plugin_folder / "two.py"
    source = (
        "from bot.engine import Ask, Chatflow, End, Text, Wait\n\n"
        "class Two(Chatflow):\n"
        "    title = 'Two'\n"
        "    first = Ask(Text('First?'))\n"
        "    pause = Wait(for_s=2, says='A moment.')\n"
        "    second = Ask(Text('Second?'))\n"
        "    done = End('{{ first }} {{ second }}')\n"
    )
    file.write_text(source)
    await lab.flows.reload()
    session = (await lab.open("two")).session
    other = (await lab.open("two", id="2", first="x")).session
    file.unlink()
    await lab.flows.reload()
    seen = await lab.session(session.id)
    assert seen.status == "parked" and "'two' is not here" in seen.parked
    listed = (await lab.runtime.sessions(person=ANNA, state="open")).items
    assert {one.status for one in listed} == {"parked"}
    with pytest.raises(FlowVanished):
        await lab.answer(session, "one")
    await jump(lab, 60_000)
    await asyncio.sleep(0)
    assert (await lab.session(other.id)).status == "parked"
    file.write_text(source)
    await lab.flows.reload()
    await lab.answer(session, "one")
    session = await lab.until(session.id, waits_for("timer"))
    await jump(lab, 60_000)
    session = await lab.until(session.id, asks("second"))
    assert is_over((await lab.answer(session, "two")).session)
    await lab.until(other.id, asks("second"), within_s=60)
    file.unlink()
    await lab.flows.reload()
    seq = (await lab.session(other.id)).seq
    view = await lab.runtime.cancel(person=ANNA, session_id=other.id, seq=seq, id="c")
    assert view.session.outcome == "cancelled", "cancel is always there"
