"""Recorded conversations played again with another version: only what really differs is told."""

from __future__ import annotations

from typing import Any

from bot.authoring.replay import differences, replay
from bot.engine import (
    Approval,
    Ask,
    Chatflow,
    Confirm,
    Do,
    End,
    Number,
    Pick,
    Secret,
    Text,
    Wait,
    compile,
    form,
    orders,
)
from bot.engine.events import Approved
from bot.engine.session import Entry
from tests.engine.play import Play


def flow_of(**states: Any) -> form.Flow:
    more = {"title": "Flow", "name": "flow", "risk": "changes"}
    return compile.compile_class(type("Flow", (Chatflow,), {**more, **states}))


def states() -> dict[str, Any]:
    return {
        "ref": Ask(Text("Which image?")),
        "how": Ask(Pick("How?", options={"fast": "Quickly", "slow": "With care"})),
        "often": Ask(Number("How often?", maximum=5_000)),
        "code": Ask(Secret("Code?")),
        "sure": Ask(Confirm("Sure?", summary=["ref"]), then={"yes": "look", "no": "left"}),
        "look": Do(orders.ResolveImage(reference="{{ ref }}"), failed="bad"),
        "done": End("Done with {{ how }}."),
        "left": End("Left.", outcome="unchanged"),
        "bad": End("Not found.", outcome="failed"),
    }


def recorded(outcome: str = "done", *, sure: bool = True) -> list[Entry]:
    play = Play(flow_of(**states())).answer("nginx").answer("slow").answer(1_234)
    play.answer({"sealed": {"node": "n", "for_node": "eA==", "for_recovery": "eA=="}}).answer(sure)
    if sure:
        play.finish(outcome)
    assert play.session.status == "ended"
    return play.entries


def told(new: form.Flow, entries: list[Entry], rule: form.Migration | None = None) -> list[str]:
    return differences(replay([flow_of(**states())], entries), replay([new], entries, rule))


def test_the_same_flow_goes_the_same_way_whatever_the_record_says() -> None:
    for entries in (recorded(), recorded("failed"), recorded(sure=False)):
        assert told(flow_of(**states()), entries) == []
    assert replay([flow_of(**states())], recorded("failed")).steps[-1] == "ends failed"
    assert replay([flow_of(**states())], recorded(sure=False)).steps[-1] == "ends unchanged"
    assert replay([flow_of(**states())], recorded()).ended


def test_another_question_and_another_order_are_told() -> None:
    one = states()
    one["often"] = Ask(Number("How many times?", maximum=5_000))
    assert told(flow_of(**one), recorded()) == [
        "no longer asks “How often?”",
        "now asks “How many times?”",
    ]
    two = states()
    two["look"] = Do(
        orders.ContainerLogs(target={"type": "part", "deployment": "d-" + "0" * 16, "part": "main"})
    )
    assert any("no longer orders image.resolve" in line for line in told(flow_of(**two), recorded()))


def test_an_answer_that_leads_elsewhere_is_told() -> None:
    new = states()
    new["sure"] = Ask(Confirm("Sure?", summary=["ref"]), then={"yes": "left", "no": "left"})
    assert told(flow_of(**new), recorded()) == [
        "no longer orders image.resolve",
        "no longer ends done",
        "now ends unchanged",
    ]


def test_a_state_with_another_name_gets_the_answers_of_the_old_one_by_the_rule() -> None:
    new = {("which" if name == "how" else name): state for name, state in states().items()}
    new["which"] = Ask(
        Pick("How?", options={"fast": "Quickly", "slow": "With care"}, as_="how"), then="often"
    )
    assert told(flow_of(**new), recorded(), form.Migration(states={"how": "which"})) == []


def test_a_refused_approval_is_refused_again() -> None:
    flow = flow_of(
        agree=Wait(approval=Approval("owner"), refused="no"),
        done=End("x"),
        no=End("No.", outcome="unchanged"),
    )
    play = Play(flow)
    asked = play.session.approval
    assert asked is not None
    play.take(
        lambda ms: Approved(
            at_ms=ms, by="p-o", approval=asked.id, answer_id="v", yes=False, reason="no", role="owner"
        )
    )
    assert replay([flow], play.entries).steps == ("ends unchanged",)
