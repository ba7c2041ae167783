"""Deployments as this node has them: what was committed, how it stands, bring it up, remove it.

The saga (agent/saga.py) is the only way by which a revision comes to run; here stands what it shares with
the keeper and the verbs that act on what runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from agent import networks, secrets
from agent.docker_engine import Absent
from agent.docker_request import (
    RESTART,
    ImageSeen,
    Names,
    addresses,
    build,
    numeric,
    user_for,
    volumes_for,
)
from agent.gate import health
from agent.journal import Running
from agent.node import Done, Node, Work
from agent.orders import ApplyDeployment, DeploymentFact, PortFact, RemoveDeployment
from agent.orders.spec import Published, Revision
from agent.problems import Failed


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """What a saga committed: enough to make the container again without the bot."""

    order: ApplyDeployment
    order_id: str
    image: ImageSeen
    container: str


def committed(running: Running) -> Committed:
    """What the journal has of a deployment."""
    return msgspec.json.decode(running.body, type=Committed)


def names_of(node: Node, order: ApplyDeployment) -> Names:
    """What the part of an order is called here."""
    return node.names(order.deployment, order.name, order.revision.part)


def current(node: Node, what: Committed) -> dict[str, Any] | None:
    """The container of a committed revision, as the engine describes it."""
    if found := node.engine.container(what.container):
        return found
    revision = what.order.revision
    rows = node.engine.labelled(
        installation=node.trust.installation, deployment=what.order.deployment, revision=str(revision.number)
    )
    return node.engine.container(str(rows[0]["Id"])) if rows else None


def write_secrets(node: Node, order: ApplyDeployment, image: ImageSeen) -> dict[str, str]:
    """Write the secret files of a revision; returns the container's environment. Raises Failed."""
    revision = order.revision
    opened = secrets.all_opened(revision, node.keys)
    if opened:
        user = numeric(user_for(revision, image) or image.user)
        secrets.write(_secrets_folder(node, order), opened, None if node.engine.remaps_users() else user)
    return secrets.environment(revision, opened)


def create(
    node: Node, order: ApplyDeployment, image: ImageSeen, *, order_id: str, name: str, env: dict[str, str]
) -> str:
    """Create the container of a revision; returns its id. Raises Failed."""
    has_secrets = any(s.sealed is not None for s in order.revision.settings)
    request = build(
        names=names_of(node, order),
        revision=order.revision,
        image=image,
        node=node.file,
        order=order_id,
        container_name=name,
        env=env,
        secrets=_secrets_folder(node, order) if has_secrets else None,
    )
    with node.engine.calling():
        api = node.engine.api()
        made = api.create_container(host_config=api.create_host_config(**request.host), **request.create)
    return str(made["Id"])


def ensure_volumes(node: Node, order: ApplyDeployment, image: ImageSeen, order_id: str) -> None:
    """Make the volumes of a revision that are not there; a new one belongs to the container's user."""
    names = names_of(node, order)
    user = numeric(user_for(order.revision, image) or image.user)
    for volume in volumes_for(order.revision, image):
        name = names.volume(volume.volume)
        if find_volume(node, name) is not None:
            continue
        with node.engine.calling():
            node.engine.api().create_volume(name, driver="local", labels=names.labels(order=order_id))
        if user and user[0]:
            node.engine.own_volume(name, user)


def find_volume(node: Node, name: str) -> dict[str, Any] | None:
    """A volume by name."""
    try:
        with node.engine.calling():
            return dict(node.engine.api().inspect_volume(name))
    except Absent:
        return None


def put_up(node: Node, running: Running) -> str:
    """Start what should run: secrets anew, the container made again if somebody removed it. Returns its id.

    The caller holds the deployment's lock.
    """
    what = committed(running)
    env = write_secrets(node, what.order, what.image)
    found = current(node, what)
    if found is None:
        if node.engine.image(what.image.id) is None:
            raise Failed("no_such_target", f"The image of {running.name} is no longer on this machine.")
        networks.ensure(node.engine, names_of(node, what.order), what.order_id, node.file.networks)
        ensure_volumes(node, what.order, what.image, what.order_id)
        name = names_of(node, what.order).container
        container = create(node, what.order, what.image, order_id=what.order_id, name=name, env=env)
        restart_by_itself(node, container)
    else:
        container = str(found["Id"])
    node.engine.start(container)
    return container


def restart_by_itself(node: Node, container: str) -> None:
    """From here on the engine starts the container again by itself."""
    with node.engine.calling():
        node.engine.api().update_container(container, restart_policy=RESTART)


def fact(node: Node, running: Running) -> DeploymentFact:
    """How a deployment stands now."""
    what = committed(running)
    found = current(node, what)
    order = what.order
    return DeploymentFact(
        deployment=running.id,
        name=running.name,
        revision=running.revision,
        wanted=running.wanted,
        state=running.held or (str(found["State"]["Status"]) if found else "missing"),
        health=health(found) if found else "unknown",
        image=order.revision.image.reference,
        engine_id=str(found["Id"]) if found else "",
        created_ms=running.created_ms,
        ports=ports_of(node, order.revision.ports),
        settings=tuple(s.name for s in order.revision.settings),
    )


def ports_of(node: Node, ports: tuple[Published, ...]) -> tuple[PortFact, ...]:
    """The ports of a revision with the addresses that they are open on."""
    return tuple(
        PortFact(container_port=p.container_port, protocol=p.protocol, address=address, node_port=p.node_port)
        for p in ports
        for address in addresses(p, node.file)
    )


def facts(node: Node, deployment: str) -> dict[str, Any]:
    """What a result says of a deployment: its fact, and the address to open."""
    running = node.journal.deployment(deployment)
    if running is None or running.revision == 0:
        raise Failed("no_such_target", "That deployment is not on this machine.")
    revision = committed(running).order.revision
    return {"deployment": msgspec.to_builtins(fact(node, running)), "open": _open(node, revision)}


def remove(work: Work, order: RemoveDeployment) -> Done:
    """Stop and remove every part of a deployment; its volumes only when the order says so."""
    node = work.node
    node.engine.require()
    with work.turn(order.deployment):
        running = node.journal.deployment(order.deployment)
        own = {"installation": node.trust.installation, "deployment": order.deployment}
        containers = node.engine.labelled(**own)
        if running is not None:
            node.journal.want(order.deployment, "stopped")
        work.say("removing", "Stopping and removing it.")
        node.point("before remove")
        for container in containers:
            node.engine.stop(str(container["Id"]), 10)
            node.engine.remove(str(container["Id"]))
        node.point("containers removed")
        found_networks, found_volumes = node.engine.owned(**own)
        for network in found_networks:
            networks.remove(node.engine, network)
        if order.data == "delete":
            for volume in found_volumes:
                remove_volume(node, volume)
        secrets.remove(node.secrets_root, node.trust.installation, order.deployment)
        node.point("before forget")
        node.journal.forget(order.deployment)
        kept = [] if order.data == "delete" else found_volumes
        return Done(facts={"kept_volumes": kept}, already=running is None and not containers)


def look_removed(work: Work, order: RemoveDeployment) -> Done | None:
    """Whether neither the journal nor the engine has anything of it."""
    node = work.node
    node.engine.require()
    own = {"installation": node.trust.installation, "deployment": order.deployment}
    if node.journal.deployment(order.deployment) or node.engine.labelled(**own):
        return None
    return Done()


def remove_volume(node: Node, name: str) -> None:
    """Remove a volume; nothing happens when there is none."""
    try:
        with node.engine.calling():
            node.engine.api().remove_volume(name)
    except Absent:
        return


def _open(node: Node, revision: Revision) -> str:
    for port in revision.ports:
        if port.protocol == "tcp":
            host = "localhost" if port.exposure == "local" else node.file.lan_addresses[0]
            return f"http://{f'[{host}]' if ':' in host else host}:{port.node_port}/"
    return ""


def _secrets_folder(node: Node, order: ApplyDeployment) -> Path:
    revision = order.revision
    return secrets.folder(
        node.secrets_root, node.trust.installation, order.deployment, revision.part, revision.number
    )
