"""Reading a blob without blocking the loop, and without a descriptor that is closed under a read."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


class Descriptor:
    """Closes its file when the last of reader and running threads lets go of it."""

    def __init__(self, path: Path) -> None:
        self.number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


class BlobReader:
    """An open blob. Reads happen in a thread; closing while one runs is safe."""

    def __init__(self, descriptor: Descriptor, pool: ThreadPoolExecutor) -> None:
        self.bytes = os.fstat(descriptor.number).st_size
        self._descriptor: Descriptor | None = descriptor
        self._pool = pool

    async def read(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset`. Raises ValueError after `close`, OSError of the disk."""
        descriptor = self._descriptor
        if descriptor is None:
            raise ValueError("this blob was closed")
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: os.pread(descriptor.number, count, offset)
        )

    def close(self) -> None:
        """Let go of the file."""
        self._descriptor = None
