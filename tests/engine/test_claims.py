"""Another session is at the same target: wait, watch, take over with a reason, or cancel."""

from __future__ import annotations

from typing import Any

import pytest

from bot.engine import Ask, Chatflow, Confirm, Do, End, Text, orders
from bot.engine.effects import AwaitTarget, ReleaseTargets
from bot.engine.events import Taken, TakenOver, TargetFree
from bot.engine.refusals import InvalidAnswer, Stale
from bot.engine.text import Link, Paragraph
from tests.engine.play import NODE, Play
from tests.engine.sample import PIN

DEPLOYMENT = "d-0000000000000000"
PART = {"type": "part", "deployment": DEPLOYMENT}
ELSEWHERE = {"type": "engine", "engine_id": "a" * 64, "created_ms": 1}


class Stop(Chatflow):
    """Look, stop it, start it."""

    title = "Stop"
    risk = "disturbs"
    sure = Ask(Confirm("Stop it?"), then={"yes": "look", "no": "left"})
    look = Do(orders.ContainerLogs(target=PART))
    stop = Do(orders.StopTarget(target=PART), says="Stopping wiki", undo=orders.StartTarget(target=PART))
    after = Ask(Text("And now?"))
    left = End("ok")


def taken(play: Play, order_id: str = "", since_ms: int = 0) -> Play:
    id = order_id or play.waiting.id
    return play.take(
        lambda at: Taken(
            at_ms=at,
            order_id=id,
            claim=DEPLOYMENT,
            session="s-other",
            name="Bob",
            title="Upgrade",
            says="Upgrading wiki",
            since_ms=since_ms or at - 5 * 60_000,
        )
    )


def met() -> Play:
    return taken(Play(Stop).answer(True).finish())


def free(play: Play, wait_id: str = "") -> Play:
    id = wait_id or play.waiting.id
    return play.take(lambda at: TargetFree(at_ms=at, wait_id=id))


def wanted(play: Play, kind: type[Any]) -> list[Any]:
    return [e for e in play.effects if isinstance(e, kind)]


def test_only_what_changes_a_target_that_was_there_before_claims_it() -> None:
    play = Play(Stop).answer(True).finish()
    assert [o.claim for o in play.orders()] == ["", DEPLOYMENT]
    assert play.orders()[1].title == "Stop"
    play.finish().undo()
    assert play.orders()[-1].claim == DEPLOYMENT, "an undo acts on it, too"

    class Other(Chatflow):
        """Orders with other targets."""

        title = "Other"
        risk = "destroys"
        pull = Do(orders.PullImage(image=PIN))
        remove = Do(orders.RemoveTarget(target=ELSEWHERE))
        own = Do(orders.RemoveDeployment(deployment="{{ session.deployment }}"))
        drain = Do(orders.DrainNode())
        done = End("ok")

    other = Play(Other).finish().finish().finish().finish()
    assert [o.claim for o in other.orders()] == ["", f"{NODE}:{'a' * 64}", "", NODE]


def test_somebody_is_at_it_says_who_with_what_and_since_when() -> None:
    play = met()
    assert play.shown.name == "way_on" and play.shown.default == "wait"
    assert play.shown.problem == (
        "Bob is at it just now: Upgrading wiki (for 5 min). Nothing of this was begun."
    )
    assert [o.value for o in play.shown.options] == ["wait", "watch", "back", "take_over", "cancel"]
    assert play.shown.can_back and play.shown.can_cancel
    assert play.entries[-2].kind == "finished" and play.entries[-2].outcome == "refused"


def test_who_waits_goes_on_by_itself() -> None:
    play = met().answer("wait")
    assert play.waiting.kind == "claim"
    wait = wanted(play, AwaitTarget)[-1]
    assert (wait.id, wait.claim) == (play.waiting.id, DEPLOYMENT)
    with pytest.raises(Stale):
        free(play, "w-other")
    free(play)
    assert play.waiting.verb == "container.stop" and play.verbs()[-1] == "container.stop"
    assert len({o.id for o in play.orders()}) == 3, "another attempt is another order"
    play.finish()
    assert play.shown.name == "after"


def test_who_watches_gets_a_way_to_the_other_conversation() -> None:
    play = met().answer("watch")
    assert play.waiting.kind == "claim"
    (paragraph,) = play.entries[-1].text
    assert isinstance(paragraph, Paragraph) and isinstance(paragraph.c[0], Link)
    assert paragraph.c[0].href == "/s/s-other"


def test_while_waiting_one_can_go_back_or_cancel() -> None:
    assert met().answer("wait").back().shown.name == "sure"
    cancelled = met().answer("wait").cancel()
    assert cancelled.session.outcome == "cancelled"
    with pytest.raises(Stale):
        free(cancelled, "w-any")
    assert met().answer("cancel").session.outcome == "cancelled"
    assert met().answer("back").shown.name == "sure"


def test_taking_over_needs_a_reason_and_tells_it() -> None:
    play = met().answer("take_over")
    assert play.shown.kind == "text"
    with pytest.raises(InvalidAnswer):
        play.answer("")
    play.answer("It hangs since yesterday.")
    order = play.orders()[-1]
    assert (order.claim, order.breaks, order.because) == (
        DEPLOYMENT,
        "s-other",
        "It hangs since yesterday.",
    )
    told = [e for e in play.effects if getattr(e, "what", "") == "claim.taken_over"]
    assert told[0].details == {"claim": DEPLOYMENT, "of": "s-other"}
    play.finish().undo()
    assert play.orders()[-1].breaks == "", "taken over once"


def test_whoever_is_taken_over_is_told_once_and_goes_on() -> None:
    play = Play(Stop).answer(True).finish().finish()
    shown = play.shown

    def over(at: int) -> TakenOver:
        return TakenOver(at_ms=at, order_id="o-1", claim=DEPLOYMENT, name="Bob", reason="It **hangs**.")

    play.take(over)
    assert play.shown == shown
    assert play.said("problem") == ["Bob took over what you are working on: It **hangs**."]
    with pytest.raises(Stale):
        play.take(over)


def test_an_undo_of_a_target_that_was_taken_can_be_tried_again_or_left() -> None:
    play = taken(Play(Stop).answer(True).finish().finish().undo())
    assert [o.value for o in play.shown.options] == ["retry", "leave"]
    assert "Bob is at it just now" in play.shown.problem


def test_cancel_that_meets_a_taken_target_ends() -> None:
    play = Play(Stop).answer(True).finish().cancel()
    assert taken(play).session.outcome == "cancelled"


def test_claims_are_given_back_at_the_end_and_when_all_was_taken_back() -> None:
    play = Play(Stop).answer(True).finish().finish()
    assert play.session.claims == (DEPLOYMENT,)
    play.answer("x")
    assert [e.claims for e in wanted(play, ReleaseTargets)] == [(DEPLOYMENT,)]
    undone = Play(Stop).answer(True).finish().finish().undo().finish()
    assert undone.shown.name == "sure" and undone.session.claims == ()
    assert [e.claims for e in wanted(undone, ReleaseTargets)] == [(DEPLOYMENT,)]


def test_what_is_not_known_keeps_its_claim_until_it_is() -> None:
    play = Play(Stop).answer(True).finish().finish("unknown")
    order = play.orders()[-1].id
    play.answer("go_on").answer("x")
    assert play.session.status == "ended" and wanted(play, ReleaseTargets) == []
    play.finish(order_id=order)
    assert [e.claims for e in wanted(play, ReleaseTargets)] == [(DEPLOYMENT,)]


def test_of_a_batch_the_taken_target_fails_alone() -> None:
    class Both(Chatflow):
        """Stop two."""

        title = "Both"
        risk = "disturbs"
        sure = Ask(Confirm("Both?"), then={"yes": "stop", "no": "done"})
        stop = Do(
            orders.StopTarget(target="{{ target }}"),
            each=[PART, {"type": "part", "deployment": "d-0000000000000001"}],
        )
        done = End("ok")

    play = Play(Both).answer(True)
    assert [o.claim for o in play.orders()] == [DEPLOYMENT, "d-0000000000000001"]
    taken(play, play.orders()[0].id)
    batch = play.session.batch
    assert batch is not None and [t.state for t in batch.targets] == ["failed", "under_way"]
    assert "Bob is at it" in batch.targets[0].says
    play.finish(order_id=play.orders()[1].id)
    assert play.shown.options[0].label == "Try those again that are not done (1)"


def test_a_claim_that_nobody_waits_for_is_stale() -> None:
    play = Play(Stop)
    with pytest.raises(Stale):
        taken(play, "o-none")
