"""One struct per order, a closed union, one table of which only read.

Rule 1: what is not in the union does not exist; there is no shell and no exec of free text.
Rule 2: decode the union only (`agent.orders.envelope`), never a member by itself: msgspec would take
a missing tag. A new order needs a row in `docs/orders.md`, a verb in `agent/table.py` with do, look
and undo, and its simulation in `bot/authoring`.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from agent.orders import limits
from agent.orders.spec import Gate, ImagePin, Name, Revision, Sha256

DeploymentId = Annotated[str, Meta(pattern=limits.exact(r"^d-[0-9a-z]{16}$"))]
EngineId = Annotated[str, Meta(pattern=limits.exact(r"^[0-9a-f]{64}$"))]
Reference = Annotated[str, Meta(min_length=1, max_length=limits.REFERENCE_BYTES)]


class PartTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="part", kw_only=True):
    """A part of a deployment of ours."""

    deployment: DeploymentId
    part: Name = "main"


class EngineTarget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="engine", kw_only=True):
    """A container made elsewhere: its engine id, with its creation time as the condition."""

    engine_id: EngineId
    created_ms: Annotated[int, Meta(ge=0)]


Target = PartTarget | EngineTarget


class _Order(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", kw_only=True):
    pass


class GetFacts(_Order, tag="node.facts", frozen=True):
    """Read facts of the node."""

    want: tuple[Literal["engine", "disk", "containers", "deployments", "images", "ports"], ...] = ("engine",)


class ResolveImage(_Order, tag="image.resolve", frozen=True):
    """Ask the registry which digest a reference has now, and for which platforms."""

    reference: Reference


class InspectImage(_Order, tag="image.inspect", frozen=True):
    """Read an image that is on the node."""

    image: ImagePin


class ContainerLogs(_Order, tag="container.logs", frozen=True):
    """Read the last lines of a container's log."""

    target: Target
    lines: Annotated[int, Meta(ge=1, le=limits.LOG_LINES)] = 100


class PullImage(_Order, tag="image.pull", frozen=True):
    """Get an image from its registry, by digest. Twice: harmless."""

    image: ImagePin


class ImportImage(_Order, tag="image.import", frozen=True):
    """Load an image archive (docker save or OCI layout) that the bot holds as a blob."""

    blob: Sha256
    blob_bytes: Annotated[int, Meta(ge=1, le=limits.BLOB_BYTES)]
    reference: Reference  # the name it is shown under


class RemoveImage(_Order, tag="image.remove", frozen=True):
    """Take an image off the node if nothing uses it. Undo of pull and import."""

    image: ImagePin


class ApplyDeployment(_Order, tag="deployment.apply", frozen=True):
    """Put a revision in place: the one way by which something comes to run or changes.

    The agent carries it out as a journaled saga and finishes or rolls back with no bot in reach.
    """

    deployment: DeploymentId
    name: Name
    revision: Revision
    gate: Gate = Gate()
    deadline_s: Annotated[int, Meta(ge=10, le=86_400)] = 900
    on_failure: Literal["roll_back", "keep"] = "roll_back"


class RemoveDeployment(_Order, tag="deployment.remove", frozen=True):
    """Stop and remove every part of a deployment. Data is kept unless `data` says "delete"."""

    deployment: DeploymentId
    data: Literal["keep", "delete"] = "keep"


class StopTarget(_Order, tag="container.stop", frozen=True):
    """Stop a container; it stays stopped until it is started again."""

    target: Target
    stop_within_s: Annotated[int, Meta(ge=1, le=300)] = 10


class StartTarget(_Order, tag="container.start", frozen=True):
    """Start a stopped container and wait until it is healthy."""

    target: Target
    gate: Gate = Gate()


class RestartTarget(_Order, tag="container.restart", frozen=True):
    """Stop and start one container, and wait until it is healthy."""

    target: Target
    stop_within_s: Annotated[int, Meta(ge=1, le=300)] = 10
    gate: Gate = Gate()


class RemoveTarget(_Order, tag="container.remove", frozen=True):
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
)

READING: frozenset[str] = frozenset({"node.facts", "image.resolve", "image.inspect", "container.logs"})
"""Verbs that change nothing: checked like any other, not journalled."""


def verb_of(order: Order) -> str:
    """The verb of an order as it stands on the wire, e.g. ``deployment.apply``."""
    return str(order.__struct_config__.tag)
