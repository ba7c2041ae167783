"""Waits: for times in zones, events from outside, approvals, sessions alongside; deadlines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from bot.engine import Approval, Ask, Call, Chatflow, Confirm, Do, End, Number, Text, Wait, orders, times
from bot.engine import compile as compiling
from bot.engine.effects import (
    AskApproval,
    BeginSession,
    CancelSession,
    DropApproval,
    DropTimer,
    Notify,
    SetTimer,
    TellParent,
)
from bot.engine.events import Approved, ChildEnded, EventCame, ParentCancelled, TimerDue
from bot.engine.filters import Unfit
from bot.engine.refusals import (
    InvalidAnswer,
    MailFull,
    NoSuchEvent,
    NotAsked,
    NotNow,
    Refused,
    Stale,
    Voted,
)
from tests.engine.play import PERSON, Play

ZONE = "Europe/Brussels"


def at(words: str) -> int:
    return int(datetime.fromisoformat(words).replace(tzinfo=UTC).timestamp() * 1000)


def utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("now", "words", "zone", "due"),
    [
        ("2026-11-24 20:50", "03:00", "", "2026-11-25 03:00"),
        ("2026-11-24 21:50", "03:00", ZONE, "2026-11-25 02:00"),
        ("2026-11-24 03:00", "03:00", "", "2026-11-25 03:00"),
        ("2026-07-01 00:30", "03:00", ZONE, "2026-07-01 01:00"),  # 02:30 there
        ("2026-11-24 23:30", "00:15", ZONE, "2026-11-25 23:15"),  # it is 00:30 there: tomorrow
        # 29 March 2026: 02:00 becomes 03:00 there. 02:30 is left out: as much later as the clock jumps
        ("2026-03-28 12:00", "02:30", ZONE, "2026-03-29 01:30"),
        ("2026-03-29 01:10", "02:30", ZONE, "2026-03-29 01:30"),  # 03:10 there: it is still to come
        ("2026-03-29 01:30", "02:30", ZONE, "2026-03-30 00:30"),
        # 25 October 2026: 03:00 becomes 02:00 there. 02:30 comes twice: the first is meant, and once
        ("2026-10-24 12:00", "02:30", ZONE, "2026-10-25 00:30"),
        ("2026-10-25 00:45", "02:30", ZONE, "2026-10-26 01:30"),
        ("2026-10-25 01:15", "02:30", ZONE, "2026-10-26 01:30"),
    ],
)
def test_a_time_of_day_is_the_next_one_there_clock_changes_or_not(
    now: str, words: str, zone: str, due: str
) -> None:
    assert utc(times.next_time(at(now), words, zone)) == due


def test_every_time_of_day_comes_exactly_once_a_day_all_year_round() -> None:
    for words in ("00:00", "01:59", "02:00", "02:30", "02:59", "03:00", "23:59"):
        now = at("2026-01-01 00:00")
        seen: list[int] = []
        while len(seen) < 366:
            now = times.next_time(now, words, ZONE)
            seen.append(datetime.fromtimestamp(now / 1000, times.zone_of(ZONE)).date().toordinal())
        assert seen == list(range(seen[0], seen[0] + 366)), words


@pytest.mark.parametrize(
    ("value", "zone", "due"),
    [
        ("2026-12-24 03:00", ZONE, "2026-12-24 02:00"),
        ("2026-12-24T03:00+00:00", ZONE, "2026-12-24 03:00"),
        ("2026-12-24", "", "2026-12-24 00:00"),
        (1_766_545_200_000, ZONE, "2025-12-24 03:00"),
    ],
)
def test_a_moment_is_read_in_its_zone(value: Any, zone: str, due: str) -> None:
    assert utc(times.moment(value, zone)) == due


@pytest.mark.parametrize("value", ["tomorrow", "2026-13-01", "", True, -5, None])
def test_what_is_no_moment_is_said_to_be_none(value: Any) -> None:
    with pytest.raises(Unfit):
        times.moment(value, "")


@pytest.mark.parametrize("zone", ["Europe/Bruxelles", "../etc/passwd", "/etc/localtime", "x" * 300])
def test_what_is_no_zone_is_said_to_be_none(zone: str) -> None:
    with pytest.raises(Unfit, match="no time zone"):
        times.zone_of(zone)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "1 min 30 s"),
        (15_000, "4 h 10 min"),
        (183_600, "2 days 3 h"),
    ],
)
def test_a_span_is_said_in_its_two_largest_units(seconds: float, said: str) -> None:
    assert times.span(seconds) == said


class Night(Chatflow):
    """Waits for the night."""

    title = "Night"
    who = Ask(Text("Who?"))
    night = Wait(until="03:00", zone=ZONE)
    done = End("Done.")


def test_a_wait_says_when_it_goes_on_and_offers_to_go_on_now() -> None:
    play = Play(Night, at_ms=at("2026-11-24 21:50")).answer("ann")
    assert play.said("asked")[-1] == "Waiting until 03:00 Europe/Brussels, in 4 h 10 min."
    assert [o.value for o in play.shown.options] == ["wait", "now", "cancel"]
    assert play.shown.can_back and play.shown.default == "wait"
    timer = next(e for e in play.effects if isinstance(e, SetTimer))
    play.answer("now")
    assert play.session.outcome == "done"
    assert [e.timer_id for e in play.effects if isinstance(e, DropTimer)] == [timer.id]


def test_who_keeps_waiting_is_asked_no_more_and_goes_on_in_time() -> None:
    play = Play(Night, at_ms=at("2026-11-24 21:50")).answer("ann").answer("wait")
    assert play.waiting.kind == "timer" and not any(isinstance(e, DropTimer) for e in play.effects)
    assert play.due().session.outcome == "done"


def test_a_wait_is_cancelled_and_gone_back_from() -> None:
    play = Play(Night, at_ms=at("2026-11-24 21:50")).answer("ann")
    assert play.back().shown.name == "who" and not play.session.alarms
    assert play.answer("ben").answer("cancel").session.outcome == "cancelled"
    assert sum(isinstance(e, DropTimer) for e in play.effects) == 2


def test_a_timer_that_rings_twice_counts_once_and_a_late_one_says_so() -> None:
    play = Play(Night, at_ms=at("2026-11-24 21:50")).answer("ann")
    timer = play.alarm("pause").id
    play.now_ms = at("2026-11-25 05:00")
    play.take(lambda ms: TimerDue(at_ms=ms, timer_id=timer))
    assert play.session.outcome == "done" and "3 h later than it should" in play.said()[-2]
    with pytest.raises(Refused):
        play.take(lambda ms: TimerDue(at_ms=ms, timer_id=timer))


def flow_of(**states: Any) -> type[Chatflow]:
    return type("Flow", (Chatflow,), {"title": "Flow", **states})


def test_a_date_that_has_passed_goes_on_at_once_and_no_zone_is_that_of_the_session() -> None:
    play = Play(flow_of(w=Wait(at="2020-01-01"), done=End("x")), at_ms=at("2026-01-01 00:00"))
    assert play.session.outcome == "done" and "passed already" in play.said()[0]
    play = Play(
        flow_of(w=Wait(at="2026-01-03 12:00", now=False), done=End("x")), at_ms=at("2026-01-01 12:00")
    )
    assert play.said()[0] == "Waiting until 2026-01-03 12:00 UTC, in 2 days."
    assert play.waiting.kind == "timer", "the flow forbids going on sooner"


def test_own_words_of_a_wait_are_followed_by_when() -> None:
    flow = flow_of(w=Wait(until="03:00", says="You may close **this** page."), done=End("x"))
    play = Play(flow, at_ms=at("2026-01-01 02:00"))
    assert play.said() == ["You may close this page.\n\nIt goes on at 03:00 UTC, in 1 h."]


@pytest.mark.parametrize(
    ("wait", "says"),
    [
        (Wait(), "one of"),
        (Wait(for_s=1, event="x"), "one of"),
        (Wait(until="3:00"), "time of day"),
        (Wait(until="03:00", zone="Mars/Olympus"), "no time zone"),
        (Wait(for_s=5, zone=ZONE), "`zone` belongs"),
        (Wait(at="soon"), "no date"),
        (Wait(event="x", timeout_s=5), "belong together"),
        (Wait(for_s=5, timeout_s=5, timed_out="done"), "no `timeout_s`"),
        (Wait(event="a b"), "name of an event"),
        (Wait(child="nobody"), "no Call alongside"),
        (Wait(approval=Approval("owner")), "needs `refused`"),
        (Wait(approval=Approval([]), refused="done"), "people or roles"),
        (Wait(event="x", refused="done"), "`refused` belongs"),
    ],
)
def test_a_wait_that_makes_no_sense_is_refused_with_the_reason(wait: Wait, says: str) -> None:
    with pytest.raises(compiling.FlowRefused, match=says):
        compiling.compile_class(flow_of(w=wait, done=End("x")))


# Events from outside


class Build(Chatflow):
    """Waits for a build."""

    title = "Build"
    what = Ask(Text("What?"))
    built = Wait(
        event="build.done",
        fields={"ok": "yes-no", "number": "number", "log": "text"},
        timeout_s=600,
        timed_out="late",
        says="Waiting for the build of {{ what }}.",
    )
    done = End("Build {{ built.number }}: {{ built.log }}")
    late = End("Too late.", outcome="failed")


GOOD = {"ok": True, "number": 7, "log": "**not bold** {{ what }}"}


def came(play: Play, data: Any = GOOD, name: str = "build.done", id: str = "e") -> Play:
    return play.take(lambda ms: EventCame(at_ms=ms, by="p-ci", name=name, event_id=id, data=data))


def test_an_event_goes_on_with_its_data_which_is_never_markup() -> None:
    play = came(Play(Build).answer("web"))
    assert play.said("ended") == ["Build 7: **not bold** {{ what }}"]
    assert [e.who for e in play.entries if e.kind == "came"] == ["p-ci"]
    assert sum(isinstance(e, DropTimer) for e in play.effects) == 1, "its timeout is dropped"


def test_an_event_that_comes_before_the_wait_is_kept_for_it_in_order() -> None:
    play = came(came(Play(Build)), {**GOOD, "number": 8})
    assert play.shown.name == "what" and [one.data["number"] for one in play.session.mail] == [7, 8]
    play.answer("web")
    assert play.session.outcome == "done" and "Build 7" in play.said("ended")[0]


def test_an_event_that_does_not_come_in_time_goes_the_other_way() -> None:
    play = Play(Build).answer("web")
    assert play.waiting.kind == "event"
    play.due("timeout")
    assert play.session.outcome == "failed"


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"ok": True},
        {**GOOD, "more": 1},
        {**GOOD, "number": True},
        {**GOOD, "ok": "yes"},
        {**GOOD, "log": "x" * 4_001},
        {**GOOD, "log": 5},
        {"x": "y" * 20_000},
    ],
)
def test_data_that_does_not_fit_is_refused_and_changes_nothing(data: Any) -> None:
    play = Play(Build).answer("web")
    before = play.session
    with pytest.raises(InvalidAnswer):
        came(play, data)
    assert play.session == before


def test_an_event_of_another_name_and_one_too_many_are_refused() -> None:
    play = Play(Build)
    with pytest.raises(NoSuchEvent):
        came(play, name="deploy.done")
    for n in range(20):
        came(play, id=f"e{n}")
    with pytest.raises(MailFull):
        came(play)
    play.cancel()
    with pytest.raises(NotNow):
        came(play)


def test_deep_data_is_refused_where_no_fields_are_declared() -> None:
    play = Play(flow_of(w=Wait(event="x"), done=End("{{ w.a }}")))
    deep: Any = 1
    for _ in range(9):
        deep = [deep]
    with pytest.raises(InvalidAnswer):
        came(play, deep, name="x")
    assert came(play, {"a": 1}, name="x").said("ended") == ["1"]


# Approvals


class Ship(Chatflow):
    """Two have to agree."""

    title = "Ship"
    risk = "changes"
    what = Ask(Text("What?"))
    agree = Wait(
        approval=Approval(["operator", "Zoe"], need=2, asks="Ship {{ what }}?", summary=["what"]),
        refused="no",
        timeout_s=3_600,
        timed_out="late",
    )
    done = End("Shipped: {{ agree.votes | pluck('name') | join }}")
    no = End("Not shipped: {{ agree.reason }}", outcome="unchanged")
    late = End("Nobody decided.", outcome="failed")


def vote(play: Play, by: str, *, yes: bool = True, reason: str = "", name: str = "", role: str = "") -> Play:
    asked = play.session.approval
    id = asked.id if asked is not None else "w-none"
    return play.take(
        lambda ms: Approved(
            at_ms=ms, by=by, approval=id, answer_id=by, yes=yes, reason=reason, name=name, role=role
        )
    )


def test_it_goes_on_when_enough_different_people_agree() -> None:
    play = Play(Ship).answer("v2")
    asked = next(e for e in play.effects if isinstance(e, AskApproval))
    assert asked.rows == (("What?", "v2"),) and asked.need == 2 and asked.asker == PERSON
    vote(play, "p-ben", name="Ben", role="operator")
    with pytest.raises(Voted):
        vote(play, "p-ben", name="Ben", role="operator")
    assert play.session.status == "open"
    vote(play, "p-zoe", name="Zoe", role="viewer", reason="fine")
    assert play.said("ended") == ["Shipped: Ben, Zoe"]
    assert [e.approval for e in play.effects if isinstance(e, DropApproval)] == [asked.id]


@pytest.mark.parametrize(
    ("by", "name", "role"),
    [
        (PERSON, "Ann", "operator"),  # who asked
        ("p-x", "X", "viewer"),
        ("p-x", "operator", "viewer"),  # a person who is called like a role
        ("p-x", "", ""),
        ("", "Zoe", "operator"),
    ],
)
def test_who_asked_and_who_is_not_asked_may_not_approve(by: str, name: str, role: str) -> None:
    play = Play(Ship).answer("v2")
    with pytest.raises(NotAsked):
        vote(play, by, name=name, role=role)


def test_a_refusal_needs_a_reason_and_ends_it() -> None:
    play = Play(Ship).answer("v2")
    with pytest.raises(InvalidAnswer):
        vote(play, "p-ben", role="operator", yes=False)
    vote(play, "p-ben", role="operator", yes=False, reason="on Friday?")
    assert play.said("ended") == ["Not shipped: on Friday?"]
    with pytest.raises(NotNow):
        vote(play, "p-zoe", name="Zoe")


def test_an_approval_expires_and_is_dropped_when_it_is_gone_back_from_or_cancelled() -> None:
    assert Play(Ship).answer("v2").due("timeout").session.outcome == "failed"
    play = Play(Ship).answer("v2").back()
    assert sum(isinstance(e, DropApproval) for e in play.effects) == 1
    assert sum(isinstance(e, DropTimer) for e in play.effects) == 1
    play.answer("v3").cancel()
    assert sum(isinstance(e, DropApproval) for e in play.effects) == 2
    assert play.session.approval is None and not play.session.alarms


def test_too_few_people_are_a_fault_that_is_said() -> None:
    flow = flow_of(w=Wait(approval=Approval(["Zoe"], need=2), refused="done"), done=End("x"))
    assert "only 1 are asked" in Play(flow).shown.problem


# Sessions alongside


class Backup(Chatflow):
    """Done alongside."""

    title = "Back up"
    what = Ask(Text("What?"))
    done = End("Saved.", result={"file": "{{ what }}.tar"})


class Upgrade(Chatflow):
    """Begins a backup alongside."""

    title = "Upgrade"
    which = Ask(Text("Which?"))
    saving = Call("backup", alongside=True, as_="saved", what="{{ which }}")
    more = Ask(Number("How many?"))
    wait = Wait(child="saved", as_="file")
    done = End("Saved as {{ file.file }}.")


def ended(play: Play, outcome: str = "done", result: Any = None) -> Play:
    child = next(e for e in play.effects if isinstance(e, BeginSession)).child
    return play.take(lambda ms: ChildEnded(at_ms=ms, session=child, outcome=outcome, result=result))


def test_a_call_alongside_goes_on_at_once_and_a_wait_gets_its_result() -> None:
    play = Play(Upgrade, Backup).answer("wiki")
    begun = next(e for e in play.effects if isinstance(e, BeginSession))
    assert play.shown.name == "more" and play.names["saved"] == {"session": begun.child}
    assert begun.answers == {"what": "wiki"} and begun.generation == 1
    play.answer(3)
    assert play.waiting.kind == "child"
    ended(play, result={"file": "wiki.tar"})
    assert play.said("ended") == ["Saved as wiki.tar."]
    with pytest.raises(Refused):
        ended(play)


def test_a_child_that_ended_before_is_not_waited_for() -> None:
    play = ended(Play(Upgrade, Backup).answer("wiki"), result={"file": "x"})
    assert play.shown.name == "more" and any("has ended: done" in words for words in play.said())
    with pytest.raises(Stale):
        ended(play)
    assert play.answer(3).session.outcome == "done"


def test_cancel_of_the_parent_cancels_the_children_that_go_on() -> None:
    play = Play(Upgrade, Backup).answer("wiki").cancel()
    begun = next(e for e in play.effects if isinstance(e, BeginSession))
    assert [e.child for e in play.effects if isinstance(e, CancelSession)] == [begun.child]
    over = ended(Play(Upgrade, Backup).answer("wiki")).cancel()
    assert not any(isinstance(e, CancelSession) for e in over.effects)


def test_a_child_tells_its_parent_how_it_ended_and_ends_with_it() -> None:
    play = Play(Backup, parent="s-parent").answer("wiki")
    told = next(e for e in play.effects if isinstance(e, TellParent))
    assert (told.parent, told.outcome, told.result) == ("s-parent", "done", {"file": "wiki.tar"})
    play = Play(Backup, parent="s-parent")
    with pytest.raises(Stale):
        play.take(lambda ms: ParentCancelled(at_ms=ms, parent="s-other"))
    play.take(lambda ms: ParentCancelled(at_ms=ms, parent="s-parent"))
    assert play.session.outcome == "cancelled" and "was cancelled" in play.said("cancelled")[0]


class Endless(Chatflow):
    """Begins itself again and again."""

    title = "Endless"
    again = Call("endless", alongside=True)
    done = End("x")


def test_sessions_do_not_multiply_without_end() -> None:
    assert "alongside" in Play(Endless, parent="s-p", generation=3).shown.problem
    states = {f"c{n}": Call("backup", alongside=True) for n in range(21)}
    assert "alongside" in Play(flow_of(**states, done=End("x")), Backup).shown.problem


# Deadlines and reminders


class Asks(Chatflow):
    """Does not wait for ever."""

    title = "Asks"
    sure = Ask(
        Confirm("Sure?"), then={"yes": "done", "no": "done"}, deadline_s=3_600, late="late", remind_s=600
    )
    done = End("Done.")
    late = End("Nobody said so: {{ sure | default('nothing') }}", outcome="unchanged")


def test_who_does_not_answer_is_reminded_and_then_gone_on_without() -> None:
    play = Play(Asks)
    assert {a.kind: a.due_ms - play.now_ms for a in play.session.alarms} == {
        "late": 3_600_000,
        "remind": 600_000,
    }
    play.now_ms += 600_000
    play.due("remind")
    told = [e for e in play.effects if isinstance(e, Notify)]
    assert [(e.person, e.text) for e in told] == [(PERSON, "Asks: Sure?")]
    assert play.said("reminded") == ["This question waits for an answer. It goes on without in 50 min."]
    assert play.shown.name == "sure" and play.alarm("remind").count == 1
    play.due("late")
    assert play.session.outcome == "unchanged" and play.said("ended") == ["Nobody said so: nothing"]


def test_an_answer_takes_the_alarms_along() -> None:
    play = Play(Asks).answer(True)
    assert play.session.outcome == "done" and sum(isinstance(e, DropTimer) for e in play.effects) == 2


class Checked(Chatflow):
    """A deadline over a prompt that is shown again."""

    title = "Checked"
    risk = "changes"
    ref = Ask(Text("Which?"), deadline_s=3_600, late="late")
    pull = Do(orders.ResolveImage(reference="{{ ref }}"))
    more = Ask(Text("More?"))
    done = End("Done.")
    late = End("Late.")


def test_a_deadline_begins_anew_only_when_the_question_is_asked_anew() -> None:
    play = Play(Checked)
    first = play.alarm("late").due_ms
    play.answer("x").finish()
    assert not play.session.alarms
    play.now_ms += 10_000
    play.back()
    assert play.alarm("late").due_ms > first + 9_000


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"deadline_s": 5}, "belong together"),
        ({"late": "done"}, "belong together"),
        ({"remind_s": 5}, "at least 60"),
        ({"remind_s": 10**9}, "at most"),
    ],
)
def test_a_deadline_that_makes_no_sense_is_refused(more: dict[str, Any], says: str) -> None:
    with pytest.raises(compiling.FlowRefused, match=says):
        compiling.compile_class(flow_of(a=Ask(Text("A?"), **more), done=End("x")))
