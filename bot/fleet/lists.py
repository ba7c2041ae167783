"""Nodes, deployments and orders as pages of plain rows, for channels that only look.

Rule: no row holds an envelope, a sealed secret or a setting's value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from bot.fleet import facts as shapes
from bot.fleet.fleet import Fleet
from bot.fleet.nodes import NodeView

T = TypeVar("T", bound=msgspec.Struct)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows. `next` is the `after` of the following page, "" at the end."""

    items: Sequence[Any]
    next: str = ""


class DeploymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """What should run, and what was last seen of it (`seen_ms` 0: nothing yet)."""

    id: str
    name: str
    node: str
    order_state: str
    state: str
    health: str
    image: str
    revision: int
    open: str
    actor: str
    session: str
    changed_ms: int
    seen_ms: int
    settings: tuple[str, ...]


class OrderRow(msgspec.Struct, frozen=True, kw_only=True):
    """What a node was asked to do. `outcome` "": nothing came yet; `handed_ms` 0: never sent."""

    id: str
    session: str
    node: str
    verb: str
    actor: str
    says: str
    signed_ms: int
    expires_ms: int
    handed_ms: int
    finished_ms: int
    withdrawn_ms: int
    outcome: str


class Lists:
    """Paged views of a fleet."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def nodes(self, *, after: str = "", limit: int = 50) -> Page:
        """Nodes, by id."""
        rows: list[NodeView] = await self._fleet.nodes()
        return _paged([(row.id, row) for row in rows], after, limit)

    async def deployments(self, *, after: str = "", limit: int = 50) -> Page:
        """Living deployments, by name."""
        rows = []
        for view in await self._fleet.deployments():
            data = shapes.deployment_data(view, fresh=False)
            if data is not None:
                row = msgspec.convert({**_BLANK, **data}, DeploymentRow)
                rows.append((f"{row.name} {row.id}", row))
        return _paged(sorted(rows, key=lambda r: r[0]), after, limit)

    async def orders(self, *, after: str = "", limit: int = 50) -> Page:
        """Orders of sessions, the newest first, as long as they are kept."""
        rows = [
            (f"{2**53 - r.signed_ms:016d} {r.id}", msgspec.convert(r, OrderRow, from_attributes=True))
            for r in await self._fleet.orders()
        ]
        return _paged(sorted(rows, key=lambda r: r[0]), after, limit)


_BLANK = {"order_state": "", "actor": "", "session": "", "changed_ms": 0}


def _paged(rows: Sequence[tuple[str, T]], after: str, limit: int) -> Page:
    rest = [row for row in rows if row[0] > after]
    page = rest[: max(1, limit)]
    return Page(items=[row for _, row in page], next=page[-1][0] if len(rest) > len(page) else "")
