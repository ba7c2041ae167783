"""Facts a node reports: what was seen, where and when. They accept unknown fields (newer agents)."""

from __future__ import annotations

from typing import Literal

import msgspec

Health = Literal["healthy", "unhealthy", "starting", "none", "unknown"]


class EngineFact(msgspec.Struct, frozen=True, kw_only=True):
    """The Docker Engine of the node. `answers` is False when it did not reply; `problem` says why."""

    answers: bool
    version: str = ""
    api: str = ""
    store: str = ""  # "overlay2", "io.containerd.snapshotter.v1" …
    security: tuple[str, ...] = ()
    problem: str = ""


class PortFact(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a container opened on the node."""

    container_port: int
    protocol: str
    address: str = ""
    node_port: int | None = None


class ContainerFact(msgspec.Struct, frozen=True, kw_only=True):
    """One container, whoever made it. `deployment` and `part` are "" for one made elsewhere."""

    engine_id: str
    name: str
    image: str
    state: str  # running, exited, created, paused, restarting, dead
    health: Health
    created_ms: int
    started_ms: int = 0
    exit_code: int | None = None
    deployment: str = ""
    part: str = ""
    revision: int = 0
    ports: tuple[PortFact, ...] = ()
    restarts: int = 0


class DeploymentFact(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as this node knows it, from its journal and from the engine."""

    deployment: str  # its id
    name: str
    revision: int
    wanted: Literal["running", "stopped"]
    state: str  # as ContainerFact.state, or "missing"
    health: Health
    image: str
    engine_id: str = ""
    created_ms: int = 0
    ports: tuple[PortFact, ...] = ()
    settings: tuple[str, ...] = ()  # names only


class ImageFact(msgspec.Struct, frozen=True, kw_only=True):
    """An image on the node, with what its own configuration says."""

    engine_id: str
    reference: str
    digest: str = ""
    bytes: int = 0
    architecture: str = ""
    user: str = ""
    ports: tuple[str, ...] = ()  # "80/tcp"
    volumes: tuple[str, ...] = ()
    has_health_check: bool = False
    env_names: tuple[str, ...] = ()


class DiskFact(msgspec.Struct, frozen=True, kw_only=True):
    """Space below the engine's data root, in bytes."""

    path: str
    total: int
    free: int


class NodeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything `GetFacts` may return; only what was asked for is filled."""

    at_ms: int
    hostname: str = ""
    architecture: str = ""
    memory_bytes: int = 0
    cpus: int = 0
    agent: str = ""  # version
    engine: EngineFact | None = None
    disk: DiskFact | None = None
    containers: tuple[ContainerFact, ...] | None = None
    deployments: tuple[DeploymentFact, ...] | None = None
    images: tuple[ImageFact, ...] | None = None
    used_ports: tuple[int, ...] | None = None
    free_port: int | None = None
    profiles: tuple[str, ...] = ()  # which the node file allows
    cut: tuple[str, ...] = ()  # which lists were too long for one result and end early
    exposures: tuple[str, ...] = ()  # "local", and "lan" where the node file names addresses
