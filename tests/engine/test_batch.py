"""A Do over many targets: one order each, what came of each, and those again that are not done."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bot.engine import Ask, Chatflow, Confirm, Do, End, Text, compile, orders, text
from bot.engine.compile import FlowRefused
from bot.engine.effects import SendOrder
from bot.engine.refusals import NotNow, Stale
from bot.engine.session import Target
from tests.engine.play import NODE, Play
from tests.engine.sample import PIN

NODES = [{"id": f"n-{c * 16}", "name": f"node-{c}"} for c in "abc"]


def flow(each: Any = NODES, undo: bool = True, **more: Any) -> type[Chatflow]:
    """Get an image on several nodes."""

    class Everywhere(Chatflow):
        """Get an image on several nodes."""

        title = "Everywhere"
        risk = "changes"
        sure = Ask(Confirm("Get it?"), then={"yes": "get", "no": "done"})
        get = Do(
            orders.PullImage(image=PIN),
            says="Getting nginx",
            each=each,
            undo=orders.RemoveImage(image=PIN) if undo else None,
            **more,
        )
        keep = Ask(Text("It is there: {{ get.done | join(', ') }}. And now?"))
        done = End("{{ get.results[0].name | default('nothing') }}")
        bad = End("{{ get.problem.says }} Not begun: {{ get.left | join(', ') }}.", outcome="failed")

    return Everywhere


def targets(play: Play) -> tuple[Target, ...]:
    assert play.session.batch is not None
    return play.session.batch.targets


def states(play: Play) -> list[str]:
    return [target.state for target in targets(play)]


def finish(play: Play, at: int, outcome: str = "done", **more: Any) -> Play:
    return play.finish(outcome, order_id=targets(play)[at].order, **more)


def test_each_target_gets_an_order_of_its_own_on_its_node_and_the_list_is_shown() -> None:
    play = Play(flow()).answer(True)
    assert [o.node for o in play.orders()] == [n["id"] for n in NODES]
    assert len({o.id for o in play.orders()}) == 3
    assert play.waiting.kind == "batch" and states(play) == ["under_way"] * 3
    assert play.orders()[1].says == "Getting nginx (node-b)"
    told = play.said("ordered")
    assert len(told) == 1 and all(n["name"] in told[0] for n in NODES)


def test_results_may_come_in_any_order_and_all_done_goes_on() -> None:
    play = Play(flow()).answer(True)
    finish(play, 2)
    finish(play, 0, already=True)
    assert states(play) == ["done", "under_way", "done"]
    finish(play, 1, facts={"digest": "sha256:1"})
    assert play.shown.name == "keep" and play.session.batch is None
    got = play.names["get"]
    assert (got["outcome"], got["done"], got["failed"], got["left"]) == (
        "done",
        ["node-a", "node-b", "node-c"],
        [],
        [],
    )
    assert got["results"][1] == {
        "target": NODES[1],
        "name": "node-b",
        "node": NODES[1]["id"],
        "outcome": "done",
        "problem": None,
        "seconds": 2.0,
        "already": False,
        "digest": "sha256:1",
    }
    assert "node-b: Done in 2 s." in play.said("finished")
    assert play.said("finished")[-1] == "All 3 are done."


def test_some_at_a_time() -> None:
    play = Play(flow(at_once=2)).answer(True)
    assert len(play.orders()) == 2 and states(play) == ["under_way", "under_way", "to_do"]
    finish(play, 1)
    assert len(play.orders()) == 3 and states(play) == ["under_way", "done", "under_way"]
    finish(play, 2)
    finish(play, 0)
    assert play.shown.name == "keep"


def test_those_that_are_not_done_are_tried_again_and_only_those() -> None:
    play = Play(flow()).answer(True)
    finish(play, 0)
    finish(play, 1, "failed")
    finish(play, 2, "refused")
    assert states(play) == ["done", "failed", "failed"], "the list stays shown"
    assert targets(play)[1].says == "Port 80 is taken."
    assert play.shown.problem.startswith("1 of 3 are done, 2 failed (node-b, node-c). node-b: Port 80")
    retry = play.shown.options[0]
    assert (retry.value, retry.label) == ("retry", "Try those again that are not done (2)")
    first = {o.id for o in play.orders()}
    play.answer("retry")
    again = [o for o in play.orders() if o.id not in first]
    assert [o.node for o in again] == [NODES[1]["id"], NODES[2]["id"]]
    assert [t.attempt for t in targets(play)] == [1, 2, 2]
    finish(play, 1)
    finish(play, 2)
    assert play.shown.name == "keep"
    assert play.names["get"]["done"] == ["node-a", "node-b", "node-c"]


def test_after_so_many_failures_no_other_is_begun() -> None:
    play = Play(flow(at_once=1, stop_after=1, failed="bad")).answer(True)
    finish(play, 0, "failed")
    assert len(play.orders()) == 1
    assert play.session.outcome == "failed"
    assert play.said("ended") == [
        "0 of 3 are done, 1 failed (node-a), 2 were not begun. node-a: Port 80 is taken. "
        "Not begun: node-b, node-c."
    ]


def test_what_was_under_way_when_it_stopped_is_awaited() -> None:
    play = Play(flow(at_once=2, stop_after=1)).answer(True)
    finish(play, 0, "failed")
    assert play.waiting.kind == "batch" and states(play) == ["failed", "under_way", "left"]
    finish(play, 1)
    assert states(play) == ["failed", "done", "left"]
    play.answer("retry")
    assert states(play) == ["under_way", "done", "under_way"]


def test_cancel_in_the_middle_awaits_those_under_way_leaves_the_rest_and_takes_back_in_reverse() -> None:
    play = Play(flow(at_once=2)).answer(True)
    finish(play, 1)
    play.cancel()
    assert states(play) == ["under_way", "done", "under_way"]
    with pytest.raises(NotNow):
        play.cancel()
    with pytest.raises(NotNow):
        play.undo()
    finish(play, 0)
    finish(play, 2, "failed")
    undone = []
    while play.session.status == "open":
        undone.append(play.orders()[-1].node)
        assert play.verbs()[-1] == "image.remove"
        play.finish()
    assert undone == [NODES[0]["id"], NODES[1]["id"]], "the newest first; what failed is not taken back"
    assert play.session.outcome == "cancelled"
    left = Play(flow(at_once=1)).answer(True).cancel()
    assert states(left) == ["under_way", "left", "left"]
    finish(left, 0).finish()
    assert len(left.orders()) == 2 and left.session.outcome == "cancelled"


def test_undo_takes_back_each_target_and_asks_again() -> None:
    play = Play(flow()).answer(True)
    for at in (0, 1, 2):
        finish(play, at)
    play.undo()
    for _ in NODES:
        play.finish()
    assert play.shown.name == "sure" and play.session.undos == ()
    assert [o.node for o in play.orders()[3:]] == [n["id"] for n in reversed(NODES)]


def test_what_has_no_undo_bars_the_way_back_even_when_others_failed() -> None:
    play = Play(flow(undo=False)).answer(True)
    finish(play, 0)
    finish(play, 1, "failed")
    finish(play, 2)
    assert not play.shown.can_back and "Getting nginx" in play.shown.no_back
    assert [o.value for o in play.shown.options] == ["retry", "cancel"]
    play.answer("cancel")
    assert "This stays as it is:" in play.said("ended")[0] and "Getting nginx" in play.said("ended")[0]


def test_an_unknown_target_is_awaited_and_can_be_gone_on_without() -> None:
    play = Play(flow(at_once=1, failed="bad")).answer(True)
    finish(play, 0, "unknown")
    assert play.shown.name == "way_on" and states(play) == ["unknown", "to_do", "to_do"]
    with pytest.raises(Stale):
        finish(play, 0, "unknown")
    play.answer("wait")
    assert play.waiting.kind == "batch"
    finish(play, 0)
    assert states(play) == ["done", "under_way", "to_do"]
    second = targets(play)[1].order
    finish(play, 1, "unknown").answer("go_on")
    assert states(play) == ["done", "failed", "under_way"]
    finish(play, 2)
    assert play.session.outcome == "failed"
    assert [one.order for one in play.session.unsettled] == [second]
    play.finish(order_id=second)
    assert play.session.unsettled == () and play.entries[-1].kind == "corrected"


def test_a_prompt_about_not_knowing_goes_away_by_itself_when_it_is_known() -> None:
    play = Play(flow()).answer(True)
    finish(play, 0)
    finish(play, 1, "unknown")
    assert play.waiting.kind == "batch", "others are under way: nobody is asked yet"
    finish(play, 2)
    assert play.shown.name == "way_on"
    finish(play, 1)
    assert play.shown.name == "keep"


def test_cancel_without_knowing_takes_back_what_is_known() -> None:
    play = Play(flow()).answer(True)
    finish(play, 0)
    finish(play, 1, "unknown")
    finish(play, 2, "failed")
    play.answer("cancel").finish()
    assert play.session.outcome == "cancelled"
    assert "node-b" in play.said("ended")[0] and "not known" in play.said("ended")[0]


def test_the_list_is_frozen_named_twice_is_once_and_an_empty_one_goes_on() -> None:
    play = Play(flow(["n-0000000000000001", "n-0000000000000001", "web"])).answer(True)
    assert [(t.label, t.node) for t in targets(play)] == [
        ("n-0000000000000001", "n-0000000000000001"),
        ("web", NODE),
    ]
    assert Play(flow("{{ [] }}")).answer(True).shown.name == "keep"


class Many(Chatflow):
    """Stop many."""

    title = "Many"
    risk = "disturbs"
    takes = ("parts",)
    sure = Ask(Confirm("Stop?"), then={"yes": "stop", "no": "done"})
    stop = Do(
        orders.StopTarget(target="{{ target.target }}"),
        each="{{ parts }}",
        node="target.node",
        undo=orders.StartTarget(target="{{ target.target }}"),
    )
    done = End("ok")


def part(number: int) -> dict[str, Any]:
    target = {"type": "part", "deployment": f"d-{number:016}", "part": "main"}
    return {"name": f"web-{number}", "node": NODE, "target": target}


def test_orders_and_undos_read_the_target() -> None:
    play = Play(Many, answers={"parts": [part(1), part(2)]}).answer(True)
    assert [o.order["target"]["deployment"] for o in play.orders()] == [f"d-{n:016}" for n in (1, 2)]
    finish(play, 0)
    finish(play, 1, "failed").answer("cancel")
    last = play.effects[-1]
    sent = [e for e in play.effects if isinstance(e, SendOrder)][-1]
    assert sent.order["verb"] == "container.start" and sent.order["target"]["deployment"] == f"d-{1:016}", (
        last
    )


def test_one_target_whose_order_does_not_come_out_right_fails_alone() -> None:
    play = Play(Many, answers={"parts": [{**part(1), "target": "nonsense"}, part(2)]}).answer(True)
    assert states(play) == ["failed", "under_way"]
    finish(play, 1)
    assert targets(play)[0].says and play.shown.name == "way_on"


def test_too_many_targets_are_the_authors_mistake() -> None:
    play = Play(Many, answers={"parts": [part(n) for n in range(201)]}).answer(True)
    assert play.shown.name == "way_on" and "at most 200" in play.shown.problem
    assert play.orders() == []


def test_a_record_of_many_targets_stays_small() -> None:
    play = Play(Many, answers={"parts": [part(n) for n in range(200)]}).answer(True)
    for at in range(200):
        finish(play, at, facts={"lines": ["x" * 100] * 40})
        if play.session.batch is not None:
            assert len(msgspec.json.encode(play.session)) < 250_000
    assert play.session.outcome == "done"


def test_a_repeated_start_gives_the_same_ids() -> None:
    one, two = Play(flow()).answer(True), Play(flow()).answer(True)
    assert [o.id for o in one.orders()] == [o.id for o in two.orders()]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"each": "", "at_once": 2}, "need `each`"),
        ({"each": "nodes"}, "`each` needs a list"),
        ({"at_once": -1}, "0 or more"),
        ({"each": "{{ target }}"}, "'target', which no state sets"),
    ],
)
def test_what_cannot_be_meant_is_refused_when_compiled(more: dict[str, Any], says: str) -> None:
    with pytest.raises(FlowRefused) as refused:
        compile.compile_class(flow(**more))
    assert says in str(refused.value)


def test_only_what_is_used_stands_in_the_canonical_bytes() -> None:
    raw = compile.encode(compile.compile_class(flow(at_once=2)))
    assert b'"at_once":2' in raw and b"stop_after" not in raw and b"no_return" not in raw
    assert text.plain(Play(flow()).shown.label) == "Get it?"
