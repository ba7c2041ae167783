"""Deployment records: names are held once, every change stands in the history, facts are dated."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from agent.link.messages import DeploymentsSaid
from bot.engine.ids import derived
from bot.fleet.deployments import DeploymentView
from bot.fleet.lists import Lists
from tests.fleet.conftest import DEPLOYMENT, Lab
from tests.fleet.node import Node, problem

OTHER = derived("d", "another")


def _fact(deployment: str = DEPLOYMENT, **fields: Any) -> dict[str, Any]:
    return {
        "deployment": deployment,
        "name": "web",
        "revision": 1,
        "wanted": "running",
        "state": "running",
        "health": "healthy",
        "image": "nginx:1.27",
        "ports": [{"container_port": 80, "protocol": "tcp", "node_port": 20_001}],
        **fields,
    }


async def _applied(lab: Lab, node: Node, outcome: str = "done", **fields: Any) -> None:
    await lab.fleet.send(lab.deploy(node, **fields))
    await node.finish(await node.order(), outcome)
    await lab.result()
    await node.until_kept()


async def _removed(lab: Lab, node: Node, deployment: str = DEPLOYMENT) -> None:
    await lab.fleet.send(lab.effect(node, {"verb": "deployment.remove", "deployment": deployment}))
    await node.finish(await node.order())
    await lab.result()
    await node.until_kept()


async def _only(lab: Lab) -> DeploymentView:
    views = await lab.fleet.deployments()
    assert len(views) == 1
    return views[0]


async def test_a_deployment_is_recorded_when_it_is_handed_over(lab: Lab) -> None:
    node = lab.pinned()
    effect = lab.deploy(node)
    with pytest.raises(Exception, match="not connected"):
        await lab.fleet.send(effect)
    assert await lab.fleet.deployments() == []
    await lab.up(node)
    await node.order()
    record = (await _only(lab)).record
    assert record is not None
    assert (record.id, record.name, record.node, record.state) == (DEPLOYMENT, "web", node.id, "applying")
    assert record.revision is None
    assert record.trying is not None
    change = record.history[0]
    assert (change.order, change.actor, change.session) == (effect.id, "p-owner", effect.session)
    assert (change.verb, change.revision, change.outcome) == ("deployment.apply", 1, "")


async def test_a_deployment_that_came_up_holds_its_revision(lab: Lab) -> None:
    node = await lab.linked()
    await _applied(lab, node)
    record = (await _only(lab)).record
    assert record is not None
    assert (record.state, record.number, record.trying) == ("applied", 1, None)
    assert record.revision is not None
    assert record.revision.image.reference == "nginx:1.27"
    assert [c.outcome for c in record.history] == ["done"]


async def test_sealed_secrets_stay_sealed_in_the_record(lab: Lab) -> None:
    node = await lab.linked()
    value = lab.fleet.seal(node.id, "correct horse")
    await _applied(lab, node, settings=[{"name": "PASSWORD", "sealed": value}])
    record = (await _only(lab)).record
    assert record is not None and record.revision is not None
    assert msgspec.to_builtins(record.revision.settings[0])["sealed"] == value
    for key in await lab.storage.raw.keys("*"):
        if await lab.storage.raw.type(key) == b"string":
            stored = await lab.storage.raw.get(key)
            assert isinstance(stored, bytes)
            assert b"correct horse" not in stored


async def test_a_failed_upgrade_keeps_the_former_revision(lab: Lab) -> None:
    node = await lab.linked()
    await _applied(lab, node)
    await _applied(lab, node, "failed", number=2, memory_mib=512)
    record = (await _only(lab)).record
    assert record is not None and record.revision is not None
    assert (record.state, record.number, record.revision.number) == ("applied", 2, 1)
    assert [(c.revision, c.outcome) for c in record.history] == [(1, "done"), (2, "failed")]


async def test_a_bot_that_dies_between_order_and_deployment_record_makes_good_for_it(lab: Lab) -> None:
    node = await lab.linked()
    effect = lab.deploy(node)
    await lab.fleet.send(effect)
    first = await node.order()
    await lab.down(node)
    for kind in ("deployment", "name"):  # as if these two had not been written yet
        await lab.storage.raw.delete(await lab.storage.key_of(kind))
    await lab.restart()
    assert await lab.fleet.deployments() == []
    await lab.up(node)
    assert (await node.order()).text == first.text
    record = (await _only(lab)).record
    assert record is not None and record.state == "applying"
    await lab.fleet.send(lab.deploy(node, deployment=OTHER))
    problem_of_other = (await lab.result())[1].problem
    assert problem_of_other is not None and problem_of_other.code == "name_taken"


async def test_of_two_revisions_under_way_at_once_each_is_recorded_as_it_ends(lab: Lab) -> None:
    node = await lab.linked()
    await _applied(lab, node)
    orders = []
    for number in (2, 3):
        await lab.fleet.send(lab.deploy(node, number=number))
        orders.append(await node.order())
    for order, outcome, state, runs in (
        (orders[0], "done", "applying", 2),
        (orders[1], "failed", "applied", 2),
    ):
        await node.finish(order, outcome)
        await lab.result()
        await node.until_kept()
        record = (await _only(lab)).record
        assert record is not None and record.revision is not None
        assert (record.state, record.revision.number) == (state, runs)


async def test_a_failed_first_revision_frees_its_name(lab: Lab) -> None:
    node = await lab.linked()
    await _applied(lab, node, "failed")
    assert await lab.fleet.deployments() == []
    await _applied(lab, node, deployment=OTHER)
    record = (await _only(lab)).record
    assert record is not None
    assert record.id == OTHER


async def test_a_failed_first_revision_that_left_something_keeps_its_name(lab: Lab) -> None:
    node = await lab.linked()
    await lab.fleet.send(lab.deploy(node))
    await node.finish(
        await node.order(), "failed", problem=problem("unhealthy", left_behind=["container web"])
    )
    await lab.result()
    await node.until_kept()
    await lab.fleet.send(lab.deploy(node, deployment=OTHER))
    assert (await lab.result())[1].problem is not None
    await _removed(lab, node)
    await _applied(lab, node, deployment=OTHER)


async def test_a_name_that_is_held_is_refused_before_anything_is_sent(lab: Lab) -> None:
    node, elsewhere = await lab.linked(), await lab.linked()
    await _applied(lab, node)
    for other in (node, elsewhere):
        await lab.fleet.send(lab.deploy(other, deployment=OTHER))
        _, result = await lab.result()
        assert result.problem is not None
        assert (result.outcome, result.problem.code) == ("failed", "name_taken")
        assert "'web'" in result.problem.says
        await other.no_order(0.05)


async def test_of_many_that_want_one_name_at_once_one_gets_it(lab: Lab) -> None:
    node = await lab.linked()
    effects = [lab.deploy(node, deployment=derived("d", n)) for n in range(20)]
    await asyncio.gather(*(lab.fleet.send(e) for e in effects))
    order = await node.order()
    await node.no_order(0.1)
    codes = [(await lab.result())[1].problem for _ in range(19)]
    assert {p.code for p in codes if p} == {"name_taken"}
    await node.finish(order)
    assert (await lab.result())[1].outcome == "done"


async def test_a_removed_deployment_frees_its_name_and_keeps_its_history(lab: Lab) -> None:
    node = await lab.linked()
    await _applied(lab, node)
    await _removed(lab, node)
    assert await lab.fleet.deployments() == []
    await _applied(lab, node, deployment=OTHER)


async def test_a_remove_that_failed_leaves_what_was(lab: Lab) -> None:
    node = await lab.linked()
    await _applied(lab, node)
    await lab.fleet.send(lab.effect(node, {"verb": "deployment.remove", "deployment": DEPLOYMENT}))
    order = await node.order()
    record = (await _only(lab)).record
    assert record is not None and record.state == "removing"
    await node.finish(order, "failed", problem=problem("engine_down"))
    await lab.result()
    await node.until_kept()
    record = (await _only(lab)).record
    assert record is not None
    assert (record.state, record.history[-1].says) == ("applied", "It did not work.")


async def test_a_deployment_may_be_tried_again_under_another_name(lab: Lab) -> None:
    node = await lab.linked()
    await _applied(lab, node, "failed")
    await _applied(lab, node, name="site")
    record = (await _only(lab)).record
    assert record is not None and record.name == "site"
    await _applied(lab, node, deployment=OTHER, name="web")


async def test_unknown_yet_stays_under_way_until_it_is_known(lab: Lab) -> None:
    node = await lab.linked()
    await lab.fleet.send(lab.deploy(node))
    order = await node.order()
    await node.finish(order, "unknown")
    await lab.result()
    await node.until_kept()
    record = (await _only(lab)).record
    assert record is not None
    assert (record.state, record.history[0].outcome) == ("applying", "unknown")
    await node.finish(order)
    await lab.result()
    await node.until_kept()
    record = (await _only(lab)).record
    assert record is not None
    assert (record.state, record.history[0].outcome) == ("applied", "done")


async def test_a_deployment_record_changed_in_the_store_is_left_out_and_alarmed(lab: Lab) -> None:
    node = await lab.linked()
    await _applied(lab, node)
    await lab.storage.overwrite("deployment", DEPLOYMENT, (b"nginx:1.27", b"nginx:1.28"))
    assert await lab.fleet.deployments() == []
    assert any(DEPLOYMENT in alarm.key for alarm in await lab.storage.store.alarms())


async def test_what_a_node_says_unasked_is_what_was_seen_last(lab: Lab) -> None:
    node = await lab.linked()
    await _applied(lab, node)
    await node.say(DeploymentsSaid(facts=msgspec.json.encode([_fact(state="exited")]).decode()))
    for _ in range(100):
        seen = (await _only(lab)).seen
        if seen and seen.fact.state == "exited":
            break
        await asyncio.sleep(0.01)
    seen = (await _only(lab)).seen
    assert seen is not None
    assert (seen.node, seen.fact.state) == (node.id, "exited")
    assert abs(seen.at_ms - lab.now_ms()) < 5_000


async def test_facts_that_make_no_sense_change_nothing(lab: Lab) -> None:
    node = await lab.linked()
    for text in ("", "{}", "[1]", "[" * 50_000, '[{"deployment":1}]'):
        await node.say(DeploymentsSaid(facts=text))
    await lab.fleet.send(lab.effect(node))
    await node.order()
    assert await lab.fleet.deployments() == []


async def test_lists_show_no_secret_and_no_envelope(lab: Lab) -> None:
    node = await lab.linked("box")
    value = lab.fleet.seal(node.id, "correct horse")
    await _applied(lab, node, settings=[{"name": "PASSWORD", "sealed": value}])
    for n in range(3):
        await _applied(lab, node, deployment=derived("d", n), name=f"web{n}")
    lists = Lists(lab.fleet)
    first = await lists.deployments(limit=3)
    rest = await lists.deployments(after=first.next, limit=3)
    assert [row.name for row in (*first.items, *rest.items)] == ["web", "web0", "web1", "web2"]
    assert rest.next == ""
    orders = await lists.orders()
    assert len(orders.items) == 4
    assert [row.name for row in (await lists.nodes()).items] == ["box"]
    shown = msgspec.json.encode((first, rest, orders)).decode()
    assert value["for_node"] not in shown
    assert "payload" not in shown
    assert "PASSWORD" in shown
