"""One struct per order, a closed union, one table of which only read.

Rule 1: what is not in the union does not exist; there is no shell and no exec of free text.
Rule 2: decode the union only (`agent.orders.envelope`), never a member by itself: msgspec would take
a missing tag. A new order needs a row in `docs/orders.md`, a verb in `agent/table.py` with do, look
and undo, and its simulation in `bot/authoring`. Those of `agent.orders.simulated` have the latter only.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from agent.orders import limits
from agent.orders.simulated import (
    BackUpVolume,
    CheckCertificate,
    CleanDisk,
    CloneDeployment,
    DrainNode,
    EnrolNode,
    ListVolumes,
    PruneBackups,
    RestoreVolume,
    RotateSecret,
    UndrainNode,
)
from agent.orders.spec import Gate, ImagePin, Name, Revision, Sha256
from agent.orders.targets import (
    BaseOrder,
    DeploymentId,
    EngineTarget,
    Reference,
    Target,
)


class GetFacts(BaseOrder, tag="node.facts", frozen=True):
    """Read facts of the node."""

    want: tuple[Literal["engine", "disk", "containers", "deployments", "images", "ports"], ...] = ("engine",)


class ResolveImage(BaseOrder, tag="image.resolve", frozen=True):
    """Ask the registry which digest a reference has now, and for which platforms."""

    reference: Reference


class InspectImage(BaseOrder, tag="image.inspect", frozen=True):
    """Read an image that is on the node."""

    image: ImagePin


class ContainerLogs(BaseOrder, tag="container.logs", frozen=True):
    """Read the last lines of a container's log."""

    target: Target
    lines: Annotated[int, Meta(ge=1, le=limits.LOG_LINES)] = 100


class PullImage(BaseOrder, tag="image.pull", frozen=True):
    """Get an image from its registry, by digest. Twice: harmless."""

    image: ImagePin


class ImportImage(BaseOrder, tag="image.import", frozen=True):
    """Load an image archive (docker save or OCI layout) that the bot holds as a blob."""

    blob: Sha256
    blob_bytes: Annotated[int, Meta(ge=1, le=limits.BLOB_BYTES)]
    reference: Reference  # the name it is shown under


class RemoveImage(BaseOrder, tag="image.remove", frozen=True):
    """Take an image off the node if nothing uses it. Undo of pull and import."""

    image: ImagePin


class ApplyDeployment(BaseOrder, tag="deployment.apply", frozen=True):
    """Put a revision in place: the one way by which something comes to run or changes.

    The agent carries it out as a journaled saga and finishes or rolls back with no bot in reach.
    """

    deployment: DeploymentId
    name: Name
    revision: Revision
    gate: Gate = Gate()
    deadline_s: Annotated[int, Meta(ge=10, le=86_400)] = 900
    on_failure: Literal["roll_back", "keep"] = "roll_back"


class RemoveDeployment(BaseOrder, tag="deployment.remove", frozen=True):
    """Stop and remove every part of a deployment. Data is kept unless `data` says "delete"."""

    deployment: DeploymentId
    data: Literal["keep", "delete"] = "keep"


class StopTarget(BaseOrder, tag="container.stop", frozen=True):
    """Stop a container; it stays stopped until it is started again."""

    target: Target
    stop_within_s: Annotated[int, Meta(ge=1, le=300)] = 10


class StartTarget(BaseOrder, tag="container.start", frozen=True):
    """Start a stopped container and wait until it is healthy."""

    target: Target
    gate: Gate = Gate()


class RestartTarget(BaseOrder, tag="container.restart", frozen=True):
    """Stop and start one container, and wait until it is healthy."""

    target: Target
    stop_within_s: Annotated[int, Meta(ge=1, le=300)] = 10
    gate: Gate = Gate()


class RemoveTarget(BaseOrder, tag="container.remove", frozen=True):
    """Remove a stopped container made elsewhere. Deployments go by `deployment.remove`."""

    target: EngineTarget
    force: bool = False


Order = (
    GetFacts
    | ResolveImage
    | InspectImage
    | ContainerLogs
    | PullImage
    | ImportImage
    | RemoveImage
    | ApplyDeployment
    | RemoveDeployment
    | StopTarget
    | StartTarget
    | RestartTarget
    | RemoveTarget
    | ListVolumes
    | BackUpVolume
    | RestoreVolume
    | PruneBackups
    | DrainNode
    | UndrainNode
    | RotateSecret
    | CleanDisk
    | CheckCertificate
    | EnrolNode
    | CloneDeployment
)

READING: frozenset[str] = frozenset(
    {
        "node.facts",
        "image.resolve",
        "image.inspect",
        "container.logs",
        "volume.list",
        "certificate.check",
    }
)
"""Verbs that change nothing: checked like any other, not journalled."""


def verb_of(order: Order) -> str:
    """The verb of an order as it stands on the wire, e.g. ``deployment.apply``."""
    return str(order.__struct_config__.tag)
