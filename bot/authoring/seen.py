"""What the simulated fleet says of its world: the facts of nodes, in the structs that real ones answer with.

Options are what `bot.fleet.facts` makes of real facts; this room may not import that one, so the shape is
here again, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from agent.orders import ContainerFact, DeploymentFact, DiskFact, EngineFact, ImageFact, NodeFacts, PortFact
from bot.authoring.world import App, Box, Image, Machine, World, a_digest

DEMO_REFERENCE = "hercules/welcome:1"


def plain(value: Any) -> Any:
    """As it comes over the wire."""
    return msgspec.json.decode(msgspec.json.encode(value))


def container(machine: Machine, box: Box) -> ContainerFact:
    """One container."""
    app = machine.apps.get(box.deployment)
    return ContainerFact(
        engine_id=box.id,
        name=box.name,
        image=box.image,
        state=box.state,
        health=box.health,  # type: ignore[arg-type]
        created_ms=box.created_ms,
        started_ms=box.started_ms,
        exit_code=None if box.state == "running" else 0,
        deployment=box.deployment,
        part="main" if box.deployment else "",
        revision=app.number if app is not None else 0,
        ports=_ports(box),
        restarts=box.restarts,
    )


def _ports(box: Box) -> tuple[PortFact, ...]:
    return tuple(
        PortFact(container_port=i, protocol="tcp", address="127.0.0.1", node_port=p) for i, p in box.ports
    )


def deployment(machine: Machine, app: App) -> DeploymentFact:
    """One deployment."""
    box = _box(machine, app)
    return DeploymentFact(
        deployment=app.id,
        name=app.name,
        revision=app.number,
        wanted=app.wanted,  # type: ignore[arg-type]
        state=box.state if box is not None else "missing",
        health=box.health if box is not None else "unknown",  # type: ignore[arg-type]
        image=str(app.pin.get("reference", "")),
        engine_id=box.id if box is not None else "",
        created_ms=box.created_ms if box is not None else 0,
        ports=_ports(box) if box is not None else (),
        settings=tuple(sorted(app.settings)),
    )


def _box(machine: Machine, app: App) -> Box | None:
    return next((box for box in machine.boxes.values() if box.deployment == app.id), None)


def opens(box: Box | None) -> str:
    """Where it can be seen with a browser, "" for nowhere."""
    if box is None or box.state != "running" or not box.ports:
        return ""
    return f"http://localhost:{box.ports[0][1]}/"


def app_facts(machine: Machine, app: App) -> dict[str, Any]:
    """What a result says of a deployment."""
    said = {"deployment": deployment(machine, app), "open": opens(_box(machine, app))}
    return plain(said)  # type: ignore[no-any-return]


def target_facts(machine: Machine, box: Box) -> dict[str, Any]:
    """What a result says of a container."""
    if box.deployment in machine.apps:
        return app_facts(machine, machine.apps[box.deployment])
    return {"container": plain(container(machine, box))}


def image(one: Image) -> ImageFact:
    """One image."""
    return ImageFact(
        engine_id=f"sha256:{a_digest('engine', one.digest)}",
        reference=one.reference,
        digest=one.digest,
        bytes=one.bytes,
        architecture="amd64",
        user=one.user,
        ports=(f"{one.port}/tcp",) if one.port else (),
        has_health_check=one.health_check,
        env_names=("PATH",),
    )


def image_facts(one: Image, pin: Any) -> dict[str, Any]:
    """What a result says of an image."""
    strict = bool(one.user) and not one.user.startswith("0") and (one.port or 1024) >= 1024
    return {
        **plain(image(one)),
        "pin": plain(pin),
        "suggested_profile": "strict" if strict else "standard",
        "suggested_port": one.port,
    }


def used_ports(machine: Machine) -> list[int]:
    """Ports that something on it has."""
    return sorted({22, *(port for box in machine.boxes.values() for _, port in box.ports)})


def free_port(machine: Machine) -> int:
    """One that nothing has."""
    used = used_ports(machine)
    return next(port for port in range(20_000, 30_000) if port not in used)


def node_facts(machine: Machine, want: Iterable[str], at_ms: int) -> dict[str, Any]:
    """What `node.facts` answers."""
    wanted = set(want)
    boxes = tuple(container(machine, box) for box in machine.boxes.values())
    facts = NodeFacts(
        at_ms=at_ms,
        hostname=machine.name,
        architecture="amd64",
        memory_bytes=machine.memory_bytes,
        cpus=2,
        agent="simulated",
        engine=EngineFact(answers=True, version="28.0", api="1.48") if "engine" in wanted else None,
        disk=DiskFact(path="/var/lib/docker", total=80 * 1024**3, free=machine.disk_free)
        if "disk" in wanted
        else None,
        containers=boxes if "containers" in wanted else None,
        deployments=tuple(deployment(machine, app) for app in machine.apps.values())
        if "deployments" in wanted
        else None,
        images=tuple(image(one) for one in machine.images.values()) if "images" in wanted else None,
        used_ports=tuple(used_ports(machine)) if "ports" in wanted else None,
        free_port=free_port(machine) if "ports" in wanted else None,
        profiles=("strict", "standard", "legacy"),
        exposures=("local", "lan"),
    )
    return plain(facts)  # type: ignore[no-any-return]


def volumes(machine: Machine, apps: Sequence[App]) -> list[dict[str, Any]]:
    """What `volume.list` answers."""
    return [
        {
            "deployment": app.id,
            "name": name,
            "app": app.name,
            "bytes": 10_000_000,
            "backups": [
                {"backup": copy.id, "at_ms": copy.at_ms, "bytes": copy.bytes}
                for copy in sorted(machine.copies.values(), key=lambda c: -c.at_ms)
                if (copy.deployment, copy.volume) == (app.id, name)
            ],
        }
        for app in apps
        for name in sorted(app.volumes)
    ]


def options(world: World, fact: str, args: dict[str, Any], node: str) -> list[dict[str, Any]]:
    """The options that a fact fills a prompt with."""
    if fact == "nodes":
        return [_node(machine) for machine in world.machines.values()]
    if fact == "demos":
        blob = a_digest("welcome")
        data = {"reference": DEMO_REFERENCE, "blob": blob, "blob_bytes": 1_000_000, "port": 8080}
        return [_option("welcome", "welcome", "a page that shows that all is well", data)]
    machine = world.machines.get(str(args.get("node") or node))
    if machine is None:
        return []
    if fact == "images":
        return [
            _option(f.engine_id, f.reference, f"{f.bytes // 1024**2:,} MiB", {**plain(f), "node": machine.id})
            for f in map(image, machine.images.values())
        ]
    state, made = str(args.get("state", "")), str(args.get("made", ""))
    if fact == "deployments":
        found = [_deployment(machine, app) for app in machine.apps.values()]
        return [
            one for one in found if not state or (one["data"]["state"] == "running") == (state == "running")
        ]
    boxes = [
        box
        for box in machine.boxes.values()
        if (not state or box.state == state) and (not made or (made == "here") == bool(box.deployment))
    ]
    boxes.sort(key=lambda box: (not box.deployment, box.state != "running", box.name))
    return [_container(machine, box) for box in boxes]


def value(world: World, fact: str, args: dict[str, Any], node: str) -> Any:
    """The one value that a fact gives, None for none."""
    machine = world.machines.get(str(args.get("node") or node))
    if machine is None:
        return None
    if fact == "free_port":
        return free_port(machine)
    return max(64, min(256, machine.memory_bytes // 1024**2 // 8))


def _node(machine: Machine) -> dict[str, Any]:
    data = {
        "id": machine.id,
        "name": machine.name,
        "online": machine.online,
        "agent": "simulated",
        "seen_ms": 0,
    }
    away = "" if machine.online else "It is not connected at the moment."
    return _option(machine.id, machine.name, "connected" if machine.online else "", data, away)


def _container(machine: Machine, box: Box) -> dict[str, Any]:
    app = machine.apps.get(box.deployment)
    name = app.name if app is not None else ""
    target: dict[str, Any] = (
        {"type": "part", "deployment": box.deployment, "part": "main"}
        if box.deployment
        else {"type": "engine", "engine_id": box.id, "created_ms": box.created_ms}
    )
    data = {
        **plain(container(machine, box)),
        "node": machine.id,
        "target": target,
        "made": "here" if box.deployment else "elsewhere",
        "deployment_name": name,
        "open": opens(box),
    }
    return _option(name or box.name, name or box.name, f"{box.image} · {box.state}", data)


def _deployment(machine: Machine, app: App) -> dict[str, Any]:
    data = {
        **plain(deployment(machine, app)),
        "id": app.id,
        "node": machine.id,
        "target": {"type": "part", "deployment": app.id, "part": "main"},
        "made": "here",
        "open": opens(_box(machine, app)),
        "seen_ms": 0,
        "fresh": True,
        "number": app.number,
        "pin": app.pin,
        "reference": str(app.pin.get("reference", "")),
        "profile": "standard",
        "memory_mib": 256,
        "order_state": "applied",
        "actor": "p-author",
        "session": "",
        "changed_ms": 0,
    }
    return _option(app.name, app.name, f"{data['reference']} · {data['state']}", data)


def _option(
    value: str, label: str, description: str, data: dict[str, Any], disabled: str = ""
) -> dict[str, Any]:
    return {
        "value": value,
        "label": label,
        "description": description,
        "disabled": disabled,
        "data": data,
    }
