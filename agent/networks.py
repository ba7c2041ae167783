"""One bridge network per deployment: a /27 of the node file's range, beside what the host routes already."""

from __future__ import annotations

import hashlib
import ipaddress
import threading
from pathlib import Path
from typing import Any

from docker.types import IPAMConfig, IPAMPool

from agent.docker_engine import Absent, DockerEngine
from agent.docker_request import Names
from agent.problems import Failed

PREFIX = 27
_TRIES = 16  # subnets tried when the engine knows of an overlap that we could not see
_one_at_a_time = threading.Lock()

Subnet = ipaddress.IPv4Network


def find(engine: DockerEngine, name: str) -> dict[str, Any] | None:
    """A network by its exact name."""
    try:
        with engine.calling():
            return dict(engine.api().inspect_network(name))
    except Absent:
        return None


def ensure(engine: DockerEngine, names: Names, order: str, pool: str) -> str:
    """The id of the deployment's network, made when it is not there. Raises Failed when it is another's."""
    with _one_at_a_time:
        if found := find(engine, names.network):
            if (found.get("Labels") or {}).get("hercules.deployment") != names.deployment:
                raise Failed(
                    "name_taken", f"The network {names.network} exists and belongs to something else."
                )
            return str(found["Id"])
        with engine.calling():
            present = engine.api().networks()
        used = _of_engine(present) + _routes(Path("/proc/net/route"))
        for subnet in _free(ipaddress.IPv4Network(pool), used, names.deployment)[:_TRIES]:
            try:
                with engine.calling():
                    made = engine.api().create_network(
                        names.network,
                        driver="bridge",
                        ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))]),
                        labels=names.labels(order=order),
                        check_duplicate=True,
                    )
                return str(made["Id"])
            except Failed as e:
                if "overlap" not in " ".join(e.evidence).lower():
                    raise
        raise Failed(
            "internal", f"No free network is left in {pool}.", "Give node.toml another range: networks."
        )


def remove(engine: DockerEngine, name: str) -> None:
    """Remove a network; nothing happens when there is none."""
    try:
        with engine.calling():
            engine.api().remove_network(name)
    except Absent:
        return


def _free(pool: Subnet, used: list[Subnet], deployment: str) -> list[Subnet]:
    """Free subnets of the pool; where the search starts depends on the deployment, so that it repeats."""
    count = 2 ** (PREFIX - pool.prefixlen)
    size = 2 ** (32 - PREFIX)
    start = int.from_bytes(hashlib.blake2b(deployment.encode(), digest_size=8).digest(), "big") % count
    base = int(pool.network_address)
    found = []
    for n in range(count):
        subnet = ipaddress.IPv4Network((base + (start + n) % count * size, PREFIX))
        if not any(subnet.overlaps(other) for other in used):
            found.append(subnet)
            if len(found) == _TRIES:
                break
    return found


def _of_engine(networks: list[dict[str, Any]]) -> list[Subnet]:
    configs = [c for n in networks for c in ((n.get("IPAM") or {}).get("Config") or [])]
    return [
        ipaddress.IPv4Network(c["Subnet"], strict=False) for c in configs if ":" not in c.get("Subnet", ":")
    ]


def _routes(file: Path) -> list[Subnet]:
    """The host's own IPv4 routes, the default route left out."""
    found = []
    for line in file.read_text().splitlines()[1:]:
        fields = line.split()
        address = ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(fields[1]), "little"))
        mask = ipaddress.IPv4Address(int.from_bytes(bytes.fromhex(fields[7]), "little"))
        if int(mask):
            found.append(ipaddress.IPv4Network(f"{address}/{mask}", strict=False))
    return found
