"""Orders: signed once, sent until answered, never when their time is over."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from agent.orders import GetFacts, StopTarget, envelope, verb_of
from agent.orders.envelope import OrderBody
from bot.engine.effects import SendOrder
from bot.fleet.refusals import NodeOffline, NodeSilent, NoSuchNode, NotReading, OrderChanged
from bot.store import Kind, Tampered
from tests.fleet.conftest import Lab


def _body(effect: SendOrder, lab: Lab) -> OrderBody:
    return msgspec.convert(
        {
            "id": effect.id,
            "installation": lab.installation.id,
            "node": effect.node,
            "order": effect.order,
            "actor": effect.actor,
            "session": effect.session,
            "not_before_ms": effect.not_before_ms,
            "expires_ms": effect.expires_ms,
        },
        OrderBody,
    )


async def test_an_order_says_what_the_effect_says_and_is_signed(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.effect(node)
    await lab.fleet.send(effect)
    order = await node.order()
    assert order.body == _body(effect, lab)
    assert order.payload == envelope.encode_order(order.body)


async def test_a_result_is_told_then_acknowledged(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.effect(node)
    await lab.fleet.send(effect)
    order = await node.order()
    assert [r.id for r in lab.fleet.open_orders()] == [effect.id]
    await node.finish(order, facts={"seen": 1})
    id, result = await lab.result()
    assert (id, result.outcome, result.facts) == (effect.id, "done", {"seen": 1})
    assert await node.until_kept() == effect.id
    assert lab.fleet.open_orders() == []
    kept = await lab.fleet.order(effect.id)
    assert kept is not None
    assert (kept.session, kept.outcome, kept.is_settled) == (effect.session, "done", True)


async def test_sending_twice_on_one_link_sends_once(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.effect(node)
    await asyncio.gather(*(lab.fleet.send(effect) for _ in range(20)))
    await node.order()
    await node.no_order()


async def test_after_a_reconnect_an_open_order_comes_again_byte_for_byte(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.effect(node)
    await lab.fleet.send(effect)
    first = await node.order()
    await lab.down(node)
    await lab.up(node)
    assert (await node.order()).text == first.text
    await lab.restart()
    await node.hang_up()
    await lab.up(node)
    again = await node.order()
    assert again.text == first.text
    await lab.fleet.send(effect)
    await node.no_order()
    await node.finish(again)
    assert (await lab.result())[0] == effect.id


async def test_an_order_for_an_offline_node_waits_for_its_link(lab: Lab) -> None:
    node = lab.pinned()
    effects = [lab.effect(node) for _ in range(3)]
    for effect in effects:
        with pytest.raises(NodeOffline):
            await lab.fleet.send(effect)
    await lab.restart()  # what waits stands in the store
    await lab.up(node)
    came = [(await node.order()).id for _ in effects]
    assert sorted(came) == sorted(e.id for e in effects)


async def test_an_order_whose_time_is_over_is_not_sent_and_said_to_have_failed(lab: Lab) -> None:
    node = lab.pinned()
    effect = lab.effect(node, lasts_ms=1_000)
    with pytest.raises(NodeOffline):
        await lab.fleet.send(effect)
    lab.late_ms = 2_000
    await lab.up(node)
    id, result = await lab.result()
    assert (id, result.outcome, result.problem and result.problem.code) == (effect.id, "failed", "expired")
    await node.no_order()
    assert lab.fleet.open_orders() == []


async def test_an_order_that_was_handed_over_is_asked_about_also_after_its_time(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.effect(node, lasts_ms=1_000)
    await lab.fleet.send(effect)
    first = await node.order()
    await lab.down(node)
    lab.late_ms = 2_000
    await lab.restart()
    await lab.up(node)
    again = await node.order()
    assert again.text == first.text
    await node.finish(again)
    assert (await lab.result())[1].outcome == "done"


async def test_a_withdrawn_order_is_never_sent(lab: Lab) -> None:
    node = lab.pinned()
    effect = lab.effect(node)
    with pytest.raises(NodeOffline):
        await lab.fleet.send(effect)
    assert await lab.fleet.withdraw(effect.id)
    await lab.up(node)
    await lab.fleet.send(effect)
    await node.no_order()
    await lab.no_result()


async def test_an_order_that_was_handed_over_cannot_be_withdrawn(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.effect(node)
    await lab.fleet.send(effect)
    assert not await lab.fleet.withdraw(effect.id)


async def test_an_id_that_comes_with_another_order_is_refused(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.effect(node)
    await lab.fleet.send(effect)
    await node.order()
    for change in (
        {"session": "s-0000000000000002"},
        {"actor": "p-other"},
        {"expires_ms": effect.expires_ms + 1},
        {"order": {**effect.order, "stop_within_s": 11}},
        {"order": {"verb": "nothing"}},
    ):
        with pytest.raises(OrderChanged):
            await lab.fleet.send(msgspec.structs.replace(effect, **change))
    await node.no_order()


async def test_a_verb_that_the_agent_does_not_know_fails_with_a_sentence(lab: Lab) -> None:
    node = await lab.linked(verbs=("node.facts",))
    effect = lab.effect(node)
    await lab.fleet.send(effect)
    _, result = await lab.result()
    assert result.outcome == "failed"
    assert result.problem is not None
    assert result.problem.code == "unknown_verb"
    assert "this agent does not know that yet" in result.problem.says.lower()
    await node.no_order()
    await lab.fleet.send(effect)  # the outcome stays, also when the agent is newer by then
    assert (await lab.result())[1].problem == result.problem


@pytest.mark.parametrize(
    "order",
    [
        {"verb": "shell.run", "command": "id"},
        {"verb": "container.stop"},
        {"verb": "container.stop", "target": {"type": "engine", "engine_id": "x", "created_ms": 1}},
        {"verb": "deployment.apply", "deployment": "d-x", "name": "../..", "revision": {}},
        {},
        {"verb": "image.pull", "image": {"reference": "\x00" * 10_000}},
    ],
    ids=lambda order: str(order)[:40],
)
async def test_what_is_no_order_fails_and_is_not_signed(lab: Lab, order: dict[str, object]) -> None:
    node = await lab.linked()
    effect = lab.effect(node, {"verb": "", **order})
    await lab.fleet.send(effect)
    _, result = await lab.result()
    assert result.problem is not None
    assert (result.outcome, result.problem.code) == ("failed", "refused.form")
    await node.no_order()


async def test_an_order_that_is_too_large_fails_with_its_size(lab: Lab) -> None:
    node = await lab.linked()
    settings = [{"name": f"N{n}", "value": "x" * 8_000} for n in range(10)]
    await lab.fleet.send(lab.deploy(node, settings=settings))
    _, result = await lab.result()
    assert result.problem is not None
    assert "60,000" in result.problem.says
    await node.no_order()


async def test_an_order_for_a_node_that_does_not_exist_fails(lab: Lab) -> None:
    await lab.fleet.send(lab.effect("n-0000000000000000"))
    _, result = await lab.result()
    assert result.problem is not None
    assert result.problem.code == "refused.node"


async def test_a_result_is_told_again_until_it_is_taken(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.effect(node)
    await lab.fleet.send(effect)
    lab.fail_results = [NodeOffline(node="x"), RuntimeError("a fault of ours"), NodeOffline(node="x")]
    await node.finish(await node.order())
    assert node.kept.empty()
    assert (await lab.result())[0] == effect.id
    assert await node.until_kept() == effect.id


async def test_an_effect_whose_result_got_lost_is_told_the_result_again(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.effect(node)
    await lab.fleet.send(effect)
    await node.finish(await node.order(), facts={"n": 7})
    first = await lab.result()
    await node.until_kept()
    await lab.fleet.send(effect)
    assert await lab.result() == first
    await node.no_order()


async def test_an_order_record_that_was_changed_in_the_store_is_never_sent(lab: Lab) -> None:
    node = lab.pinned()
    effect = lab.effect(node)
    with pytest.raises(NodeOffline):
        await lab.fleet.send(effect)
    await lab.storage.overwrite("order", effect.id, (b"p-owner", b"p-0wner"))
    await lab.up(node)
    await node.no_order()
    with pytest.raises(Tampered):
        await lab.fleet.send(effect)
    assert [alarm for alarm in await lab.storage.store.alarms() if effect.id in alarm.key]


async def test_an_order_written_into_the_store_by_hand_is_never_sent(lab: Lab) -> None:
    node = lab.pinned()
    effect = lab.effect(node)
    with pytest.raises(NodeOffline):
        await lab.fleet.send(effect)
    key = await lab.storage.key_of("order", effect.id)
    value = await lab.storage.value_of(key)
    forged = "o-0000000000000000"
    await lab.storage.raw.set(key.replace(effect.id, forged), value)
    await lab.storage.raw.zadd(key.split(":record:")[0] + ":records:order", {forged: 0})
    await lab.restart()
    await lab.up(node)
    assert (await node.order()).id == effect.id
    await node.no_order()


async def test_a_lookup_is_signed_short_lived_and_kept_nowhere(lab: Lab) -> None:
    node = await lab.linked()
    result = await lab.fleet.lookup(node.id, GetFacts(want=("engine",)))
    assert (result.outcome, result.facts["hostname"]) == ("done", "lab")
    assert lab.fleet.open_orders() == []
    assert (await lab.storage.store.all(Kind.ORDER)).items == []


async def test_a_lookup_that_nobody_answers_ends_in_time(lab: Lab) -> None:
    node = await lab.linked()
    node.is_silent = True
    with pytest.raises(NodeSilent):
        await lab.fleet.lookup(node.id, GetFacts(), timeout_s=0.2)


async def test_a_lookup_ends_when_its_link_does(lab: Lab) -> None:
    node = await lab.linked()
    node.is_silent = True
    asking = asyncio.create_task(lab.fleet.lookup(node.id, GetFacts(), timeout_s=30))
    await asyncio.sleep(0.1)
    await node.hang_up()
    with pytest.raises(NodeOffline):
        await asking


async def test_a_lookup_cannot_change_anything(lab: Lab) -> None:
    node = await lab.linked()
    stop = msgspec.convert(lab.effect(node).order, StopTarget)
    with pytest.raises(NotReading):
        await lab.fleet.lookup(node.id, stop)
    await node.no_order()


async def test_a_lookup_of_a_node_without_a_link_says_so(lab: Lab) -> None:
    node = lab.pinned()
    with pytest.raises(NodeOffline):
        await lab.fleet.lookup(node.id, GetFacts())
    with pytest.raises(NoSuchNode):
        await lab.fleet.lookup("n-0000000000000000", GetFacts())


async def test_a_lookup_that_the_agent_does_not_know_fails_with_a_sentence(lab: Lab) -> None:
    node = await lab.linked(verbs=("container.stop",))
    result = await lab.fleet.lookup(node.id, GetFacts())
    assert result.problem is not None
    assert result.problem.code == "unknown_verb"


async def test_every_verb_passes_through_the_vocabulary(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.deploy(node)
    await lab.fleet.send(effect)
    assert verb_of((await node.order()).body.order) == "deployment.apply"
