"""Dated facts: what was picked is looked up again before a Do that uses it."""

from __future__ import annotations

from typing import Any

import pytest

from bot.engine import Ask, Call, Chatflow, Confirm, Do, End, Pick, PickMany, Text, compile, facts, orders
from bot.engine.compile import FlowRefused
from tests.engine.play import Play

LATER_MS = 60_000


def container(name: str = "wiki", state: str = "running", number: int = 1, **more: Any) -> dict[str, Any]:
    target = {"type": "part", "deployment": f"d-{number:016}", "part": "main"}
    return {"value": name, "label": name, "data": {"name": name, "state": state, "target": target}, **more}


class Stop(Chatflow):
    """Stop one and start it again."""

    title = "Stop"
    risk = "disturbs"
    which = Ask(Pick("Which?", options=facts.containers(state="running"), as_="container"))
    sure = Ask(Confirm("Stop {{ container.name }}?"), then={"yes": "stop", "no": "left"})
    stop = Do(orders.StopTarget(target="{{ container.target }}"), says="Stopping {{ container.name }}")
    after = Ask(Text("And now?"))
    start = Do(orders.StartTarget(target="{{ container.target }}"))
    left = End("ok")


def offered(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"options": list(containers)}


def chosen(*flows: type[Chatflow], wait_ms: int = LATER_MS) -> Play:
    play = Play(*(flows or (Stop,))).facts(offered(container())).answer("wiki")
    play.now_ms += wait_ms
    return play.answer(True)


def test_what_was_offered_is_in_the_transcript_with_its_time() -> None:
    play = Play(Stop).facts(offered(container(), container("web", number=2)))
    came = play.now_ms
    play.now_ms += LATER_MS
    play.answer("wiki")
    answered = next(e for e in play.entries if e.kind == "answered")
    assert answered.offered == ("wiki", "web") and answered.offered_ms == came
    assert answered.at_ms > came + LATER_MS


def test_new_facts_are_not_asked_again() -> None:
    play = chosen(wait_ms=100)
    assert play.verbs() == ["container.stop"] and len(play.lookups()) == 1


def test_old_ones_are_and_when_nothing_changed_the_order_goes_out() -> None:
    play = chosen()
    assert play.verbs() == [] and play.waiting.kind == "lookup"
    again = play.lookups()[-1]
    assert (again.fact, again.args, again.node) == ("containers", {}, play.lookups()[0].node)
    play.facts(offered(container("other", number=9), container()))
    assert play.verbs() == ["container.stop"]
    play.finish()
    play.now_ms += LATER_MS
    play.answer("x")
    assert play.verbs()[-1] == "container.start", "what changed by our own doing is not asked again"
    assert len(play.lookups()) == 2


@pytest.mark.parametrize(
    ("now", "says"),
    [
        ([], "wiki is not there any more: choose another."),
        ([container(state="exited")], "wiki is exited now, not running: choose again."),
        ([container(number=2)], "wiki was made anew since it was chosen: choose again."),
        (
            [container(disabled="The machine is full.")],
            "wiki cannot be used now: choose another. (The machine is full.)",
        ),
    ],
)
def test_what_changed_is_said_and_asked_again(now: list[dict[str, Any]], says: str) -> None:
    play = chosen().facts(offered(*now))
    assert play.verbs() == []
    assert play.shown.name == "container" and play.shown.problem == says and play.shown.loading
    assert play.said("problem") == [says]
    play.facts(offered(container("web", number=2)))
    assert play.shown.problem == says, "it stays until it is answered"
    play.answer("web").answer(True)
    assert play.orders()[-1].order["target"]["deployment"] == f"d-{2:016}"


def test_a_lookup_that_fails_can_be_tried_again_or_gone_on_without() -> None:
    play = chosen().facts(problem="node-1 is not connected.")
    assert play.shown.name == "way_on" and "node-1 is not connected." in play.shown.problem
    assert [o.value for o in play.shown.options] == ["retry", "anyway", "cancel"]
    play.answer("retry")
    assert play.waiting.kind == "lookup"
    play.facts(problem="still not.").answer("anyway")
    assert play.verbs() == ["container.stop"]


def test_back_and_cancel_while_it_is_looked_up() -> None:
    assert chosen().back().shown.name == "sure"
    assert chosen().cancel().session.outcome == "cancelled"


class OnNode(Chatflow):
    """Look for a place, then run it there."""

    title = "On node"
    risk = "changes"
    where = Ask(Pick("Where?", options=facts.nodes()))
    sure = Ask(Confirm("There?"), then={"yes": "get", "no": "left"})
    get = Do(
        orders.PullImage(
            image={"reference": "x", "repository": "docker.io/library/x", "digest": "sha256:" + "0" * 64}
        ),
        node="where.id",
        recheck={"where": "{{ where.name }} is full now: choose another."},
    )
    left = End("ok")


def node(online: bool, disabled: str = "") -> dict[str, Any]:
    data = {"id": "n-1111111111111111", "name": "node-2", "online": online}
    return {"value": "node-2", "label": "node-2", "data": data, "disabled": disabled}


def test_the_author_may_say_it_in_words_of_their_own() -> None:
    play = Play(OnNode).facts({"options": [node(True)]}).answer("node-2")
    play.now_ms += LATER_MS
    play.answer(True).facts({"options": [node(False)]})
    assert play.shown.problem == "node-2 is full now: choose another."
    assert play.shown.name == "where"


class Choosing(Chatflow):
    """Choose a container: a part of other flows."""

    title = "Choosing"
    which = Ask(Pick("Which?", options=facts.containers()))
    done = End("", result={"it": "{{ which }}", "note": "chosen"})


class Stopping(Chatflow):
    """Stop what it is given."""

    title = "Stopping"
    risk = "disturbs"
    takes = ("what",)
    sure = Ask(Confirm("Stop it?"), then={"yes": "stop", "no": "left"})
    stop = Do(orders.StopTarget(target="{{ what.target }}"))
    left = End("")


class Both(Chatflow):
    """Choose by one flow, stop by another."""

    title = "Both"
    risk = "disturbs"
    chosen = Call("choosing")
    stopped = Call("stopping", what="{{ chosen.it }}")
    done = End("ok")


def test_dates_travel_with_the_value_through_calls() -> None:
    play = chosen(Both, Choosing, Stopping)
    assert play.waiting.kind == "lookup"
    play.facts(offered(container(state="exited")))
    assert play.shown.name == "which" and "exited now" in play.shown.problem
    play.facts(offered(container(state="exited"))).answer("wiki").answer(True)
    assert play.verbs() == ["container.stop"]


def test_the_record_stays_small_and_is_empty_at_the_end() -> None:
    play = chosen()
    assert len(play.session.dated) == 1
    assert play.cancel().session.dated == {}


def test_a_recheck_of_what_no_state_sets_is_refused() -> None:
    class Odd(Chatflow):
        """Names nothing."""

        title = "Odd"
        risk = "reads"
        look = Do(orders.GetFacts(), recheck={"nothing": ""})
        done = End("ok")

    with pytest.raises(FlowRefused, match="`recheck` names 'nothing'"):
        compile.compile_class(Odd)


class Several(Chatflow):
    """Stop several."""

    title = "Several"
    risk = "disturbs"
    which = Ask(PickMany("Which?", options=facts.containers()))
    sure = Ask(Confirm("Stop them?"), then={"yes": "stop", "no": "left"})
    stop = Do(orders.StopTarget(target="{{ target.target }}"), each="{{ which }}")
    left = End("ok")


def test_each_of_several_picks_is_looked_up_again_in_one_lookup() -> None:
    containers = [container("wiki"), container("web", number=2), container("db", number=3)]
    play = Play(Several).facts(offered(*containers)).answer(["wiki", "db"])
    assert [one.label for one in play.session.dated["0.which"]] == ["wiki", "db"]
    play.now_ms += LATER_MS
    play.answer(True)
    assert play.waiting.kind == "lookup"
    play.facts(offered(*containers))
    assert len(play.lookups()) == 2 and len(play.orders()) == 2
    assert play.session.batch is not None
    assert [t.label for t in play.session.batch.targets] == ["wiki", "db"]
    again = Play(Several).facts(offered(*containers)).answer(["wiki", "db"])
    again.now_ms += LATER_MS
    again.answer(True).facts(offered(containers[0], container("db", "exited", 3)))
    assert (
        again.shown.name == "which" and again.shown.problem == "db is exited now, not running: choose again."
    )
    assert again.orders() == []
