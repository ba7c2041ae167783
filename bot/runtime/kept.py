"""Compiled flows in the store, for `bot.plugins.book`: by version, tagged, written once."""

from __future__ import annotations

from bot.store import Conflict, Kind, Record, Store


class KeptFlows:
    """The port `bot.plugins.book.KeptFlows` on the real store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def keep(self, version: str, raw: bytes) -> None:
        """Keep the bytes of a version unless they are there. Raises StoreGone, Tampered."""
        if await self._store.get(Kind.FLOW, version) is not None:
            return
        try:
            await self._store.put(Kind.FLOW, version, raw, seen=0)
        except Conflict:  # another process kept the same bytes meanwhile: a version is their hash
            return

    async def kept(self, version: str) -> bytes | None:
        """The bytes of a version. Raises StoreGone, Tampered."""
        found = await self._store.get(Kind.FLOW, version)
        return None if found is None else found.body

    async def versions(self) -> list[str]:
        """All that are kept. Raises StoreGone."""
        return [record.id for record in await self._all(Kind.FLOW)]

    async def forget(self, version: str) -> None:
        """Keep a version no longer. Raises StoreGone."""
        await self._store.delete(Kind.FLOW, version)

    async def histories(self) -> dict[str, bytes]:
        """What `note` was told, by flow. Raises StoreGone."""
        return {record.id: record.body for record in await self._all(Kind.HISTORY)}

    async def note(self, flow: str, raw: bytes) -> None:
        """Keep which versions of a flow were published. Raises StoreGone."""
        await self._store.put(Kind.HISTORY, flow, raw)

    async def _all(self, kind: Kind) -> list[Record]:
        found: list[Record] = []
        after = ""
        while True:
            page = await self._store.all(kind, after=after, limit=500)
            found += page.items
            after = page.after
            if not after:
                return found
