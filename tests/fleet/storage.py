"""A real store for tests of fleet and people, with a back door that knows the admin's password."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from redis.asyncio import Redis

from bot.store import EmbeddedStore, Store
from bot.store.setup import BOT_USER, prepare

TAG_KEY = bytes(range(32))
INSTALLATION = "i-0123456789abcdef"


class Storage:
    """A running Valkey, the store on it, and `raw`: a connection that may do anything."""

    def __init__(self, store: Store, raw: Redis, embedded: EmbeddedStore, bot_password: str) -> None:
        self.store = store
        self.raw = raw
        self.embedded = embedded
        self._bot_password = bot_password

    async def another(self) -> Store:
        """A second connection, as another process of the same bot has."""
        return await Store.connect(
            self.embedded.url,
            user=BOT_USER,
            password=self._bot_password,
            tag_key=TAG_KEY,
            installation=INSTALLATION,
        )

    async def keys(self, kind: str, id: str = "*") -> list[str]:
        """The keys under which records of a kind lie."""
        found = await self.raw.keys(f"h1:*:record:{kind}:{id}")
        return sorted(key.decode() if isinstance(key, bytes) else key for key in found)

    async def key_of(self, kind: str, id: str = "*") -> str:
        """The key of the only one."""
        (key,) = await self.keys(kind, id)
        return key

    async def value_of(self, key: str) -> bytes:
        """What lies under a key."""
        value = await self.raw.get(key)
        assert isinstance(value, bytes)
        return value

    async def overwrite(self, kind: str, id: str, change: tuple[bytes, bytes]) -> None:
        """Change a stored record by hand, as an intruder in the store would."""
        key = await self.key_of(kind, id)
        value = await self.value_of(key)
        assert change[0] in value, (change, value)
        await self.raw.set(key, value.replace(*change))


@asynccontextmanager
async def running_storage() -> AsyncGenerator[Storage]:
    """A store in a fresh directory, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as folder:
        bot_password, admin_password = secrets.token_hex(16), secrets.token_hex(16)
        embedded = EmbeddedStore(Path(folder), admin_password=admin_password, bot_password=bot_password)
        await embedded.start()
        try:
            await prepare(
                embedded.url,
                user=embedded.admin_user,
                password=admin_password,
                bot_password=bot_password,
                tag_key=TAG_KEY,
                installation=INSTALLATION,
            )
            raw = Redis(
                unix_socket_path=str(embedded.socket),
                username=embedded.admin_user,
                password=admin_password,
                protocol=2,
            )
            store = await Store.connect(
                embedded.url,
                user=BOT_USER,
                password=bot_password,
                tag_key=TAG_KEY,
                installation=INSTALLATION,
            )
            try:
                yield Storage(store, raw, embedded, bot_password)
            finally:
                await store.close()
                await raw.aclose()
        finally:
            await embedded.stop()
