"""What is settled before a deployment's first effect: every check that needs no effect, then the claims.

Whatever fails here has done nothing. The plan says what was there before, so that a roll-back removes only
what its own order made; it is journaled in the transaction that claims name and ports.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

import msgspec

from agent import deployments, images, networks, secrets
from agent.docker_request import Names, addresses, check
from agent.journal import Running, Taken
from agent.node import Node, Work, now_ms
from agent.orders import ApplyDeployment
from agent.orders.spec import Published
from agent.problems import Failed, Refused


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What was there before the first effect."""

    image_was_here: bool
    network_was_here: bool
    old: str = ""  # engine id of the container that runs the committed revision
    old_ran: bool = False


def plan(work: Work, order: ApplyDeployment, names: Names, running: Running | None) -> Plan:
    """Check what can be checked, and claim name and ports. Raises Failed; nothing was done then."""
    node, engine = work.node, work.node.engine
    check(order.revision, node.file)
    secrets.all_opened(order.revision, node.keys)
    engine.require()
    if engine.free_bytes() < node.reserve:
        raise Failed("disk_full", "There is not enough space on this machine.")
    old: dict[str, Any] | None = None
    if running is not None and running.revision > 0:
        if running.name != order.name:
            raise Refused("condition", f"The deployment is called {running.name}, not {order.name}.")
        old = deployments.current(node, deployments.committed(running))
    named = engine.container(names.container)
    if named is not None and not _is_ours(node, named, order.deployment):
        raise _name_taken(order.name)
    held = deployments.committed(running).order.revision.ports if running and old else ()
    mine = {(p.node_port, p.protocol) for p in held}
    for port in order.revision.ports:
        if (port.node_port, port.protocol) not in mine:
            _require_free(node, port)
    made = Plan(
        image_was_here=images.find(node, order.revision.image) is not None,
        network_was_here=networks.find(engine, names.network) is not None,
        old=str(old["Id"]) if old else "",
        old_ran=running is not None and running.wanted == "running" and not running.held,
    )
    node.point("before plan")
    try:
        node.journal.claim(
            order_id=work.body.id,
            deployment=order.deployment,
            name=order.name,
            revision=order.revision.number,
            ports=[(p.node_port, p.protocol) for p in order.revision.ports],
            plan=msgspec.to_builtins(made),
            now_ms=now_ms(),
        )
    except Taken as e:
        raise _name_taken(order.name) if e.what == "name" else _port_taken(int(e.value), e.by) from e
    return made


def _require_free(node: Node, port: Published) -> None:
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    for address in addresses(port, node.file):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, kind) as probe:
            if port.protocol == "tcp":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port.node_port))
            except OSError as e:
                if e.errno == errno.EADDRNOTAVAIL:
                    raise Refused("node_file", f"This machine does not have the address {address}.") from e
                raise _port_taken(port.node_port, "another program") from e


def _is_ours(node: Node, container: dict[str, Any], deployment: str) -> bool:
    labels = (container.get("Config") or {}).get("Labels") or {}
    return (labels.get("hercules.installation"), labels.get("hercules.deployment")) == (
        node.trust.installation,
        deployment,
    )


def _name_taken(name: str) -> Failed:
    return Failed("name_taken", f"The name {name} is used by something else on this machine.")


def _port_taken(port: int, by: str) -> Failed:
    return Failed("port_taken", f"Port {port} of this machine is already used by {by}.")
