"""How rooms look to the web channel: their lists as pages.

Only shapes are changed here; nothing is decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bot.audit import lines
from bot.engine.form import Flow
from bot.engine.ready import Ready
from bot.engine.refusals import Refused
from bot.fleet.fleet import Fleet
from bot.fleet.records import OrderRecord
from bot.plugins.book import FlowBook

T = TypeVar("T")


class NoSuchPlace(Refused):
    """A list was asked for from a place that it does not have."""

    code, http = "no_such_place", 422
    says = "There is no page after {after!r}."
    do = "Take `next` of the page before, or nothing."


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list. `next` is the `after` of the following one, "" at the end."""

    items: Sequence[Any]
    next: str = ""


class FlowViews:
    """The flows of now."""

    def __init__(self, book: FlowBook) -> None:
        self._book = book

    def flows(self) -> list[Flow]:
        """Every flow in its present version."""
        return [ready.flow for ready in self._book.flows()]

    def current(self, name: str) -> Ready:
        """The present version of a flow. Raises NoSuchFlow."""
        return self._book.current(name)


class OrderView(msgspec.Struct, frozen=True, kw_only=True):
    """An order in a list: what was asked of which node, and what came of it."""

    id: str
    session: str
    node: str
    verb: str
    actor: str
    says: str
    signed_ms: int
    handed_ms: int
    finished_ms: int
    outcome: str


class FleetViews:
    """Nodes, deployments and open orders as pages."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    async def nodes(self, *, after: str, limit: int) -> Page:
        """Nodes, by id."""
        return paged(await self._fleet.nodes(), after, limit, lambda node: node.id)

    async def deployments(self, *, after: str, limit: int) -> Page:
        """Deployments, by id, with what should run and what was seen."""
        views = await self._fleet.deployments()
        return paged(
            [v for v in views if v.record or v.seen],
            after,
            limit,
            lambda v: v.record.id if v.record else v.seen.fact.deployment if v.seen else "",
        )

    async def orders(self, *, after: str, limit: int) -> Page:
        """Orders that have no final result yet, by id."""
        return paged([_order(o) for o in self._fleet.open_orders()], after, limit, lambda order: order.id)


class AuditViews:
    """The audit's entries, oldest first, read from its files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def entries(self, *, after: str, limit: int) -> Page:
        """Entries after number `after`. Raises NoSuchPlace."""
        if after and not (after.isascii() and after.isdigit()):
            raise NoSuchPlace(after=after)
        return await asyncio.to_thread(self._read, int(after or 0), limit)

    def _read(self, after: int, limit: int) -> Page:
        found: list[lines.Line] = []
        for line in self._lines_from(after):
            if len(found) == limit:
                return Page(items=found, next=str(found[-1].n))
            found.append(line)
        return Page(items=found)

    def _lines_from(self, after: int) -> Iterator[lines.Line]:
        files = lines.segments(self._folder)
        begins = [int(file.stem.removeprefix("audit-")) for file in files]
        for number, file in enumerate(files):
            if number + 1 < len(files) and begins[number + 1] <= after + 1:
                continue
            with file.open("rb") as raw:
                for one in raw:
                    if not one.endswith(b"\n"):
                        return  # being written
                    line = lines.decode(one)
                    if line.n > after:
                        yield line


def paged(items: Sequence[T], after: str, limit: int, key: Callable[[T], str]) -> Page:
    """The `limit` items after `after`, in the order of their keys."""
    rest = sorted((item for item in items if key(item) > after), key=key)
    chosen = rest[:limit]
    return Page(items=chosen, next=key(chosen[-1]) if len(rest) > limit else "")


def _order(record: OrderRecord) -> OrderView:
    return OrderView(**{name: getattr(record, name) for name in OrderView.__struct_fields__})
