"""Orders: sent once, awaited, undone in reverse."""

from __future__ import annotations

import pytest

from agent.orders.results import Problem
from bot.engine import Ask, Chatflow, Confirm, Do, End, Text, orders
from bot.engine.ids import derived
from bot.engine.refusals import CannotGoBack, NothingToUndo, NotNow, Stale
from tests.engine.play import NODE, PERSON, Play
from tests.engine.sample import DIGEST, PIN
from tests.engine.test_back import at_summary

PULLED = {"pin": PIN, "digest": DIGEST}


def at_the_end() -> Play:
    """Both orders done; asked whether to keep it."""
    return at_summary().answer(True).finish(facts=PULLED).finish(facts={"open": "http://localhost:20001/"})


def test_an_order_is_complete_and_carries_a_derived_id() -> None:
    play = at_summary().answer(True)
    order = play.orders()[-1]
    assert order.order == {"verb": "image.pull", "image": {**PIN, "blob": None, "blob_bytes": None}}
    assert (order.node, order.actor, order.session) == (NODE, PERSON, "s-1")
    assert order.expires_ms - order.not_before_ms == 3_600_000
    assert play.waiting.id == order.id
    assert order.says == "Getting nginx:1.27"


def test_a_result_becomes_a_name_and_the_flow_goes_on() -> None:
    play = at_the_end()
    assert play.names["pulled"]["pin"] == PIN
    assert play.names["applied"] == {
        "open": "http://localhost:20001/",
        "outcome": "done",
        "problem": None,
        "seconds": 2.0,
        "already": False,
    }
    apply = play.orders()[-1].order
    assert apply["deployment"] == derived("d", "s-1")
    assert apply["revision"]["ports"] == [
        {"container_port": 80, "node_port": 20001, "protocol": "tcp", "exposure": "local"}
    ]
    play.answer(True)
    assert play.said("ended") == ["web runs after 2 s."]
    assert play.session.result == {"name": "web", "port": 20_001}
    assert play.entries[-1].offers[0].label == "Logs of web"
    assert play.entries[-1].offers[0].answers == {"name": "web"}
    assert play.session.undos == () and play.session.stack[0].names == {}


def test_a_result_that_nobody_waits_for_is_stale_and_changes_nothing() -> None:
    play = at_summary().answer(True)
    first = play.orders()[-1].id
    play.finish(facts=PULLED)
    before = play.session
    with pytest.raises(Stale):
        play.finish(order_id=first)
    with pytest.raises(Stale):
        play.finish(order_id="o-somebody-elses")
    assert play.session == before


def test_unknown_is_said_once_and_a_later_result_settles_it() -> None:
    play = at_summary().answer(True)
    order = play.waiting.id
    play.finish("unknown").answer("wait")
    assert play.waiting.unknown
    with pytest.raises(Stale):
        play.finish("unknown")
    play.finish(facts=PULLED)
    assert order not in [one.order for one in play.session.unsettled]
    assert play.waiting.verb == "deployment.apply"


def test_cancel_takes_back_what_was_done_in_reverse() -> None:
    play = at_the_end().cancel()
    assert play.verbs()[-1] == "deployment.remove"
    play.finish()
    assert play.verbs()[-1] == "image.remove"
    assert play.orders()[-1].order["image"]["digest"] == DIGEST
    play.finish()
    assert (play.session.status, play.session.outcome) == ("ended", "cancelled")
    assert [e.verb for e in play.entries if e.kind == "undone"] == ["deployment.remove", "image.remove"]


def test_undo_takes_back_what_was_done_since_the_last_answer_and_asks_it_again() -> None:
    play = at_the_end()
    assert play.shown.can_undo and not play.shown.can_back
    with pytest.raises(CannotGoBack):
        play.back()
    play.undo().finish().finish()
    assert play.shown.name == "sure"
    assert "pulled" not in play.names and play.session.undos == ()
    with pytest.raises(NothingToUndo):
        play.undo()
    play.answer(True)
    assert play.verbs()[-1] == "image.pull"


def test_an_undo_that_fails_is_said_and_can_be_retried_or_left() -> None:
    play = at_the_end().cancel().finish("failed")
    assert [o.value for o in play.shown.options] == ["retry", "leave"]
    assert "Port 80 is taken" in play.shown.problem
    first = play.orders()[-1].id
    play.answer("retry")
    assert play.verbs()[-1] == "deployment.remove" and play.orders()[-1].id != first
    play.finish("failed").answer("leave")
    assert play.verbs()[-1] == "image.remove"
    play.finish()
    assert play.session.outcome == "cancelled"
    assert any("Left as it is" in words for words in play.said("problem"))


def test_a_failure_without_a_way_of_its_own_undoes_what_came_before_and_asks() -> None:
    play = at_summary().answer(True).finish(facts=PULLED)
    problem = Problem(
        code="port_taken",
        says="Port 20001 is taken.",
        do="Choose another.",
        left_behind=("a volume",),
        evidence=("bind: address in use",),
    )
    play.finish("failed", problem=problem)
    assert play.verbs()[-1] == "image.remove"
    told = play.said("finished")[-1]
    for words in ("Port 20001 is taken.", "Choose another.", "a volume", "bind: address in use"):
        assert words in told
    play.finish()
    assert [o.value for o in play.shown.options] == ["retry", "back", "cancel"]
    assert play.shown.problem == "Port 20001 is taken."
    play.answer("retry")
    assert play.verbs()[-1] == "image.pull", "what was undone is done again"
    play.finish(facts=PULLED)
    assert play.verbs()[-1] == "deployment.apply"
    ids = [o.id for o in play.orders()]
    assert len(set(ids)) == len(ids), "each attempt is an order of its own"


def test_after_a_failure_one_can_go_back_and_change() -> None:
    play = at_summary().answer(True).finish("failed")
    assert play.shown.name == "way_on"
    play.answer("back")
    assert play.shown.name == "sure"
    play.change("port").answer(9999).answer(True)
    assert play.verbs()[-1] == "image.pull"


def test_a_failed_first_order_is_retried_in_place() -> None:
    play = at_summary().answer(True).finish("failed").answer("retry")
    assert play.verbs()[-2:] == ["image.pull", "image.pull"]
    assert play.orders()[-1].id != play.orders()[-2].id


def test_cancel_while_an_order_is_under_way_waits_for_its_end() -> None:
    play = at_summary().answer(True).cancel()
    assert play.session.stopping and play.session.waiting is not None
    with pytest.raises(NotNow):
        play.cancel()
    play.finish(facts=PULLED)
    assert play.verbs()[-1] == "image.remove"
    play.finish()
    assert play.session.outcome == "cancelled"


def test_what_was_so_already_is_not_undone() -> None:
    play = at_summary().answer(True).finish(facts=PULLED, already=True).cancel()
    play.finish("failed")
    assert play.session.outcome == "cancelled" and "image.remove" not in play.verbs()


class Stopper(Chatflow):
    """Stop and restart."""

    title = "Stopper"
    risk = "disturbs"
    which = Ask(Text("Which?"))
    sure = Ask(Confirm("Sure?"), then={"yes": "stopping", "no": "done"})
    stopping = Do(
        orders.StopTarget(target={"type": "part", "deployment": "d-0000000000000000"}), failed="did_not"
    )
    after = Ask(Text("And now?"))
    did_not = End("It did not stop: {{ stopping.problem.says }}", outcome="failed")
    done = End("ok")


def test_nobody_goes_back_past_what_cannot_be_undone() -> None:
    play = Play(Stopper).answer("web").answer(True).finish()
    assert play.shown.name == "after"
    assert not play.shown.can_back and not play.shown.can_undo
    with pytest.raises(CannotGoBack):
        play.back()
    play.cancel()
    assert play.session.outcome == "cancelled"


def test_a_failure_with_a_way_of_its_own_goes_there() -> None:
    play = Play(Stopper).answer("web").answer(True).finish("refused")
    assert (play.session.outcome, play.said("ended")) == ("failed", ["It did not stop: Port 80 is taken."])


def test_facts_too_large_to_keep_are_cut_at_their_beginning_and_it_is_noted() -> None:
    lines = [f"line {i}" + "x" * 90 for i in range(490)]
    play = at_summary().answer(True).finish(facts={**PULLED, "lines": lines})
    kept = play.names["pulled"]
    assert kept["pin"] == PIN and kept["lines"][-1] == lines[-1] and len(kept["lines"]) < 490
    assert kept["cut"] is True and kept["cut_note"]


class Crooked(Chatflow):
    """An order that does not come out right."""

    title = "Crooked"
    risk = "changes"
    called = Ask(Text("Name?", as_="name"))
    apply = Do(
        orders.ApplyDeployment(
            deployment="{{ session.deployment }}",
            name="{{ name }}",
            revision={"number": 1, "image": "{{ name }}"},
        )
    )
    done = End("ok")


def test_an_order_that_does_not_come_out_right_is_never_sent() -> None:
    play = Play(Crooked).answer("web")
    assert play.orders() == []
    assert play.shown.name == "way_on" and "deployment.apply" in play.shown.problem


def test_the_audit_hears_of_orders_and_the_end() -> None:
    play = at_the_end().answer(True)
    told = [e.what for e in play.effects if type(e).__name__ == "Audit"]
    assert told == ["session.opened", *["order.sent", "order.finished"] * 3, "session.ended"]


class Careful(Chatflow):
    """Something that can be undone stands before the confirmation."""

    title = "Careful"
    risk = "changes"
    what = Ask(Text("What?"))
    get = Do(orders.PullImage(image=PIN), undo=orders.RemoveImage(image=PIN))
    look = Do(orders.GetFacts())
    sure = Ask(Confirm("Sure?"), then={"yes": "start", "no": "done"})
    start = Do(orders.StartTarget(target={"type": "part", "deployment": "d-0000000000000000"}))
    done = End("ok")


def test_a_confirmation_is_repeated_only_for_the_very_thing_it_confirmed() -> None:
    play = Play(Careful).answer("a").finish().finish().answer(True).finish("failed")
    assert play.answer("retry").waiting.verb == "container.start", "the same thing is tried again"
    play.finish("failed").answer("back").undo().finish()
    assert play.shown.name == "what"
    play.answer("b").finish().finish("failed").finish()
    assert play.shown.name == "way_on"
    play.answer("retry").finish().finish()
    assert play.shown.name == "sure", "another thing is confirmed anew"


def test_a_failure_before_any_prompt_starts_over() -> None:
    play = Play(Careful, answers={"what": "a"}).finish().finish("failed").finish()
    assert [o.value for o in play.shown.options] == ["retry", "back", "cancel"]
    assert play.answer("retry").waiting.verb == "image.pull"
