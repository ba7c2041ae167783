"""The node file (node.toml): what this machine permits at all. Only its root may change it.

Every row here is an upper bound: an order may ask for less, never for more. What no file says is the
default below, the table "Docker" of the security design.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from agent.orders import limits
from agent.orders.spec import Profile

FLOOR_CAPS = frozenset(
    {"NET_RAW", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "DAC_READ_SEARCH", "MKNOD", "BPF", "NET_ADMIN"}
)
"""Capabilities that nobody can permit."""

Cap = Annotated[str, Meta(pattern=limits.exact(r"^[A-Z][A-Z_]{2,30}$"))]
Range = tuple[Annotated[int, Meta(ge=1)], Annotated[int, Meta(le=65535)]]


class BadNodeFile(Exception):
    """node.toml cannot be used; the message says where and why."""


class NodeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What this machine permits."""

    engine: str = "unix:///var/run/docker.sock"
    profiles: tuple[Profile, ...] = ("strict", "standard", "legacy")
    lan_addresses: tuple[str, ...] = ()  # host addresses that the exposure "lan" opens ports on
    registries: tuple[str, ...] = ("docker.io", "ghcr.io", "quay.io")
    capabilities: tuple[Cap, ...] = ()  # added to standard and legacy
    memory_max_mib: Annotated[int, Meta(ge=8)] = 1024 * 1024
    cpus: Annotated[float, Meta(gt=0)] = 0.5  # per container
    pids: Annotated[int, Meta(ge=16, le=4096)] = 256
    nofile_soft: Annotated[int, Meta(ge=256, le=65_536)] = 4096
    nofile_hard: Annotated[int, Meta(ge=256, le=65_536)] = 8192
    tmpfs_mib: Annotated[int, Meta(ge=1)] = 64
    free_ports: Range = (20_000, 29_999)  # where a free port is proposed from
    lowest_port: Annotated[int, Meta(ge=1, le=65_535)] = 1024  # the lowest that an order may open
    networks: str = "10.213.0.0/16"  # each deployment gets a /27 of it
    reserve_mib: Annotated[int, Meta(ge=1)] = 256  # free space below which nothing new is begun
    secrets: str = "/run/hercules-agent"  # below a tmpfs
    engine_grace_s: Annotated[int, Meta(ge=0, le=3600)] = 60  # how long a saga waits for an engine that went
    crash_budget: Annotated[int, Meta(ge=1, le=100)] = 5  # crashes within crash_window_s before it is stopped
    crash_window_s: Annotated[int, Meta(ge=10)] = 300


def load(data: Path, environ: Mapping[str, str] = os.environ) -> NodeFile:
    """The node file of a data directory, or the defaults; DOCKER_HOST wins. Raises BadNodeFile."""
    file = data / "node.toml"
    try:
        raw = tomllib.loads(file.read_text()) if file.exists() else {}
        if "DOCKER_HOST" in environ:
            raw["engine"] = environ["DOCKER_HOST"]
        node = msgspec.convert(raw, type=NodeFile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError, OSError) as e:
        raise BadNodeFile(f"{file}: {e}") from e
    _check(node, file)
    return node


def _check(node: NodeFile, file: Path) -> None:
    try:
        network = ipaddress.IPv4Network(node.networks)
        for address in node.lan_addresses:
            if ipaddress.ip_address(address).is_unspecified:
                raise BadNodeFile(
                    f"{file}: lan_addresses names every address of the machine; name single ones"
                )
    except ValueError as e:
        raise BadNodeFile(f"{file}: {e}") from e
    if not 8 <= network.prefixlen <= 24 or not network.is_private:
        raise BadNodeFile(f"{file}: networks must be a private range between /8 and /24")
    if not node.engine.startswith("unix:///"):
        raise BadNodeFile(f"{file}: engine must be a Unix socket of this machine, unix:///…")
    if forbidden := sorted(FLOOR_CAPS.intersection(c.removeprefix("CAP_") for c in node.capabilities)):
        raise BadNodeFile(f"{file}: {', '.join(forbidden)} can never be given to a container")
    if node.nofile_soft > node.nofile_hard:
        raise BadNodeFile(f"{file}: nofile_soft is above nofile_hard")
    if node.free_ports[0] > node.free_ports[1]:
        raise BadNodeFile(f"{file}: free_ports must name the lower port first")
