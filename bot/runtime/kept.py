"""Compiled flows in the store, for `bot.plugins.book`: by version, tagged, written once."""

from __future__ import annotations

from bot.store import Conflict, Kind, Store


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
