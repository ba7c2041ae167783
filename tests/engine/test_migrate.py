"""Open sessions and newer versions of their flow."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bot.engine import Ask, Call, Chatflow, Do, End, Number, Say, Text, Wait, compile, form, migrate, orders
from bot.engine.events import Migrated
from bot.engine.ready import Ready
from bot.engine.refusals import NotNow, Stale
from tests.engine.play import Play


def flow_of(name: Any = "flow", **states: Any) -> form.Flow:
    migrates = states.pop("migrates", ())
    more = {"title": "Flow", "name": name, "risk": "changes", "migrates": migrates}
    return compile.compile_class(type("Flow", (Chatflow,), {**more, **states}))


OLD = flow_of(
    who=Ask(Text("Who?")), often=Ask(Number("How often?")), done=End("{{ who }} {{ often }}"),
)  # fmt: skip


def play_to(new: form.Flow, *others: form.Flow, old: form.Flow = OLD) -> tuple[Play, str]:
    play = Play(old, *others)
    ready = Ready(new)
    play.book._ready.append(ready)
    return play, ready.version


def over(play: Play, to: str) -> Play:
    return play.take(lambda ms: Migrated(at_ms=ms, to=to))


def test_without_a_rule_a_session_finishes_on_its_own_version() -> None:
    play, to = play_to(flow_of(other=Ask(Text("Other?")), done=End("x")))
    assert migrate.fate(play.book, play.session, play.book.by_version(to)).kind == "finishes"
    with pytest.raises(Stale):
        over(play, to)
    assert play.answer("ann").answer(3).said("ended") == ["ann 3"]


def test_a_session_comes_over_with_its_names_and_its_way_back() -> None:
    new = flow_of(
        who=Ask(Text("Who?")),
        times=Ask(Number("How many times?"), as_="often"),
        done=End("New: {{ who }} {{ often }}"),
        migrates={"from": "*", "states": {"often": "times"}},
    )
    play, to = play_to(new)
    play.answer("ann")
    assert migrate.fate(play.book, play.session, play.book.by_version(to)) == migrate.Fate(
        "moves", "", "times"
    )
    over(play, to)
    assert play.session.flow_version == to and play.said("asked")[-1] == "How many times?"
    assert play.shown.can_back
    play.back()
    assert play.shown.name == "who" and play.shown.kept == "ann"
    assert play.answer("ben").answer(2).said("ended") == ["New: ben 2"]
    with pytest.raises(Stale):
        over(play, to)


def test_a_question_that_did_not_change_is_not_asked_again() -> None:
    new = flow_of(
        who=Ask(Text("Who?")), often=Ask(Number("How often?")), done=End("New."), migrates={"from": "*"}
    )
    play, to = play_to(new)
    play.answer("ann")
    seq = play.session.seq
    over(play, to)
    assert play.session.seq == seq and play.answer(3).said("ended") == ["New."]


@pytest.mark.parametrize(
    ("states", "why"),
    [
        ({"who": Ask(Text("Who?")), "done": End("x")}, "no state 'often'"),
        ({"who": Ask(Text("Who?")), "often": Say("x"), "done": End("x")}, "another kind"),
        (
            {
                "age": Ask(Number("Age?")),
                "often": Ask(Number("How often?")),
                "mid": Say("hm"),
                "done": End("{{ age }}"),
            },
            "'done' of the new version needs 'age'",
        ),
    ],
)
def test_a_session_that_cannot_come_over_stays_and_is_told_why_once(states: dict[str, Any], why: str) -> None:
    play, to = play_to(flow_of(**states, migrates={"from": "*"}))
    play.answer("ann")
    before = play.session
    over(play, to)
    assert why in play.said("migrated")[0] and play.session.flow_version == before.flow_version
    assert play.shown == before.shown
    with pytest.raises(Stale):
        over(play, to)
    assert play.answer(3).said("ended") == ["ann 3"]


def test_dropped_names_are_gone_and_what_needs_them_keeps_the_session() -> None:
    new = flow_of(
        who=Ask(Text("Who?")),
        often=Ask(Number("How often?")),
        done=End("{{ often }}"),
        migrates=[{"from": "ffff"}, {"from": "*", "drop": ["who"]}],
    )
    play, to = play_to(new)
    play.answer("ann")
    over(play, to)
    assert play.names == {} and not play.shown.can_back and play.answer(3).said("ended") == ["3"]


def test_in_the_middle_of_a_step_it_is_looked_at_again_later() -> None:
    states: dict[str, Any] = {
        "ref": Ask(Text("Which?")),
        "do": Do(orders.ResolveImage(reference="{{ ref }}")),
        "more": Ask(Text("More?")),
        "done": End("x"),
    }
    play, to = play_to(flow_of(**states, migrates={"from": "*"}), old=flow_of(**states))
    play.answer("x")
    with pytest.raises(NotNow):
        over(play, to)
    play.finish("failed")  # the built-in prompt is in the middle of a step, too
    with pytest.raises(NotNow):
        over(play, to)
    play.answer("retry").finish()
    assert over(play, to).session.flow_version == to


def test_a_called_flow_goes_on_and_its_caller_is_the_new_one_afterwards() -> None:
    inner = flow_of("inner", what=Ask(Text("What?")), done=End("in"))
    old = flow_of(call=Call("inner"), done=End("Old."))
    new = flow_of(call=Call("inner"), done=End("New."), migrates={"from": "*"})
    play, to = play_to(new, inner, old=old)
    assert play.shown.name == "what"
    assert over(play, to).answer("x").said("ended") == ["New."]
    other = flow_of(call=Call("inner", alongside=True), done=End("New."), migrates={"from": "*"})
    play, to = play_to(other, inner, old=old)
    assert "calls another" in over(play, to).said("migrated")[0]


def test_a_wait_that_changed_is_begun_anew_and_its_timer_dropped() -> None:
    old = flow_of(w=Wait(until="03:00"), done=End("x"))
    play, to = play_to(flow_of(w=Wait(until="04:00"), done=End("x"), migrates={"from": "*"}), old=old)
    first = play.alarm("pause")
    over(play, to)
    assert play.alarm("pause").due_ms == first.due_ms + 3_600_000 and len(play.session.alarms) == 1
    play, to = play_to(flow_of(w=Wait(until="03:00"), done=End("y"), migrates={"from": "*"}), old=old)
    first = play.alarm("pause")
    assert over(play, to).alarm("pause") == first


def test_a_rule_is_part_of_the_version_and_none_leaves_the_bytes_as_they_were() -> None:
    ruled = msgspec.structs.replace(OLD, migrates=(form.Migration(),))
    assert compile.version_of(ruled) != compile.version_of(OLD)
    assert b"migrates" not in compile.encode(OLD)
    assert compile.decode(compile.encode(compile._canonical(ruled))).migrates == (form.Migration(),)
