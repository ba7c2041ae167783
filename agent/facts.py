"""Facts of the node: engine, disk, containers (those made elsewhere too), deployments, images, ports.

Rule 1: what is reported was seen now. Rule 2: an engine that does not answer is itself a fact, never an
error. Rule 3: what is too long for one result ends early and is named in `cut`.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec
import psutil

from agent import containers, deployments
from agent.docker_engine import DockerEngine
from agent.node import Done, Node, Work, now_ms
from agent.orders import (
    ContainerFact,
    DeploymentFact,
    DiskFact,
    EngineFact,
    GetFacts,
    ImageFact,
    NodeFacts,
    limits,
)
from agent.problems import EngineGone

_LISTENING = "0A"  # TCP state in /proc/net/tcp
_ROOM = limits.RESULT_BYTES - 12_000  # for the lists of one result


def get(work: Work, order: GetFacts) -> Done:
    """Read facts of the node."""
    node, want = work.node, set(order.want)
    up = node.engine.answers()
    cut: list[str] = []
    used = used_ports(node, up) if "ports" in want else None
    room = _ROOM // max(1, len(want & {"containers", "deployments", "images"}))
    facts = NodeFacts(
        at_ms=now_ms(),
        hostname=socket.gethostname(),
        architecture=node.engine.architecture() if up else "",
        memory_bytes=psutil.virtual_memory().total,
        cpus=psutil.cpu_count() or 0,
        agent=node.version,
        engine=_engine(node.engine, up) if "engine" in want else None,
        disk=_disk(node.engine) if "disk" in want and up else None,
        containers=_fitting(_containers(node), room, "containers", cut)
        if "containers" in want and up
        else None,
        deployments=_fitting(_deployments(node), room, "deployments", cut)
        if "deployments" in want and up
        else None,
        images=_fitting(_images(node.engine), room, "images", cut) if "images" in want and up else None,
        used_ports=tuple(sorted(used)) if used is not None else None,
        free_port=free_port(node, used) if used is not None else None,
        profiles=node.file.profiles,
        exposures=("local", "lan") if node.file.lan_addresses else ("local",),
        cut=tuple(cut),
    )
    return Done(facts=msgspec.to_builtins(facts))


def used_ports(node: Node, up: bool) -> set[int]:
    """Ports of the machine that something listens on, a container publishes or a deployment has."""
    used = node.journal.claimed_ports() | _listening()
    if up:
        with node.engine.calling():
            for row in node.engine.api().containers(all=True):
                used |= {int(p["PublicPort"]) for p in row.get("Ports") or [] if p.get("PublicPort")}
    return used


def free_port(node: Node, used: set[int]) -> int | None:
    """The lowest free port of the node file's range: the same one until something takes it."""
    first, last = node.file.free_ports
    return next((port for port in range(first, last + 1) if port not in used), None)


def _engine(engine: DockerEngine, up: bool) -> EngineFact:
    if not up:
        return EngineFact(answers=False, problem=EngineGone().says)
    info = engine.info()
    with engine.calling():
        version = engine.api().version()
    return EngineFact(
        answers=True,
        version=str(version.get("Version") or ""),
        api=str(version.get("ApiVersion") or ""),
        store=str(info.get("Driver") or ""),
        security=tuple(str(option) for option in info.get("SecurityOptions") or []),
    )


def _disk(engine: DockerEngine) -> DiskFact:
    root = engine.data_root()
    usage = psutil.disk_usage(str(root if root.exists() else root.parent))
    return DiskFact(path=str(root), total=usage.total, free=usage.free)


def _containers(node: Node) -> list[ContainerFact]:
    with node.engine.calling():
        rows = node.engine.api().containers(all=True)
    seen = (node.engine.container(str(row["Id"])) for row in rows)
    return sorted((containers.fact(node, c) for c in seen if c is not None), key=lambda c: c.name)


def _deployments(node: Node) -> list[DeploymentFact]:
    return [deployments.fact(node, running) for running in node.journal.deployments()]


def _images(engine: DockerEngine) -> list[ImageFact]:
    with engine.calling():
        rows = engine.api().images()
    return [
        ImageFact(
            engine_id=str(row["Id"]),
            reference=next((t for t in row.get("RepoTags") or [] if t != "<none>:<none>"), ""),
            digest=next((d.partition("@")[2] for d in row.get("RepoDigests") or [] if "@sha256:" in d), ""),
            bytes=int(row.get("Size") or 0),
        )
        for row in rows
    ]


def _fitting(rows: list[Any], room: int, name: str, cut: list[str]) -> tuple[Any, ...]:
    kept = []
    for row in rows:
        room -= len(msgspec.json.encode(row)) + 1
        if room < 0:
            cut.append(name)
            break
        kept.append(row)
    return tuple(kept)


def _listening() -> set[int]:
    """Ports that programs of the machine listen on, from /proc/net."""
    found = set()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        file = Path("/proc/net") / name
        if not file.exists():  # a kernel without IPv6
            continue
        for line in file.read_text().splitlines()[1:]:
            fields = line.split()
            if name.startswith("udp") or fields[3] == _LISTENING:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found
