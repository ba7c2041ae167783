"""Blob chunks to one agent: in turn among its blobs, never more than the credits it granted.

Rules. 1: the agent asks (`BlobWanted`, from an offset) and grants credits; each chunk uses one. 2: asking
again for the same blob starts over at the new offset with the new credits (so does a new link). 3: a node
gets only blobs that an order or a deployment of its own names (`may_fetch`). 4: reading happens in threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from agent.link.messages import BlobGone, pack_chunk
from agent.orders import limits
from bot.blobs import BlobReader, Blobs, NoSuchBlob

AT_ONCE = 8  # blobs under way on one link: a deploy needs one, and each holds an open file
CHUNKS_PER_TURN = 8  # read in one go (384 kB), then the next blob has its turn

_log = structlog.get_logger("fleet")


class _Transfer:
    def __init__(self, reader: BlobReader, offset: int, credits: int) -> None:
        self.reader = reader
        self.offset = offset
        self.credits = credits


class Transfers:
    """The blobs on their way to one agent. `run` until the link ends, then `close`."""

    def __init__(
        self,
        blobs: Blobs,
        *,
        node: str,
        may_fetch: Callable[[str], Awaitable[bool]],
        say_gone: Callable[[BlobGone], Awaitable[None]],
        send_chunk: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._blobs = blobs
        self._node = node
        self._may_fetch = may_fetch
        self._say_gone = say_gone
        self._send_chunk = send_chunk
        self._under_way: dict[str, _Transfer] = {}
        self._wake = asyncio.Event()

    async def want(self, blob: str, offset: int, credits: int) -> None:
        """Begin, or begin again, to send `blob` from `offset`."""
        self._end(blob)
        if len(self._under_way) >= AT_ONCE:
            await self._refuse(blob, f"More than {AT_ONCE} blobs at once; ask again later.")
            return
        if not await self._may_fetch(blob):
            await self._refuse(blob, "No order of this node names this blob.")
            return
        try:
            reader = await self._blobs.open(blob)
        except NoSuchBlob as e:
            await self._refuse(blob, e.sentence)
            return
        if offset >= reader.bytes:
            reader.close()
            await self._refuse(blob, f"The blob has {reader.bytes} bytes, so nothing stands at {offset}.")
            return
        self._under_way[blob] = _Transfer(reader, offset, credits)
        _log.info("blob.sending", node=self._node, blob=blob, offset=offset, bytes=reader.bytes)
        self._wake.set()

    def grant(self, blob: str, credits: int) -> None:
        """`credits` more chunks may come. Never more than BLOB_CREDITS are under way."""
        if transfer := self._under_way.get(blob):
            transfer.credits = min(transfer.credits + credits, limits.BLOB_CREDITS)
            self._wake.set()

    async def run(self) -> None:
        """Send what may be sent, for ever."""
        while True:
            turn = [(blob, t) for blob, t in self._under_way.items() if t.credits]
            if not turn:
                self._wake.clear()
                await self._wake.wait()
                continue
            for blob, transfer in turn:
                await self._send_some(blob, transfer)

    async def _send_some(self, blob: str, transfer: _Transfer) -> None:
        chunks = min(transfer.credits, CHUNKS_PER_TURN)
        try:
            data = await transfer.reader.read(transfer.offset, chunks * limits.CHUNK_BYTES)
        except (OSError, ValueError) as e:  # ValueError: closed meanwhile, because it was asked for again
            if self._under_way.get(blob) is transfer:
                self._end(blob)
                await self._refuse(blob, f"The blob cannot be read: {e}")
            return
        for start in range(0, len(data), limits.CHUNK_BYTES):
            if self._under_way.get(blob) is not transfer:
                return
            piece = data[start : start + limits.CHUNK_BYTES]
            transfer.credits -= 1
            offset, transfer.offset = transfer.offset, transfer.offset + len(piece)
            await self._send_chunk(pack_chunk(blob, offset, piece))
        if self._under_way.get(blob) is transfer and transfer.offset >= transfer.reader.bytes:
            self._end(blob)
            _log.info("blob.sent", node=self._node, blob=blob, bytes=transfer.offset)

    def close(self) -> None:
        """Give up every transfer."""
        for blob in list(self._under_way):
            self._end(blob)

    def _end(self, blob: str) -> None:
        if transfer := self._under_way.pop(blob, None):
            transfer.reader.close()

    async def _refuse(self, blob: str, reason: str) -> None:
        _log.warning("blob.refused", node=self._node, blob=blob, reason=reason)
        await self._say_gone(BlobGone(blob=blob, reason=reason[:500]))
