"""The verbs this agent can carry out: one row each, with do, look and undo.

`do` carries an order out; twice is harmless for every one of them. `look` answers after a crash "did it
happen?": Done, None for surely not (or not wholly), EngineGone for "cannot say yet". `undo` names the order
that takes it back. `check` refuses what needs no engine to refuse. A changing verb without `look` does not
register; a row needs its heading in docs/orders.md (a test checks).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from agent import containers, deployments, docker_request, facts, images, saga
from agent.node import Done, Work
from agent.nodefile import NodeFile
from agent.orders import (
    READING,
    ApplyDeployment,
    ContainerLogs,
    GetFacts,
    ImportImage,
    InspectImage,
    Order,
    PartTarget,
    PullImage,
    RemoveDeployment,
    RemoveImage,
    RemoveTarget,
    ResolveImage,
    RestartTarget,
    StartTarget,
    StopTarget,
    limits,
    verb_of,
)

Family = Literal["reading", "images", "deployments", "containers"]

THREADS: dict[Family, int] = {"reading": 4, "images": 3, "deployments": 8, "containers": 4}
"""How many orders of a family are carried out at once; one that hangs stops only its own kind."""


DEADLINE_S: dict[Family, int | None] = {
    "reading": 60,
    "images": 2 * 3600,  # a large image over a slow line; one that says nothing for 5 minutes ends earlier
    "deployments": None,  # deployment.apply names its own
    "containers": 3600 + 600,  # the longest gate with the longest stop
}
"""Seconds after which an order of a family is given up between two of its pieces."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """How one order is carried out. The callables take the row's own order."""

    family: Family
    do: Callable[[Work, Any], Done]
    look: Callable[[Work, Any], Done | None] | None = None
    undo: Callable[[Any], Order] | None = None
    check: Callable[[Any, NodeFile], None] | None = None
    tidy: Callable[[Work, Any], None] | None = None
    lifetime_s: int = limits.ORDER_LIFETIME_S


VERBS: dict[type, Verb] = {}


def register(order: type, verb: Verb) -> None:
    """Add a row. Raises TypeError for a changing verb that cannot be looked at after a crash."""
    name = str(order.__struct_config__.tag)  # type: ignore[attr-defined]
    if name not in READING and verb.look is None:
        raise TypeError(
            f"{name} changes something, but nobody could say after a crash whether it did: no look"
        )
    VERBS[order] = verb


def verb_for(order: Order) -> Verb:
    """The row of an order."""
    return VERBS[type(order)]


def names() -> tuple[str, ...]:
    """Every verb as it stands on the wire."""
    return tuple(sorted(str(order.__struct_config__.tag) for order in VERBS))  # type: ignore[attr-defined]


def deployment_of(order: Order) -> str:
    """The deployment that an order changes, "" for none: orders on one deployment take turns."""
    if verb_of(order) in READING:
        return ""
    if isinstance(order, ApplyDeployment | RemoveDeployment):
        return order.deployment
    if isinstance(order, StopTarget | StartTarget | RestartTarget) and isinstance(order.target, PartTarget):
        return order.target.deployment
    return ""


def _pin(order: PullImage | InspectImage | RemoveImage, node: NodeFile) -> None:
    docker_request.check_pin(order.image, node)


def _reference(order: ResolveImage, node: NodeFile) -> None:
    docker_request.check_reference(order.reference, node)


def _revision(order: ApplyDeployment, node: NodeFile) -> None:
    docker_request.check(order.revision, node)


register(GetFacts, Verb(family="reading", do=facts.get))
register(ResolveImage, Verb(family="reading", do=images.resolve, check=_reference))
register(InspectImage, Verb(family="reading", do=images.inspect, check=_pin))
register(ContainerLogs, Verb(family="reading", do=containers.logs))
register(
    PullImage,
    Verb(family="images", do=images.pull, look=images.look_pulled, undo=images.undo_pull, check=_pin),
)
register(
    ImportImage,
    Verb(family="images", do=images.import_archive, look=images.look_imported, undo=images.undo_import),
)
register(RemoveImage, Verb(family="images", do=images.remove, look=images.look_removed, check=_pin))
register(
    ApplyDeployment,
    Verb(
        family="deployments", do=saga.apply, look=saga.look, undo=saga.undo, check=_revision, tidy=saga.tidy
    ),
)
register(RemoveDeployment, Verb(family="deployments", do=deployments.remove, look=deployments.look_removed))
register(
    StopTarget,
    Verb(family="containers", do=containers.stop, look=containers.look_stopped, undo=containers.undo_stop),
)
register(
    StartTarget,
    Verb(family="containers", do=containers.start, look=containers.look_started, undo=containers.undo_start),
)
register(RestartTarget, Verb(family="containers", do=containers.restart, look=containers.look_restarted))
register(RemoveTarget, Verb(family="containers", do=containers.remove, look=containers.look_gone))
