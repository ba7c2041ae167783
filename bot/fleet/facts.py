"""Facts for prompts: what a node said, as the options of a pick or as one value.

Pure: `bot.fleet.fleet` asks the nodes and hands in what they said. `bot.engine.facts.FACTS` is the list of
facts; a row there needs its branch in `Fleet.facts`. Options carry `data`, which becomes the flow's name;
its `target` is the builtins form of `agent.orders.Target`, ready to stand in an order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from agent.orders import (
    ContainerFact,
    DeploymentFact,
    EngineTarget,
    ImageFact,
    NodeFacts,
    PartTarget,
    PortFact,
)
from bot.fleet.deployments import DeploymentView
from bot.fleet.nodes import NodeView
from bot.fleet.records import DeploymentRecord, builtins

OPTIONS = 200  # of one pick: more cannot be read, and the session keeps them
PORTS = range(20_000, 30_000)  # proposed ones
MEMORY_MIB = 256  # proposed where the node has plenty
_MIB = 1024 * 1024

Option = dict[str, Any]


def container_options(
    facts: Iterable[ContainerFact],
    *,
    node: str,
    names: dict[str, str],
    references: dict[str, str] | None = None,
    state: str = "",
    made: str = "",
) -> list[Option]:
    """Containers of a node; ours first, then running ones.

    `names` and `references`: names of deployments and of their images by deployment id; the engine itself
    knows only the id of the image that ours were made from.
    """
    chosen = [
        c
        for c in facts
        if (not state or c.state == state) and (not made or (made == "here") == bool(c.deployment))
    ]
    chosen.sort(key=lambda c: (not c.deployment, c.state != "running", c.name))
    taken = set(names.values())
    images = references or {}
    readable = (msgspec.structs.replace(c, image=images.get(c.deployment, c.image)) for c in chosen[:OPTIONS])
    return [_container(c, node, names, taken) for c in readable]


def _container(c: ContainerFact, node: str, names: dict[str, str], taken: set[str]) -> Option:
    target: PartTarget | EngineTarget
    if c.deployment:
        target = PartTarget(deployment=c.deployment, part=c.part or "main")
    else:
        target = EngineTarget(engine_id=c.engine_id, created_ms=c.created_ms)
    name = names.get(c.deployment, "")
    data = {
        **builtins(c),
        "node": node,
        "target": builtins(target),
        "made": "here" if c.deployment else "elsewhere",
        "deployment_name": name,
        "open": open_at(c.ports) if c.state == "running" else "",
    }
    # what people type: a deployment's name, or the container's own unless a deployment has it
    value = name or (c.engine_id[:12] if c.name in taken else c.name)
    return _option(value, name or c.name, f"{c.image} · {condition(c.state, c.health)}", data)


def deployment_options(
    views: Iterable[DeploymentView], *, node: str, now_ms: int, fresh: bool, state: str = ""
) -> list[Option]:
    """Living deployments of a node, by name. What is not `fresh` says when it was seen."""
    options = []
    for view in views:
        data = deployment_data(view, fresh=fresh)
        if data is None or data["node"] != node:
            continue
        if state and (data["state"] == "running") != (state == "running"):
            continue
        says = f"{data['image']} · {condition(data['state'], data['health'])}"
        says += {"applying": " · is being changed", "removing": " · is being removed"}.get(
            data.get("order_state", ""), ""
        )
        if not fresh and view.seen:
            says += f" · seen {ago(now_ms - view.seen.at_ms)}"
        options.append(_option(data["name"], data["name"], says, data))
    options.sort(key=lambda o: str(o["label"]))
    return options[:OPTIONS]


def deployment_data(view: DeploymentView, *, fresh: bool) -> dict[str, Any] | None:
    """A deployment as a flow's name holds it; None when nothing is known of it but its id."""
    fact = view.seen.fact if view.seen else _assumed(view.record)
    if fact is None:
        return None
    data = {
        **builtins(fact),
        "id": fact.deployment,
        "node": view.record.node if view.record else view.seen.node if view.seen else "",
        "target": builtins(PartTarget(deployment=fact.deployment)),
        "made": "here",
        "open": open_at(fact.ports) if fact.state == "running" else "",
        "seen_ms": view.seen.at_ms if view.seen else 0,
        "fresh": fresh,
    }
    if record := view.record:
        revision = record.revision or record.trying
        data |= {
            "name": record.name,
            "order_state": record.state,
            "number": record.number,
            "actor": record.actor,
            "session": record.session,
            "changed_ms": record.changed_ms,
        }
        if revision:
            data |= {
                "pin": builtins(revision.image),
                "reference": revision.image.reference,
                "profile": revision.profile,
                "memory_mib": revision.memory_mib,
            }
    return data


def _assumed(record: DeploymentRecord | None) -> DeploymentFact | None:
    """What may be said of a deployment that its node has not mentioned yet."""
    if record is None:
        return None
    revision = record.revision or record.trying
    if revision is None:
        return None
    return DeploymentFact(
        deployment=record.id,
        name=record.name,
        revision=revision.number,
        wanted="running",
        state="missing",
        health="unknown",
        image=revision.image.reference,
        ports=tuple(
            PortFact(container_port=p.container_port, protocol=p.protocol, node_port=p.node_port)
            for p in revision.ports
        ),
        settings=tuple(s.name for s in revision.settings),
    )


def image_options(facts: Iterable[ImageFact], *, node: str) -> list[Option]:
    """Images on a node, by reference."""
    chosen = sorted(facts, key=lambda i: (i.reference or "~", i.engine_id))[:OPTIONS]
    return [
        _option(
            i.engine_id,
            i.reference or i.engine_id[:19],
            f"{i.bytes // _MIB:,} MiB",
            {**builtins(i), "node": node},
        )
        for i in chosen
    ]


def node_options(nodes: Iterable[NodeView]) -> list[Option]:
    """All nodes; those without a link cannot be chosen."""
    return [
        _option(
            n.id,
            n.name,
            "connected" if n.online else "",
            {"id": n.id, "name": n.name, "online": n.online, "agent": n.agent, "seen_ms": n.seen_ms},
            disabled="" if n.online else "It is not connected at the moment.",
        )
        for n in nodes
    ]


def free_port(facts: NodeFacts, records: Iterable[DeploymentRecord], node: str) -> int | None:
    """A port that nothing on the node uses and no deployment of the node was promised."""
    promised = {
        port.node_port
        for r in records
        if r.node == node
        for revision in (r.revision, r.trying)
        if revision
        for port in revision.ports
    }
    if facts.free_port is not None and facts.free_port not in promised:
        return facts.free_port
    taken = promised | set(facts.used_ports or ())
    return next((port for port in PORTS if port not in taken), None)


def free_memory_mib(facts: NodeFacts) -> int:
    """How much memory to propose: an eighth of the node's, between 64 and 256 MiB."""
    if facts.memory_bytes <= 0:
        return MEMORY_MIB
    return max(64, min(MEMORY_MIB, facts.memory_bytes // _MIB // 8))


def open_at(ports: Iterable[PortFact]) -> str:
    """Where the first opened TCP port can be seen with a browser on the node; "" for none."""
    for port in ports:
        if port.protocol == "tcp" and port.node_port:
            return f"http://localhost:{port.node_port}/"
    return ""


def condition(state: str, health: str) -> str:
    """How something is, in two words at most."""
    if state != "running":
        return {"exited": "stopped", "missing": "not seen yet"}.get(state, state)
    return "running" if health in ("none", "unknown") else f"running, {health}"


def ago(ms: int) -> str:
    """How long ago, roughly."""
    seconds = max(0, ms) // 1000
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if count := seconds // size:
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


def _option(value: str, label: str, description: str, data: Any, *, disabled: str = "") -> Option:
    return {
        "value": value,
        "label": label,
        "description": description,
        "disabled": disabled,
        "data": data,
    }
