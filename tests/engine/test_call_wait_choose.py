"""Flows that call each other, waits, branches by data and by a plugin's function."""

from __future__ import annotations

from typing import Any

import pytest

from bot.engine import Ask, Call, Chatflow, Choose, Confirm, Do, End, Number, Say, Text, Wait, YesNo, orders
from bot.engine import compile as compiling
from bot.engine.effects import DropTimer, SetTimer
from bot.engine.events import TimerDue
from bot.engine.hooks import check_wanted
from bot.engine.refusals import InvalidAnswer, Stale
from tests.engine.play import Play

DAY_MS = 24 * 3600 * 1000


class Inner(Chatflow):
    """Ask for a size."""

    title = "Inner"
    takes = ("what",)
    size = Ask(Number("How large shall {{ what }} be?", minimum=1))
    twice = Ask(YesNo("Twice?"), then={"yes": "double", "no": "single"})
    double = End("Doubled.", result={"size": "{{ size + size }}"})
    single = End("", result={"size": "{{ size }}"})


class Outer(Chatflow):
    """Call another."""

    title = "Outer"
    risk = "changes"
    what = Ask(Text("What?"))
    sizing = Call("inner", what="{{ what }}")
    pull = Do(orders.GetFacts(), as_="seen", undo=orders.GetFacts(want=("disk",)))
    sure = Ask(
        Confirm("{{ what }} of {{ sizing.size }}?", summary=["what", "sizing"]),
        then={"yes": "done", "no": "done"},
    )
    done = End("{{ what }}: {{ sizing.size }}")


def test_a_called_flow_runs_inside_the_session_and_gives_its_result() -> None:
    play = Play(Outer, Inner).answer("A box")
    assert play.shown.name == "size" and play.session.seq == 2
    assert [f.flow for f in play.session.stack] == ["outer", "inner"]
    play.answer(4).answer(True).finish()
    assert play.said("said") == ["Doubled."]
    assert play.names["sizing"] == {"size": 8}
    assert [f.flow for f in play.session.stack] == ["outer"]
    assert play.answer(True).said("ended") == ["A box: 8"]


def test_back_goes_into_a_called_flow_and_out_of_it_again() -> None:
    play = Play(Outer, Inner).answer("A box").answer(4).answer(True).finish()
    play.back()
    assert play.shown.name == "twice"
    assert play.session.stack[1].names == {"what": "A box", "size": 4}
    assert "sizing" not in play.session.stack[0].names
    play.back(to=1)
    assert play.shown.name == "what" and len(play.session.stack) == 1 and play.names == {}
    play.answer("A bag").answer(2).answer(False).finish()
    assert play.names["sizing"] == {"size": 2} and play.names["what"] == "A bag"


def test_change_of_an_outer_answer_runs_the_called_flow_again_with_what_was_answered_there() -> None:
    play = Play(Outer, Inner).answer("A box").answer(4).answer(True).finish().change("what").answer("A bag")
    play.finish()
    assert play.shown.name == "sure" and play.names["sizing"] == {"size": 8}
    assert [r.change for r in play.shown.rows] == ["what", ""]


def test_cancel_goes_through_the_stack() -> None:
    assert Play(Outer, Inner).answer("A box").cancel().session.outcome == "cancelled"


def test_answers_given_beforehand_reach_called_flows() -> None:
    play = Play(Outer, Inner, answers={"what": "x", "size": "7", "twice": "no"})
    assert play.names["sizing"] == {"size": 7}


class CallsNothing(Chatflow):
    """Calls a flow that is not there, or gives it what it does not take."""

    title = "Calls nothing"
    first = Ask(YesNo("Which?"), then={"yes": "gone", "no": "wrong"})
    gone = Call("gone", then="done")
    wrong = Call("inner", colour="red", then="done")
    done = End("ok")


@pytest.mark.parametrize(("value", "says"), [(True, "no chatflow 'gone'"), (False, "takes no 'colour'")])
def test_a_call_that_cannot_be_made_gives_ways_on(value: bool, says: str) -> None:
    play = Play(CallsNothing, Inner).answer(value)
    assert says in play.shown.problem
    assert play.answer("back").shown.name == "first"


class Endless(Chatflow):
    """Calls itself."""

    title = "Endless"
    again = Call("endless")
    done = End("ok")


def test_flows_that_call_each_other_for_ever_are_stopped() -> None:
    play = Play(Endless)
    assert "more than 10 chatflows" in play.shown.problem.lower()
    assert play.answer("cancel").session.outcome == "cancelled"


def test_calls_are_pinned_to_a_version_when_published() -> None:
    flow = compiling.compile_class(Outer)
    inner = compiling.compile_class(Inner)
    pinned = compiling.pin(flow, {"inner": compiling.version_of(inner)})
    assert compiling.version_of(pinned) != compiling.version_of(flow)
    assert Play(pinned, inner).answer("x").session.stack[1].version == compiling.version_of(inner)
    with pytest.raises(compiling.FlowRefused, match="no such chatflow"):
        compiling.pin(flow, {})


class Sleeper(Chatflow):
    """Wait."""

    title = "Sleeper"
    how_long = Ask(Number("How long?"))
    sleeping = Wait(for_s="how_long", says="Sleeping {{ how_long | seconds }}.")
    night = Wait(until="03:00")
    done = End("Awake.")


def test_waits_set_a_timer_and_go_on_when_it_is_due() -> None:
    play = Play(Sleeper, at_ms=5 * DAY_MS).answer(90)
    alarm = play.alarm("pause")
    assert alarm.due_ms == play.now_ms + 90_000
    timer = play.effects[-1]
    assert isinstance(timer, SetTimer) and (timer.id, timer.due_ms) == (alarm.id, alarm.due_ms)
    play.due()
    assert play.alarm("pause").due_ms == 5 * DAY_MS + 3 * 3600 * 1000
    assert play.due().session.outcome == "done"


def test_a_time_of_day_that_has_passed_is_tomorrow() -> None:
    play = Play(Sleeper, at_ms=5 * DAY_MS + 4 * 3600 * 1000).answer(1).due()
    assert play.alarm("pause").due_ms == 6 * DAY_MS + 3 * 3600 * 1000


def test_back_and_cancel_leave_a_wait_and_drop_its_timer() -> None:
    play = Play(Sleeper).answer(90)
    old = play.alarm("pause")
    play.back()
    assert play.shown.name == "how_long"
    assert [e.timer_id for e in play.effects if isinstance(e, DropTimer)] == [old.id]
    play.answer(5)
    with pytest.raises(Stale):
        play.take(lambda at: TimerDue(at_ms=at, timer_id=old.id))
    assert play.cancel().session.outcome == "cancelled"


def test_a_wait_of_no_sensible_length_gives_ways_on() -> None:
    assert Play(Sleeper).answer(-5).shown.name == "way_on"


def which_way(names: dict[str, Any]) -> str:
    return "small" if names["size"] < 10 else "large"


def is_even(names: dict[str, Any]) -> str | None:
    return None if names["size"] % 2 == 0 else f"{names['size']} is odd."


class Hooked(Chatflow):
    """Functions of the plugin's file."""

    title = "Hooked"
    size = Ask(Number("Size?"), check=is_even)
    way = Choose(by=which_way, targets=["small", "large"])
    small = Say("small", then="done")
    large = Say("large")
    done = End("ok")


def test_a_check_is_run_by_the_runtime_before_the_answer_counts() -> None:
    play = Play(Hooked)
    wanted = check_wanted(play.book, play.session, 1, 3)
    assert wanted is not None and (wanted.hook, wanted.names) == ("is_even", {"size": 3})
    assert check_wanted(play.book, play.session, 7, 3) is None
    with pytest.raises(InvalidAnswer):
        check_wanted(play.book, play.session, 1, "x")
    with pytest.raises(InvalidAnswer, match="odd"):
        play.answer(3, refusal=str(is_even(wanted.names)))


def test_a_function_chooses_among_its_targets() -> None:
    play = Play(Hooked).answer(40)
    (call,) = play.hooks()
    assert (call.hook, call.names) == ("which_way", {"size": 40})
    assert play.hook(which_way(call.names)).said("said") == ["large"]


@pytest.mark.parametrize(
    ("value", "problem"), [("done", ""), (None, ""), ({}, ""), (None, "ValueError in line 3")]
)
def test_a_function_that_fails_or_names_no_target_gives_ways_on(value: Any, problem: str) -> None:
    play = Play(Hooked).answer(40).hook(value, problem)
    assert play.shown.name == "way_on" and "which_way" in play.shown.problem
    play.answer("retry").hook("small")
    assert play.session.outcome == "done"


def test_an_answer_given_beforehand_is_checked_by_the_hook_too() -> None:
    play = Play(Hooked, answers={"size": 3})
    assert [c.hook for c in play.hooks()] == ["is_even"]
    play.hook("3 is odd.")
    assert (play.shown.name, play.shown.problem) == ("size", "3 is odd.")
    good = Play(Hooked, answers={"size": 4}).hook(None)
    assert good.hooks()[-1].hook == "which_way"
    failing = Play(Hooked, answers={"size": 4}).hook(problem="it took too long.")
    assert "it took too long" in failing.shown.problem
