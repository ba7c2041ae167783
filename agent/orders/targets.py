"""What orders act on, and what every order has in common."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agent.orders import limits
from agent.orders.spec import Name

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


class BaseOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb", kw_only=True):
    """Closed and tagged by its verb."""
