"""Which results are believed, and what becomes of the others."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from nacl.signing import SigningKey
from structlog.testing import capture_logs

from agent.link.messages import ProgressSaid, ResultSaid
from agent.orders import envelope
from tests.fleet.conftest import Lab
from tests.fleet.node import Node, Received, problem, with_byte_changed


async def _sent(lab: Lab, node: Node) -> Received:
    await lab.fleet.send(lab.effect(node))
    return await node.order()


async def _is_dropped(lab: Lab, node: Node, said: ResultSaid, code: str) -> None:
    with capture_logs() as logs:
        await node.say(said)
        await lab.no_result()
    refused = [log for log in logs if log["event"] == "result.refused"]
    assert [log["code"] for log in refused] == [code], logs
    assert node.kept.empty()


async def test_a_result_signed_by_another_key_is_dropped(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    await _is_dropped(lab, node, node.signed(node.result_of(order), SigningKey.generate()), "signature")
    await node.finish(order)
    await lab.result()


async def test_a_result_signed_by_the_bot_itself_is_dropped(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    said = node.signed(node.result_of(order), lab.installation.dispatch)
    await _is_dropped(lab, node, said, "signature")


async def test_a_result_of_another_node_is_dropped(lab: Lab) -> None:
    one, other = await lab.linked(), await lab.linked()
    order = await _sent(lab, one)
    said = one.signed(one.result_of(order))
    with capture_logs() as logs:
        await other.say(said)
        await lab.no_result()
    assert [log["code"] for log in logs if log["event"] == "result.refused"] == ["unknown_order"]


@pytest.mark.parametrize("field", ["order", "node", "verb", "order_sha256"])
async def test_a_result_that_names_something_else_is_dropped(lab: Lab, field: str) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    value = {"order": "o-1111111111111111", "node": "n-1111111111111111", "verb": "image.pull"}.get(
        field, "0" * 64
    )
    changed = msgspec.structs.replace(node.result_of(order), **{field: value})
    said = msgspec.structs.replace(node.signed(changed), order=order.id)
    await _is_dropped(lab, node, said, field)


async def test_a_result_with_one_byte_changed_is_dropped(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    said = node.signed(node.result_of(order))
    changed = msgspec.structs.replace(said, envelope=with_byte_changed(said.envelope))
    await _is_dropped(lab, node, changed, "signature")


async def test_a_result_in_an_envelope_for_orders_is_dropped(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    payload = msgspec.json.encode(node.result_of(order))
    text = envelope.sign(envelope.ORDER_TYPE, payload, node.identity).decode()
    await _is_dropped(lab, node, ResultSaid(order=order.id, envelope=text), "type")


@pytest.mark.parametrize("text", ["", "{}", "[" * 50_000, '{"payload":"%%"}', "\ud83d", "é" * 100])
async def test_a_result_that_is_no_envelope_is_dropped(lab: Lab, text: str) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    if text == "\ud83d":
        await node.raw(f'{{"m":"result","order":"{order.id}","envelope":"\\ud83d"}}')
        await lab.no_result()
        return
    await _is_dropped(lab, node, ResultSaid(order=order.id, envelope=text), "form")


@pytest.mark.parametrize("id", ["o-0000000000000000", "../../etc", "", "x" * 5_000, "a b"])
async def test_a_result_of_an_order_that_nobody_sent_is_dropped(lab: Lab, id: str) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    result = msgspec.structs.replace(node.result_of(order), order=id)
    with capture_logs() as logs:
        await node.say(node.signed(result))
        await lab.no_result()
    assert [log["event"] for log in logs if log["log_level"] == "error"] == []
    assert node.kept.empty()


async def test_a_result_of_an_order_whose_record_was_changed_is_dropped(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    await lab.storage.overwrite("order", order.id, (b"container.stop", b"container.st0p"))
    await _is_dropped(lab, node, node.signed(node.result_of(order)), "tampered")


async def test_the_same_result_again_is_acknowledged_and_told_once(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    said = await node.finish(order)
    await lab.result()
    await node.until_kept()
    for _ in range(3):
        await node.say(said)
        assert await node.until_kept() == order.id
    await lab.restart()
    await node.hang_up()
    await lab.up(node)
    await node.say(said)
    assert await node.until_kept() == order.id
    await lab.no_result()


async def test_another_result_after_the_final_one_is_dropped(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    await node.finish(order)
    await lab.result()
    await node.until_kept()
    said = node.signed(node.result_of(order, "failed", problem=problem("internal")))
    await _is_dropped(lab, node, said, "second_result")


async def test_unknown_yet_is_corrected_by_the_next_result(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    await node.finish(order, "unknown")
    assert (await lab.result())[1].outcome == "unknown"
    await node.until_kept()
    assert [r.id for r in lab.fleet.open_orders()] == [order.id]
    await node.finish(order, "done")
    assert (await lab.result())[1].outcome == "done"
    await node.until_kept()
    assert lab.fleet.open_orders() == []


async def test_a_result_may_say_more_than_this_bot_knows(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    payload = msgspec.json.encode({**msgspec.to_builtins(node.result_of(order)), "of_the_future": [1]})
    text = envelope.sign(envelope.RESULT_TYPE, payload, node.identity).decode()
    await node.say(ResultSaid(order=order.id, envelope=text))
    assert (await lab.result())[0] == order.id


async def test_a_result_said_while_the_bot_was_away_is_taken_up(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    await lab.down(node)
    await lab.restart()
    await lab.up(node)
    await node.finish(await node.order())
    assert (await lab.result())[0] == order.id


async def test_results_of_many_orders_are_all_told(lab: Lab) -> None:
    node = await lab.linked()
    orders = [await _sent(lab, node) for _ in range(100)]
    for order in reversed(orders):
        await node.finish(order)
    told = {(await lab.result())[0] for _ in orders}
    assert told == {order.id for order in orders}


async def test_progress_of_an_open_order_is_told(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    await node.say(ProgressSaid(order=order.id, step="starting", says="Starting it.", done=1, total=3))
    async with asyncio.timeout(60):
        id, progress = await lab.progress.get()
    assert (id, progress.step, progress.done, progress.total) == (order.id, "starting", 1, 3)


async def test_progress_of_an_order_of_another_node_is_dropped(lab: Lab) -> None:
    one, other = await lab.linked(), await lab.linked()
    order = await _sent(lab, one)
    await other.say(ProgressSaid(order=order.id, step="starting", says="A lie."))
    await one.say(ProgressSaid(order="o-0000000000000000", step="starting", says="Nothing."))
    await one.say(ProgressSaid(order=order.id, step="starting", says="True."))
    async with asyncio.timeout(60):
        assert (await lab.progress.get())[1].says == "True."
    assert lab.progress.empty()


async def test_a_flood_of_progress_delays_no_result(lab: Lab) -> None:
    node = await lab.linked()
    order = await _sent(lab, node)
    for n in range(2_000):
        await node.say(ProgressSaid(order=order.id, step="pulling", says="More.", done=n))
    await node.finish(order)
    assert (await lab.result())[0] == order.id
