"""Orders that no agent carries out yet: types, so that chatflows can be written, checked and simulated.

Rule 1: a real node answers each with `refused.unknown_verb`, "This agent does not know that yet."
Rule 2: `agent/table.py` has no row for any of them. Rule 3: each has its do, look and undo in the simulation.
When an agent learns one, its struct moves to `agent.orders.verbs` and its name leaves SIMULATED.
"""

from __future__ import annotations

import typing
from typing import Annotated, Literal

from msgspec import Meta

from agent.orders import limits
from agent.orders.spec import EnvName, Name, SealedValue
from agent.orders.targets import BaseOrder, DeploymentId

BackupId = Annotated[str, Meta(pattern=limits.exact(r"^b-[0-9a-z]{16}$"))]
Copies = Annotated[int, Meta(ge=0, le=1_000)]
HostName = Annotated[str, Meta(pattern=limits.exact(r"^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$"))]


class ListVolumes(BaseOrder, tag="volume.list", frozen=True):
    """Read the volumes of a deployment (of all, when none is named), with their backups."""

    deployment: DeploymentId | None = None


class BackUpVolume(BaseOrder, tag="volume.backup", frozen=True):
    """Keep a copy of a volume as it is now. With `pause`, its deployment stands still meanwhile."""

    deployment: DeploymentId
    volume: Name
    pause: bool = True


class RestoreVolume(BaseOrder, tag="volume.restore", frozen=True):
    """Put a backup in the place of what a volume holds now; that is kept as a backup of its own before."""

    deployment: DeploymentId
    volume: Name
    backup: BackupId


class PruneBackups(BaseOrder, tag="backup.prune", frozen=True):
    """Remove the backups of a volume that no rule keeps. The newest one always stays."""

    deployment: DeploymentId
    volume: Name
    keep_last: Copies = 3
    keep_daily: Copies = 7
    keep_weekly: Copies = 4
    keep_monthly: Copies = 6


class DrainNode(BaseOrder, tag="node.drain", frozen=True):
    """Stop every deployment on the node for maintenance, and start nothing new. Undo: node.undrain."""

    stop_within_s: Annotated[int, Meta(ge=1, le=300)] = 30


class UndrainNode(BaseOrder, tag="node.undrain", frozen=True):
    """End the maintenance: start again what the drain stopped."""


class RotateSecret(BaseOrder, tag="secret.rotate", frozen=True):
    """Put another secret in the place of a setting's, and restart with it; rolled back when unhealthy."""

    deployment: DeploymentId
    name: EnvName
    sealed: SealedValue


class CleanDisk(BaseOrder, tag="disk.clean", frozen=True):
    """Remove what nothing uses: images without a container, the build cache, stopped containers of others."""

    want: Annotated[
        tuple[Literal["images", "build_cache", "stopped"], ...], Meta(min_length=1, max_length=3)
    ] = ("images",)
    older_than_h: Annotated[int, Meta(ge=0, le=24 * 365)] = 24


class CheckCertificate(BaseOrder, tag="certificate.check", frozen=True):
    """Read the certificate that a server shows: names, issuer, and when it ends."""

    host: HostName
    port: Annotated[int, Meta(ge=1, le=65_535)] = 443


class EnrolNode(BaseOrder, tag="node.enrol", frozen=True):
    """Take a machine that asked to join into the fleet, under a name."""

    name: Name
    ticket: Annotated[str, Meta(max_length=200)] = ""


class CloneDeployment(BaseOrder, tag="deployment.clone", frozen=True):
    """Make a second deployment like one that runs, on the same node. Undo: deployment.remove."""

    deployment: DeploymentId
    to: DeploymentId
    name: Name
    data: Literal["copy", "empty"] = "copy"


Simulated = (
    ListVolumes
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

SIMULATED: frozenset[str] = frozenset(str(kind.__struct_config__.tag) for kind in typing.get_args(Simulated))
"""Verbs that no agent carries out yet."""
