"""Acting on what runs: stop, start, restart, remove, logs. None of them changes a revision.

Rule 1: a deployment's part is named by deployment and part; what was made elsewhere by engine id and
creation time. Rule 2: what carries our labels is never acted on by its engine id, so that what should run
stays known. Rule 3: a stop is written down before it is done and survives every restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from agent import deployments
from agent.gate import await_healthy, health
from agent.journal import Running
from agent.node import Done, Node, Work
from agent.orders import (
    ContainerFact,
    ContainerLogs,
    EngineTarget,
    PartTarget,
    PortFact,
    RemoveTarget,
    RestartTarget,
    StartTarget,
    StopTarget,
    Target,
    limits,
)
from agent.orders.spec import Gate, Published
from agent.problems import Failed, Refused


@dataclass(frozen=True, slots=True)
class _Aim:
    """What a target stands for: a deployment of ours, or a container made elsewhere."""

    running: Running | None
    container: dict[str, Any] | None

    @property
    def id(self) -> str:
        if self.container is None:
            raise Failed("no_such_target", "Its container is no longer on this machine.")
        return str(self.container["Id"])

    @property
    def runs(self) -> bool:
        return self.container is not None and self.container["State"]["Status"] in ("running", "restarting")

    @property
    def ports(self) -> tuple[Published, ...]:
        return deployments.committed(self.running).order.revision.ports if self.running else ()


@contextmanager
def _aimed(work: Work, target: Target) -> Iterator[_Aim]:
    """Find the target and hold its deployment's lock."""
    node = work.node
    node.engine.require()
    if isinstance(target, EngineTarget):
        yield _Aim(None, _made_elsewhere(node, target))
        return
    with work.turn(target.deployment):
        running = node.journal.deployment(target.deployment)
        if running is None or running.revision == 0:
            raise Failed("no_such_target", "That deployment is not on this machine.")
        what = deployments.committed(running)
        if what.order.revision.part != target.part:
            raise Failed("no_such_target", f"The deployment has no part called {target.part}.")
        yield _Aim(running, deployments.current(node, what))


def _made_elsewhere(node: Node, target: EngineTarget) -> dict[str, Any]:
    found = node.engine.container(target.engine_id)
    if found is None:
        raise Failed("no_such_target", "That container is no longer on this machine.")
    if ms_of(str(found["Created"])) != target.created_ms:
        raise Refused("condition", "The container of that id is another one than the one that was meant.")
    labels = (found.get("Config") or {}).get("Labels") or {}
    if labels.get("hercules.installation") == node.trust.installation:
        name = labels.get("hercules.name", "")
        raise Refused("condition", f"That container belongs to the deployment {name}: name that instead.")
    return found


def stop(work: Work, order: StopTarget) -> Done:
    """Stop a container; it stays stopped until it is started again."""
    with _aimed(work, order.target) as aim:
        already = not aim.runs
        if aim.running:
            work.node.journal.want(aim.running.id, "stopped")
        work.node.point("stop is wanted")
        if aim.container is not None:
            work.say("stopping", "Stopping it.")
            work.node.engine.stop(aim.id, order.stop_within_s)
        return Done(facts=_facts(work.node, aim), already=already)


def start(work: Work, order: StartTarget) -> Done:
    """Start a stopped container and wait until it is healthy."""
    with _aimed(work, order.target) as aim:
        return _start(work, aim, order.gate, already=aim.runs)


def restart(work: Work, order: RestartTarget) -> Done:
    """Stop and start one container, and wait until it is healthy."""
    with _aimed(work, order.target) as aim:
        began = ms_of(str(aim.container["State"]["StartedAt"])) if aim.container else 0
        if began < work.started_ms and aim.container is not None:
            work.say("stopping", "Stopping it.")
            work.node.engine.stop(aim.id, order.stop_within_s)
            work.node.point("restart has stopped it")
        return _start(work, aim, order.gate, already=False)


def remove(work: Work, order: RemoveTarget) -> Done:
    """Remove a stopped container made elsewhere."""
    node = work.node
    node.engine.require()
    if node.engine.container(order.target.engine_id) is None:
        return Done(already=True)
    with _aimed(work, order.target) as aim:
        if aim.runs and not order.force:
            raise Failed("in_use", "The container is running.", "Stop it first.")
        node.engine.remove(aim.id, force=order.force)
    return Done()


def logs(work: Work, order: ContainerLogs) -> Done:
    """Read the last lines of a container's log, cut to what fits a result."""
    node = work.node
    node.engine.require()
    if isinstance(order.target, PartTarget):
        running = node.journal.deployment(order.target.deployment)
        if running is None or running.revision == 0:
            raise Failed("no_such_target", "That deployment is not on this machine.")
        aim = _Aim(running, deployments.current(node, deployments.committed(running)))
    else:
        found = node.engine.container(order.target.engine_id)
        if found is not None and ms_of(str(found["Created"])) != order.target.created_ms:
            found = None
        aim = _Aim(None, found)
    lines = node.engine.tail(aim.id, order.lines)
    kept: list[str] = []
    room = limits.LOG_BYTES
    for line in reversed(lines):
        # what a line takes as JSON: control characters of a hostile log need six bytes each
        room -= len(msgspec.json.encode(line)) + 1
        if room < 0:
            break
        kept.append(line)
    return Done(facts={"lines": kept[::-1], "cut": len(kept) < len(lines)})


def look_stopped(work: Work, order: StopTarget) -> Done | None:
    """Whether it is stopped."""
    with _aimed(work, order.target) as aim:
        if aim.runs or (aim.running is not None and aim.running.wanted != "stopped"):
            return None
        return Done(facts=_facts(work.node, aim))


def look_started(work: Work, order: StartTarget) -> Done | None:
    """Whether it runs and says that it is healthy; else starting again, which is harmless, judges it."""
    with _aimed(work, order.target) as aim:
        healthy = aim.container is not None and aim.runs and health(aim.container) == "healthy"
        return Done(facts=_facts(work.node, aim)) if healthy else None


def look_restarted(work: Work, order: RestartTarget) -> Done | None:
    """Whether it runs since the order began, and says that it is healthy."""
    with _aimed(work, order.target) as aim:
        if aim.container is None or not aim.runs or health(aim.container) != "healthy":
            return None
        since = ms_of(str(aim.container["State"]["StartedAt"]))
        return Done(facts=_facts(work.node, aim)) if since >= work.started_ms else None


def look_gone(work: Work, order: RemoveTarget) -> Done | None:
    """Whether it is gone."""
    work.node.engine.require()
    return Done() if work.node.engine.container(order.target.engine_id) is None else None


def undo_stop(order: StopTarget) -> StartTarget:
    """Start it again."""
    return StartTarget(target=order.target)


def undo_start(order: StartTarget) -> StopTarget:
    """Stop it again."""
    return StopTarget(target=order.target)


def fact(node: Node, container: dict[str, Any]) -> ContainerFact:
    """One container as a fact, from the engine's description of it."""
    state, config = container["State"], container.get("Config") or {}
    labels = config.get("Labels") or {}
    ours = labels.get("hercules.installation") == node.trust.installation
    revision = str(labels.get("hercules.revision", "0"))
    return ContainerFact(
        engine_id=str(container["Id"]),
        name=str(container["Name"]).lstrip("/"),
        image=str(config.get("Image") or container.get("Image") or ""),
        state=str(state["Status"]),
        health=health(container),
        created_ms=ms_of(str(container["Created"])),
        started_ms=ms_of(str(state.get("StartedAt") or "")),
        exit_code=state.get("ExitCode") if state["Status"] in ("exited", "dead") else None,
        deployment=str(labels.get("hercules.deployment", "")) if ours else "",
        part=str(labels.get("hercules.part", "")) if ours else "",
        revision=int(revision) if ours and revision.isdigit() else 0,
        ports=_ports(container),
        restarts=int(container.get("RestartCount") or 0),
    )


def ms_of(stamp: str) -> int:
    """Unix milliseconds of the engine's time stamp; 0 for none."""
    if not stamp or stamp.startswith("0001-"):
        return 0
    head, _, rest = stamp.partition(".")
    fraction = "".join(c for c in rest[:9] if c.isdigit())
    whole = datetime.fromisoformat(head.rstrip("Z") + "+00:00")
    return int(whole.timestamp()) * 1000 + int((fraction + "000")[:3])


def _start(work: Work, aim: _Aim, gate: Gate, *, already: bool) -> Done:
    node = work.node
    work.say("starting", "Starting it.")
    if aim.running:
        node.journal.want(aim.running.id, "running")
        container = deployments.put_up(node, aim.running)
    else:
        container = aim.id
        node.engine.start(container)
    node.point("start is done")
    await_healthy(work, container, gate, aim.ports)
    return Done(facts=_facts(node, _Aim(aim.running, node.engine.container(container))), already=already)


def _facts(node: Node, aim: _Aim) -> dict[str, Any]:
    if aim.running:
        return deployments.facts(node, aim.running.id)
    found = node.engine.container(aim.id)
    return {"container": msgspec.to_builtins(fact(node, found))} if found else {}


def _ports(container: dict[str, Any]) -> tuple[PortFact, ...]:
    found = []
    for name, bindings in ((container.get("NetworkSettings") or {}).get("Ports") or {}).items():
        number, _, protocol = str(name).partition("/")
        for binding in bindings or [{}]:
            port = str(binding.get("HostPort") or "")
            found.append(
                PortFact(
                    container_port=int(number),
                    protocol=protocol or "tcp",
                    address=str(binding.get("HostIp") or ""),
                    node_port=int(port) if port.isdigit() else None,
                )
            )
    return tuple(found)
