"""What each order does in the simulated world, as an agent would: look first, then do, then tell.

One function per verb: it changes the machine and returns the facts of its result, or raises `NotDone` with
nothing changed. An order that finds its wanted state there already says so (`Already`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from agent import orders
from agent.orders import Order, PartTarget, verb_of
from agent.orders.results import Problem
from bot.authoring import seen
from bot.authoring.world import DAY_MS, App, Box, Copy, Image, Machine, World, a_digest


class NotDone(Exception):
    """An order that was not carried out; nothing changed."""

    def __init__(self, code: str, says: str, do: str = "") -> None:
        super().__init__(says)
        self.problem = Problem(code=code, says=says, do=do)


class Done(msgspec.Struct, frozen=True):
    """What came of it."""

    facts: dict[str, Any] = {}
    already: bool = False


class Site(msgspec.Struct, frozen=True):
    """Where an order is carried out, when, and under which id."""

    world: World
    machine: Machine
    at_ms: int
    order: str


def carry_out(site: Site, order: Order) -> Done:
    """Do it. Raises NotDone."""
    return _DOING[verb_of(order)](site, order)


def box_of(machine: Machine, target: Any) -> Box:
    """The container that an order names. Raises NotDone."""
    for box in machine.boxes.values():
        if isinstance(target, PartTarget):
            if box.deployment == target.deployment:
                return box
        elif box.id == target.engine_id and box.created_ms == target.created_ms:
            return box
    raise NotDone("no_such_target", "That container is not there any more.", "Look at what is running.")


def _app(machine: Machine, id: str) -> App:
    if id not in machine.apps:
        raise NotDone("no_such_target", "That deployment is not on this machine.", "Look at what runs.")
    return machine.apps[id]


def _facts(site: Site, order: orders.GetFacts) -> Done:
    return Done(seen.node_facts(site.machine, order.want, site.at_ms))


def _resolve(site: Site, order: Any) -> Done:
    head, _, tag = order.reference.partition("@")[0].rpartition(":")
    name = head if head and "/" not in tag else order.reference
    full = name if "/" in name else f"library/{name}"
    repository = full if "." in full.split("/")[0] else f"docker.io/{full}"
    facts = {
        "reference": order.reference,
        "repository": repository,
        "digest": f"sha256:{a_digest('image', order.reference)}",
        "platforms": ["linux/amd64", "linux/arm64"],
    }
    return Done(facts)


def _image(site: Site, pin: Any, **more: Any) -> Done:
    images = site.machine.images
    there = pin.reference in images
    if not there:
        digest = pin.digest or f"sha256:{a_digest('blob', pin.blob)}"
        images[pin.reference] = Image(reference=pin.reference, digest=digest, made_ms=site.at_ms, **more)
    return Done(seen.image_facts(images[pin.reference], pin), already=there)


def _inspect(site: Site, order: Any) -> Done:
    found = site.machine.images.get(order.image.reference)
    if found is None:
        raise NotDone("image_not_found", "That image is not on this machine.", "Get it first.")
    return Done(seen.image_facts(found, order.image))


def _pull(site: Site, order: Any) -> Done:
    return _image(site, order.image, bytes=60_000_000)


def _import(site: Site, order: Any) -> Done:
    pin = orders.spec.ImagePin(reference=order.reference, blob=order.blob, blob_bytes=order.blob_bytes)
    return _image(site, pin, bytes=order.blob_bytes, port=8080, user="65532:65532", health_check=True)


def _remove_image(site: Site, order: Any) -> Done:
    reference = order.image.reference
    if any(box.image == reference for box in site.machine.boxes.values()):
        raise NotDone("in_use", "A container is made from it.", "Remove the container first.")
    return Done(already=site.machine.images.pop(reference, None) is None)


def _apply(site: Site, order: Any) -> Done:
    machine, revision = site.machine, order.revision
    if machine.stopped_by_drain is not None:
        raise NotDone("refused.condition", "This machine is in maintenance.", "End the maintenance first.")
    if any(app.name == order.name and app.id != order.deployment for app in machine.apps.values()):
        raise NotDone("name_taken", f"{order.name} is taken.", "Choose another name.")
    ports = [(port.container_port, port.node_port) for port in revision.ports]
    others = {p for b in machine.boxes.values() if b.deployment != order.deployment for _, p in b.ports}
    if any(port in others for _, port in ports):
        raise NotDone("port_taken", "A port is taken.", "Choose another port.")
    was = machine.apps.get(order.deployment)
    if was is not None and was.number == revision.number and was.pin == msgspec.to_builtins(revision.image):
        return Done(seen.app_facts(machine, was), already=True)
    app = App(
        id=order.deployment,
        name=order.name,
        number=revision.number,
        pin=msgspec.to_builtins(revision.image),
        settings={
            one.name: one.value if one.value is not None else a_digest(msgspec.json.encode(one.sealed))
            for one in revision.settings
        },
        volumes={one.volume: (was.volumes if was else {}).get(one.volume, "") for one in revision.volumes},
    )
    machine.apps[app.id] = app
    for box in [box for box in machine.boxes.values() if box.deployment == app.id]:
        del machine.boxes[box.name]
    name = f"{app.name}-{app.id[2:8]}"
    machine.boxes[name] = Box(
        id=a_digest("box", site.order),
        name=name,
        image=revision.image.reference,
        created_ms=site.at_ms,
        started_ms=site.at_ms,
        deployment=app.id,
        ports=ports,
        log=["started"],
    )
    return Done(seen.app_facts(machine, app))


def _remove(site: Site, order: Any) -> Done:
    machine = site.machine
    app = machine.apps.pop(order.deployment, None)
    for box in [box for box in machine.boxes.values() if box.deployment == order.deployment]:
        del machine.boxes[box.name]
    if app is None:
        return Done({"kept_volumes": []}, already=True)
    if order.data == "keep":
        machine.kept |= {f"{app.id}/{name}": holds for name, holds in app.volumes.items()}
    return Done({"kept_volumes": sorted(app.volumes) if order.data == "keep" else []})


def _logs(site: Site, order: Any) -> Done:
    return Done({"lines": box_of(site.machine, order.target).log[-order.lines :], "cut": False})


def _stop(site: Site, order: Any) -> Done:
    return _switch(site, order.target, "exited")


def _start(site: Site, order: Any) -> Done:
    return _switch(site, order.target, "running")


def _switch(site: Site, target: Any, state: str) -> Done:
    box = box_of(site.machine, target)
    already = box.state == state
    _put(site, box, state)
    return Done(seen.target_facts(site.machine, box), already=already)


def _put(site: Site, box: Box, state: str) -> None:
    if state == "running" and box.state != "running":
        box.started_ms = site.at_ms
    box.state = state
    if box.deployment in site.machine.apps:
        site.machine.apps[box.deployment].wanted = "running" if state == "running" else "stopped"


def _restart(site: Site, order: Any) -> Done:
    box = box_of(site.machine, order.target)
    box.started_ms, box.restarts = site.at_ms, box.restarts + 1
    _put(site, box, "running")
    return Done(seen.target_facts(site.machine, box))


def _remove_target(site: Site, order: Any) -> Done:
    box = box_of(site.machine, order.target)
    if box.state == "running" and not order.force:
        raise NotDone("in_use", "It is running.", "Stop it first.")
    del site.machine.boxes[box.name]
    return Done()


def _volumes(site: Site, order: Any) -> Done:
    apps = [_app(site.machine, order.deployment)] if order.deployment else list(site.machine.apps.values())
    return Done({"volumes": seen.volumes(site.machine, apps)})


def _holds(site: Site, order: Any) -> str:
    app = _app(site.machine, order.deployment)
    if order.volume not in app.volumes:
        raise NotDone("no_such_target", f"There is no volume {order.volume}.", "Look at its volumes.")
    return app.volumes[order.volume]


def _backup(site: Site, order: Any, why: str = "backup") -> Done:
    holds = _holds(site, order)
    copy = Copy(
        id=f"b-{a_digest(why, site.order)[:16]}",
        deployment=order.deployment,
        volume=order.volume,
        holds=holds,
        at_ms=site.at_ms,
    )
    site.machine.copies[copy.id] = copy
    return Done({"backup": copy.id, "bytes": copy.bytes})


def _restore(site: Site, order: Any) -> Done:
    _holds(site, order)
    copy = site.machine.copies.get(order.backup)
    if copy is None or not copy.good or (copy.deployment, copy.volume) != (order.deployment, order.volume):
        raise NotDone(
            "backup_unreadable", "There is no such backup that reads back whole.", "Choose another."
        )
    before = _backup(site, order, "before").facts["backup"]
    site.machine.apps[order.deployment].volumes[order.volume] = copy.holds
    return Done({"before": before, "bytes": copy.bytes})


def _prune(site: Site, order: Any) -> Done:
    _holds(site, order)
    ours = [
        c
        for c in site.machine.copies.values()
        if (c.deployment, c.volume) == (order.deployment, order.volume)
    ]
    ours.sort(key=lambda c: -c.at_ms)
    keep = {c.id for c in ours[: max(1, order.keep_last)]}
    for count, span in ((order.keep_daily, 1), (order.keep_weekly, 7), (order.keep_monthly, 30)):
        newest: dict[int, str] = {}
        for copy in ours:
            newest.setdefault(copy.at_ms // (span * DAY_MS), copy.id)
        keep |= {newest[at] for at in sorted(newest, reverse=True)[:count]}
    gone = [c for c in ours if c.id not in keep]
    for copy in gone:
        del site.machine.copies[copy.id]
    facts = {
        "removed": [c.id for c in gone],
        "kept": len(ours) - len(gone),
        "freed_bytes": sum(c.bytes for c in gone),
    }
    return Done(facts, already=not gone)


def _drain(site: Site, order: Any) -> Done:
    if site.machine.stopped_by_drain is not None:
        return Done({"stopped": []}, already=True)
    running = [b for b in site.machine.boxes.values() if b.deployment and b.state == "running"]
    site.machine.stopped_by_drain = [box.name for box in running]
    for box in running:
        box.state = "exited"  # wanted as before: the end of the maintenance starts it again
    return Done({"stopped": [site.machine.apps[b.deployment].name for b in running]})


def _undrain(site: Site, order: Any) -> Done:
    names = site.machine.stopped_by_drain
    if names is None:
        return Done({"started": []}, already=True)
    site.machine.stopped_by_drain = None
    boxes = [site.machine.boxes[name] for name in names if name in site.machine.boxes]
    for box in boxes:
        _put(site, box, "running")
    return Done(
        {
            "started": [
                site.machine.apps[b.deployment].name for b in boxes if b.deployment in site.machine.apps
            ]
        }
    )


def _rotate(site: Site, order: Any) -> Done:
    app = _app(site.machine, order.deployment)
    app.settings[order.name] = a_digest(msgspec.json.encode(order.sealed))
    app.number += 1
    for box in site.machine.boxes.values():
        if box.deployment == app.id:
            box.started_ms = site.at_ms
    return Done(seen.app_facts(site.machine, app))


def _clean(site: Site, order: Any) -> Done:
    machine, freed, removed = site.machine, 0, []
    oldest_ms = site.at_ms - order.older_than_h * 3_600_000
    if "stopped" in order.want:
        for box in [b for b in machine.boxes.values() if not b.deployment and b.state != "running"]:
            if box.started_ms <= oldest_ms:
                del machine.boxes[box.name]
                removed.append(box.name)
    if "images" in order.want:
        used = {box.image for box in machine.boxes.values()}
        for image in [
            i for i in machine.images.values() if i.reference not in used and i.made_ms <= oldest_ms
        ]:
            del machine.images[image.reference]
            freed += image.bytes
            removed.append(image.reference)
    if "build_cache" in order.want:
        freed, machine.cache_bytes = freed + machine.cache_bytes, 0
    machine.disk_free += freed
    return Done({"freed_bytes": freed, "removed": removed}, already=not removed and not freed)


def _certificate(site: Site, order: Any) -> Done:
    days = int(a_digest("certificate", order.host)[:2], 16) % 60 - 20
    facts = {
        "names": [order.host],
        "issuer": "Simulated CA",
        "not_after_ms": site.at_ms + days * DAY_MS,
        "days": days,
    }
    return Done(facts)


def _enrol(site: Site, order: Any) -> Done:
    world = site.world
    if any(machine.name == order.name for machine in world.machines.values()):
        raise NotDone("name_taken", f"There is a machine {order.name} already.", "Choose another name.")
    if order.ticket and world.joining and order.ticket not in world.joining:
        raise NotDone("no_such_target", "No machine asked to join with that ticket.", "Look at the list.")
    if not world.joining:
        raise NotDone("no_such_target", "No machine asks to join.", "Run hercules-agent join there first.")
    world.joining.remove(order.ticket or world.joining[0])
    id = f"n-{a_digest('node', order.name)[:16]}"
    world.machines[id] = Machine(id=id, name=order.name)
    return Done({"node": id, "name": order.name})


def _clone(site: Site, order: Any) -> Done:
    machine = site.machine
    was = _app(machine, order.deployment)
    if order.to in machine.apps:
        return Done(seen.app_facts(machine, machine.apps[order.to]), already=True)
    if any(app.name == order.name for app in machine.apps.values()):
        raise NotDone("name_taken", f"{order.name} is taken.", "Choose another name.")
    copied = dict(was.volumes) if order.data == "copy" else dict.fromkeys(was.volumes, "")
    app = msgspec.structs.replace(
        was,
        id=order.to,
        name=order.name,
        number=1,
        wanted="running",
        volumes=copied,
        settings=dict(was.settings),
    )
    machine.apps[app.id] = app
    name = f"{app.name}-{app.id[2:8]}"
    taken = {port for box in machine.boxes.values() for _, port in box.ports}
    inside = [port for box in machine.boxes.values() if box.deployment == was.id for port, _ in box.ports]
    ports = []
    for port in inside:
        free = next(p for p in range(20_000, 30_000) if p not in taken)
        taken.add(free)
        ports.append((port, free))
    machine.boxes[name] = Box(
        id=a_digest("box", site.order),
        name=name,
        image=str(app.pin.get("reference", "")),
        created_ms=site.at_ms,
        started_ms=site.at_ms,
        deployment=app.id,
        ports=ports,
    )
    return Done(seen.app_facts(machine, app))


_DOING: Final[dict[str, Callable[[Site, Any], Done]]] = {
    "node.facts": _facts,
    "image.resolve": _resolve,
    "image.inspect": _inspect,
    "image.pull": _pull,
    "image.import": _import,
    "image.remove": _remove_image,
    "deployment.apply": _apply,
    "deployment.remove": _remove,
    "container.logs": _logs,
    "container.stop": _stop,
    "container.start": _start,
    "container.restart": _restart,
    "container.remove": _remove_target,
    "volume.list": _volumes,
    "volume.backup": _backup,
    "volume.restore": _restore,
    "backup.prune": _prune,
    "node.drain": _drain,
    "node.undrain": _undrain,
    "secret.rotate": _rotate,
    "disk.clean": _clean,
    "certificate.check": _certificate,
    "node.enrol": _enrol,
    "deployment.clone": _clone,
}
VERBS: Final = frozenset(_DOING)
