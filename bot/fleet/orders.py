"""The orders of sessions that this installation signed, and which of them are open.

Rule 1: an id has one envelope for ever; the first put wins. Rule 2: `open_of` is only an index of what the
store holds; it is read from there at start. Rule 3: a record outlives its order by `KEPT_MS`, so that a
late repeat of a result is recognised.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from bot.fleet.records import OrderRecord, decoded, encoded, every
from bot.store import Conflict, Kind, Store

KEPT_MS = 14 * 24 * 3600 * 1000  # after the order's expiry; agents repeat results for less

_log = structlog.get_logger("fleet")


class OrderBook:
    """Order records, by id; and the open ones by node."""

    def __init__(self, store: Store, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._open: dict[str, dict[str, OrderRecord]] = {}

    async def read(self) -> None:
        """Fill the index of open orders from the store."""
        for record in await self.all():
            self._note(record)

    async def all(self) -> list[OrderRecord]:
        """Every order that is still kept."""
        return [decoded(body, OrderRecord) async for body in every(self._store, Kind.ORDER)]

    async def get(self, id: str) -> OrderRecord | None:
        """The order of this id. Raises Tampered."""
        found = await self._store.get(Kind.ORDER, id)
        return None if found is None else decoded(found.body, OrderRecord)

    async def add(self, record: OrderRecord) -> OrderRecord:
        """Keep a new order; returns the one that is kept, which is the first that came."""
        try:
            await self._store.put(
                Kind.ORDER, record.id, encoded(record), seen=0, expires_ms=record.expires_ms + KEPT_MS
            )
        except Conflict:
            first = await self.get(record.id)
            if first is None:
                raise
            record = first
        self._note(record)
        return record

    async def change(self, id: str, **fields: Any) -> OrderRecord:
        """Set fields of an order; a concurrent change of others is kept. Raises Tampered, KeyError."""
        while True:
            found = await self._store.get(Kind.ORDER, id)
            if found is None:
                raise KeyError(id)
            record = msgspec.structs.replace(decoded(found.body, OrderRecord), **fields)
            try:
                await self._store.put(
                    Kind.ORDER,
                    id,
                    encoded(record),
                    seen=found.version,
                    expires_ms=record.expires_ms + KEPT_MS,
                )
            except Conflict:
                continue
            self._note(record)
            return record

    def open_of(self, node: str) -> list[OrderRecord]:
        """Orders of a node that have no final result, the oldest first."""
        return sorted(self._open.get(node, {}).values(), key=lambda r: (r.signed_ms, r.id))

    def open_one(self, node: str, id: str) -> OrderRecord | None:
        """An open order of this node, from the index."""
        return self._open.get(node, {}).get(id)

    def may_expire(self, record: OrderRecord) -> bool:
        """True when its time is over and it never was on a wire."""
        return not record.handed_ms and record.expires_ms <= self._now_ms()

    def _note(self, record: OrderRecord) -> None:
        of_node = self._open.setdefault(record.node, {})
        if record.is_settled or self.may_expire(record):
            of_node.pop(record.id, None)
        else:
            of_node[record.id] = record
