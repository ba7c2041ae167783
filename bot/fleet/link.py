"""One live link: what the fleet says to an agent, and the loop that hears it. Edges move and wait here.

Rule 1: nothing is sent after the first fault; whoever wanted to say something gets NodeOffline and the
order waits in the store. Rule 2: what an agent may say after `Welcome` is `Heard`; anything else ends the
link. Rule 3: no message of an agent can stop the loop for long: results are taken up by tasks of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import WSMsgType, web

from agent.link.messages import (
    BlobCredit,
    BlobGone,
    BlobWanted,
    Bye,
    DeploymentsSaid,
    Message,
    ProgressSaid,
    ResultSaid,
    decode,
    encode,
)
from bot.fleet.refusals import NodeOffline
from bot.fleet.transfers import Transfers
from bot.store import StoreError

SEND_WITHIN_S = 20  # a peer that takes nothing for so long is gone
Heard = ProgressSaid | ResultSaid | DeploymentsSaid

_log = structlog.get_logger("fleet")


class Link:
    """The link of one node. Made after its hello was believed."""

    def __init__(
        self, socket: web.WebSocketResponse, *, node: str, agent: str, verbs: frozenset[str], sealing: str
    ) -> None:
        self.node = node
        self.agent = agent
        self.verbs = verbs
        self.sealing = sealing
        self.sent: set[str] = set()  # orders handed over on this very link
        self._socket = socket
        self._is_down = False

    @property
    def is_up(self) -> bool:
        """False from the first fault on."""
        return not self._is_down and not self._socket.closed

    async def say(self, message: Message) -> None:
        """Send one message. Raises NodeOffline, and then the link is over."""
        await self._send(self._socket.send_str(encode(message)))

    async def say_gone(self, message: BlobGone) -> None:
        """Say that a blob cannot be had."""
        await self.say(message)

    async def send_chunk(self, frame: bytes) -> None:
        """Send one chunk of a blob. Raises NodeOffline."""
        await self._send(self._socket.send_bytes(frame))

    async def _send(self, sending: Awaitable[None]) -> None:
        if self._is_down:
            asyncio.ensure_future(sending).cancel()
            raise NodeOffline(node=self.node)
        try:
            async with asyncio.timeout(SEND_WITHIN_S):
                await sending
        except (ConnectionError, RuntimeError, TimeoutError) as e:
            self._is_down = True
            raise NodeOffline(node=self.node) from e

    async def close(self, reason: str) -> None:
        """Say goodbye, if it can still be said, and end the link."""
        if not self._is_down:
            self._is_down = True
            try:
                async with asyncio.timeout(2):
                    await self._socket.send_str(encode(Bye(reason=reason)))
            except (ConnectionError, RuntimeError, TimeoutError) as e:
                _log.debug("link.bye_unsaid", node=self.node, error=str(e))
        await self._socket.close()

    async def listen(self, transfers: Transfers, hear: Callable[[Link, Heard], Awaitable[None]]) -> str:
        """Take what the agent says, and send its blobs, until the link ends; returns why it did."""
        pump = asyncio.create_task(self._pump(transfers), name=f"blobs-{self.node}")
        try:
            return await self._listen(transfers, hear)
        finally:
            self._is_down = True
            pump.cancel()
            transfers.close()
            await asyncio.gather(pump, return_exceptions=True)

    async def _listen(self, transfers: Transfers, hear: Callable[[Link, Heard], Awaitable[None]]) -> str:
        async for frame in self._socket:
            if frame.type is not WSMsgType.TEXT:
                return "it sent a frame that is no text"
            try:
                message = decode(frame.data)
            except (msgspec.MsgspecError, RecursionError, ValueError) as e:
                return f"it sent a message that is not known: {e}"
            try:
                if isinstance(message, BlobWanted):
                    await transfers.want(message.blob, message.offset, message.credits)
                elif isinstance(message, BlobCredit):
                    transfers.grant(message.blob, message.credits)
                elif isinstance(message, Heard):
                    await hear(self, message)
                elif isinstance(message, Bye):
                    return f"it said goodbye: {message.reason}"
                else:
                    return f"it sent {type(message).__name__}, which only a bot may send"
            except NodeOffline:
                break
            except StoreError as e:  # the agent comes back and asks again
                return f"the store could not be asked: {e.sentence}"
        return "the connection ended"

    async def _pump(self, transfers: Transfers) -> None:
        try:
            await transfers.run()
        except NodeOffline:
            _log.info("blob.link_lost", node=self.node)
