"""An unknown outcome: wait, cancel or go on without knowing; and the transcript corrects itself later."""

from __future__ import annotations

import pytest

from bot.engine import Ask, Chatflow, Confirm, Do, End, Text, orders
from bot.engine.refusals import AlreadyAnswered, NotNow, Stale
from tests.engine.play import Play
from tests.engine.sample import PIN

PART = {"type": "part", "deployment": "d-0000000000000000"}


class Two(Chatflow):
    """Get an image and stop something."""

    title = "Two"
    risk = "disturbs"
    sure = Ask(Confirm("Do both?"), then={"yes": "get", "no": "left"})
    get = Do(orders.PullImage(image=PIN), says="Getting it", undo=orders.RemoveImage(image=PIN))
    stop = Do(orders.StopTarget(target=PART), says="Stopping it", undo=orders.StartTarget(target=PART))
    after = Ask(Text("And now?"))
    left = End("ok")


def unknown() -> Play:
    return Play(Two).answer(True).finish().finish("unknown")


def test_the_person_is_asked_and_waiting_is_what_is_proposed() -> None:
    play = unknown()
    assert play.shown.name == "way_on" and play.shown.default == "wait"
    assert [o.value for o in play.shown.options] == ["wait", "go_on", "cancel"]
    assert not play.shown.can_back and not play.shown.can_undo and play.shown.can_cancel
    for move in (play.back, play.undo):
        with pytest.raises(NotNow):
            move()


def test_a_result_that_comes_first_makes_the_question_go_away() -> None:
    play = unknown()
    seq, order = play.session.seq, play.orders()[-1].id
    play.finish(order_id=order)
    assert play.shown.name == "after" and play.session.unsure is None
    assert len(play.session.undos) == 2, "it can be taken back like any other"
    with pytest.raises(AlreadyAnswered):
        play.answer("wait", seq=seq)
    failed = unknown()
    failed.finish("failed", order_id=failed.orders()[-1].id)
    assert failed.verbs()[-1] == "image.remove"


def test_who_waits_may_still_cancel_without_knowing() -> None:
    play = unknown().answer("wait")
    assert play.waiting.unknown and play.waiting.verb == "container.stop"
    order = play.waiting.id
    play.cancel()
    assert play.verbs()[-1] == "image.remove"
    play.finish()
    assert play.session.outcome == "cancelled"
    assert "Stopping it" in play.said("ended")[0] and "not known" in play.said("ended")[0]
    version = play.session.version
    play.finish(order_id=order)
    assert play.session.status == "ended" and play.session.version == version + 1
    assert play.said("corrected") == ["It is known now: it was done, and stays done (Stopping it)."]
    with pytest.raises(Stale):
        play.finish(order_id=order)


def test_who_goes_on_gets_the_truth_later_and_nothing_moves() -> None:
    play = unknown()
    order = play.orders()[-1].id
    play.answer("go_on")
    assert play.shown.name == "after" and play.names["stop"]["outcome"] == "unknown"
    assert not play.shown.can_back and not play.shown.can_undo
    with pytest.raises(Stale):
        play.finish("unknown", order_id=order)
    shown = play.shown
    play.finish("failed", order_id=order)
    assert play.shown == shown and play.entries[-1].kind == "corrected"
    assert "it was not done" in play.said("corrected")[0] and "Port 80 is taken" in play.said("corrected")[0]


def test_the_end_tells_what_is_not_known_and_corrects_itself() -> None:
    play = unknown()
    order = play.orders()[-1].id
    play.answer("go_on").answer("x")
    assert play.session.status == "ended" and "Stopping it" in play.said("ended")[0]
    play.finish(order_id=order, already=True)
    assert play.entries[-1].outcome == "done" and "so already" in play.said("corrected")[0]
    assert play.session.unsettled == ()
    told = [e for e in play.effects if type(e).__name__ == "Audit" and e.what == "order.finished"]
    assert told[-1].details["order"] == order


def test_cancel_while_it_runs_then_unknown_asks_whether_to_wait() -> None:
    play = Play(Two).answer(True).finish().cancel()
    play.finish("unknown")
    assert [o.value for o in play.shown.options] == ["wait", "cancel"]
    play.answer("wait").finish()
    assert play.verbs()[-1] == "container.start", "what is known to be done is taken back"
    play.finish().finish()
    assert play.session.outcome == "cancelled"


def test_an_undo_that_nobody_knows_of_can_be_awaited_or_left() -> None:
    play = Play(Two).answer(True).finish().finish().undo().finish("unknown")
    assert [o.value for o in play.shown.options] == ["wait", "leave"] and not play.shown.can_cancel
    with pytest.raises(NotNow):
        play.cancel()
    play.answer("wait")
    order = play.waiting.id
    play.cancel()
    assert play.shown.name == "way_on", "who waited for it is asked again"
    play.answer("leave")
    assert play.verbs()[-1] == "image.remove"
    play.finish()
    assert play.shown.name == "sure"
    assert [one.order for one in play.session.unsettled] == [order]
    play.answer(False)
    assert "Taking back: Stopping it" in play.said("ended")[0]
    play.finish(order_id=order)
    assert play.entries[-1].kind == "corrected"


def test_what_was_left_is_told_at_the_end_with_its_reason() -> None:
    play = Play(Two).answer(True).finish().finish().cancel().finish("failed")
    assert "Port 80 is taken" in play.shown.problem
    play.answer("retry").finish("refused").answer("leave").finish()
    audited = [e.details for e in play.effects if getattr(e, "what", "") == "undo.left"]
    assert [one["verb"] for one in audited] == ["container.start"]
    ended = play.said("ended")[0]
    assert "This stays as it is:" in ended
    assert "Taking back: Stopping it. It could not be taken back: Port 80 is taken." in ended


def test_one_undo_that_needs_another_try_ends_well() -> None:
    play = Play(Two).answer(True).finish().finish().cancel().finish("failed").answer("retry").finish()
    play.finish()
    assert play.said("ended") == ["Cancelled."]
    assert [e.verb for e in play.entries if e.kind == "undone"] == ["container.start", "image.remove"]
