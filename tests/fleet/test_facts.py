"""Facts for prompts, as flows get them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agent.orders import Target
from bot.engine.effects import AskFacts
from bot.engine.facts import FACTS
from tests.fleet.conftest import DEPLOYMENT, Lab
from tests.fleet.node import Node
from tests.fleet.test_deployments import _applied, _fact

FOREIGN = {
    "engine_id": "b" * 64,
    "name": "old-db",
    "image": "postgres:16",
    "state": "exited",
    "health": "none",
    "created_ms": 1_700_000_000_123,
}
OURS = {
    "engine_id": "a" * 64,
    "name": "hercules-abcdef-web-main",
    "image": "nginx:1.27",
    "state": "running",
    "health": "healthy",
    "created_ms": 1_700_000_000_456,
    "deployment": DEPLOYMENT,
    "part": "main",
    "revision": 1,
    "ports": [{"container_port": 80, "protocol": "tcp", "node_port": 20_001}],
}


async def _ready(lab: Lab, **facts: Any) -> Node:
    node = await lab.linked("box")
    node.facts = {"at_ms": 1, "hostname": "lab", **facts}
    return node


async def test_containers_come_with_the_target_that_orders_take(lab: Lab) -> None:
    node = await _ready(lab, containers=[FOREIGN, OURS])
    await _applied(lab, node)
    ours, foreign = (await lab.asked("containers", node))["options"]
    assert (ours["label"], ours["value"], ours["data"]["name"]) == ("web", "web", OURS["name"])
    assert ours["data"]["target"] == {"type": "part", "deployment": DEPLOYMENT, "part": "main"}
    assert ours["data"]["open"] == "http://localhost:20001/"
    assert ours["description"] == "nginx:1.27 · running, healthy"
    assert foreign["data"]["target"] == {
        "type": "engine",
        "engine_id": "b" * 64,
        "created_ms": 1_700_000_000_123,
    }
    assert (foreign["label"], foreign["data"]["made"]) == ("old-db", "elsewhere")
    assert foreign["description"] == "postgres:16 · stopped"
    for option in (ours, foreign):
        msgspec.convert(option["data"]["target"], Target)
        for name in ("name", "engine_id", "created_ms", "state", "health", "image", "deployment"):
            assert name in option["data"]


async def test_containers_are_chosen_by_state_and_by_who_made_them(lab: Lab) -> None:
    node = await _ready(lab, containers=[FOREIGN, OURS])
    assert [o["value"] for o in (await lab.asked("containers", node, state="running"))["options"]] == [
        OURS["name"]
    ]
    assert [o["value"] for o in (await lab.asked("containers", node, made="elsewhere"))["options"]] == [
        "old-db"
    ]
    assert [o["value"] for o in (await lab.asked("containers", node, made="here"))["options"]] == [
        OURS["name"]
    ]


async def test_deployments_come_with_what_was_ordered_and_what_is_seen(lab: Lab) -> None:
    node = await _ready(lab, deployments=[_fact()])
    await _applied(lab, node)
    (option,) = (await lab.asked("deployments", node))["options"]
    data = option["data"]
    assert (option["value"], option["label"]) == ("web", "web")
    assert data["target"] == {"type": "part", "deployment": DEPLOYMENT, "part": "main"}
    assert (data["state"], data["health"], data["fresh"]) == ("running", "healthy", True)
    assert (data["reference"], data["profile"], data["order_state"]) == ("nginx:1.27", "standard", "applied")
    assert data["pin"]["digest"].startswith("sha256:")
    msgspec.convert(data["target"], Target)
    assert (await lab.asked("deployments", node, state="stopped"))["options"] == []


async def test_deployments_of_a_node_that_is_away_say_when_they_were_seen(lab: Lab) -> None:
    node = await _ready(lab, deployments=[_fact()])
    await _applied(lab, node)
    await lab.asked("deployments", node)
    await lab.down(node)
    lab.late_ms = 2 * 3_600_000 + 5_000
    (option,) = (await lab.asked("deployments", node))["options"]
    assert option["description"].endswith("seen 2 hours ago")
    assert option["data"]["fresh"] is False


async def test_a_deployment_that_its_node_never_mentioned_is_still_listed(lab: Lab) -> None:
    node = await _ready(lab)
    await _applied(lab, node)
    (option,) = (await lab.asked("deployments", node))["options"]
    assert option["data"]["state"] == "missing"
    assert option["data"]["ports"][0]["node_port"] == 20_001


async def test_nodes_without_a_link_cannot_be_chosen(lab: Lab) -> None:
    await lab.linked("box")
    away = lab.pinned("away")
    options = {o["label"]: o for o in (await lab.asked("nodes"))["options"]}
    assert options["box"]["disabled"] == ""
    assert options["away"]["disabled"] == "It is not connected at the moment."
    assert options["away"]["data"]["id"] == options["away"]["value"] == away.id


async def test_a_node_without_a_name_is_called_as_its_machine(lab: Lab) -> None:
    node = lab.pinned()
    node.facts = {"at_ms": 1, "hostname": "server-1\u202e\n" + "x" * 500}
    await lab.up(node)
    label = node.id
    for _ in range(50):
        label = (await lab.asked("nodes"))["options"][0]["label"]
        if label != node.id:
            break
    assert label == ("server-1" + "x" * 500)[:60]


async def test_images_are_listed_by_reference(lab: Lab) -> None:
    image = {"engine_id": "sha256:" + "c" * 64, "reference": "nginx:1.27", "bytes": 50 * 1024**2}
    node = await _ready(lab, images=[image])
    (option,) = (await lab.asked("images", node))["options"]
    assert (option["label"], option["description"]) == ("nginx:1.27", "50 MiB")


async def test_a_free_port_is_no_port_that_a_deployment_was_promised(lab: Lab) -> None:
    node = await _ready(lab, used_ports=[20_000, 20_002], free_port=20_001)
    assert await lab.asked("free_port", node) == {"value": 20_001}
    await _applied(lab, node)  # gets 20001
    assert await lab.asked("free_port", node) == {"value": 20_003}


@pytest.mark.parametrize(("total_mib", "proposed"), [(0, 256), (256, 64), (1_024, 128), (64_000, 256)])
async def test_memory_is_proposed_by_what_the_node_has(lab: Lab, total_mib: int, proposed: int) -> None:
    node = await _ready(lab, memory_bytes=total_mib * 1024**2)
    assert await lab.asked("free_memory", node) == {"value": proposed}


async def test_without_a_node_the_only_one_is_asked(lab: Lab) -> None:
    await _ready(lab, free_port=20_005)
    assert await lab.asked("free_port") == {"value": 20_005}
    lab.pinned()
    await lab.fleet.nodes()
    came = await lab.fleet.facts(_ask("free_port"))
    assert "which node" in came.problem


async def test_a_fact_named_by_its_node_is_asked_there(lab: Lab) -> None:
    one, other = await _ready(lab, free_port=20_005), await lab.linked()
    other.facts = {"at_ms": 1, "free_port": 20_006}
    came = await lab.fleet.facts(_ask("free_port", node=one.id, args={"node": other.id}))
    assert came.facts == {"value": 20_006}


async def test_what_cannot_be_had_is_a_sentence(lab: Lab) -> None:
    node = lab.pinned()
    came = await lab.fleet.facts(_ask("containers", node=node.id))
    assert came.facts is None
    assert "not connected" in came.problem
    await lab.up(node)
    for fact, facts, says in (
        ("nothing", {}, "cannot be looked up"),
        ("containers", {"at_ms": 1, "containers": [{"engine_id": 1}]}, "makes no sense"),
        ("containers", {"at_ms": "x"}, "makes no sense"),
    ):
        node.facts = facts
        came = await lab.fleet.facts(_ask(fact, node=node.id))
        assert says in came.problem
        assert came.facts is None


async def test_a_node_that_cannot_read_says_why(lab: Lab) -> None:
    node = await lab.linked(verbs=("container.stop",))
    came = await lab.fleet.facts(_ask("containers", node=node.id))
    assert "does not know that yet" in came.problem


async def test_every_fact_of_the_engine_is_answered(lab: Lab) -> None:
    async def demos(effect: AskFacts) -> dict[str, Any]:
        return {"options": [{"value": "welcome"}]}

    await lab.restart(more_facts={"demos": demos})
    node = await _ready(
        lab, containers=[], deployments=[], images=[], used_ports=[], free_port=20_000, memory_bytes=1
    )
    for fact, meant in FACTS.items():
        assert set(await lab.asked(fact, node)) == {meant.fills}


async def test_a_flood_of_containers_is_cut(lab: Lab) -> None:
    many = [{**FOREIGN, "name": f"c{n}"} for n in range(230)]
    node = await _ready(lab, containers=many)
    assert len((await lab.asked("containers", node))["options"]) == 200


async def test_a_container_called_like_a_deployment_of_ours_can_be_told_apart(lab: Lab) -> None:
    node = await _ready(lab, containers=[{**FOREIGN, "name": "web"}, OURS])
    await _applied(lab, node)
    values = [o["value"] for o in (await lab.asked("containers", node))["options"]]
    assert values == ["web", "b" * 12]


def _ask(fact: str, node: str = "", args: dict[str, Any] | None = None) -> AskFacts:
    return AskFacts(
        id="f-0000000000000001",
        session="s-1",
        seq=1,
        fact=fact,
        args=args or {},
        node=node,
        due_ms=2**53,
    )
