"""The process that speaks: a WebSocket to the bot on one side, the pipe to the actor on the other.

It holds no key, no journal and no Docker, and understands nothing of what passes. Rule 1: it comes back
after every loss of the link, the first time at once, then with full jitter. Rule 2: when the actor is gone
it ends. Rule 3: it runs as the owner of the bot's socket, not as root.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import socket
import sys
import time

import aiohttp
import structlog

from agent import pipe
from agent.link.messages import PATH, PING_S, SUBPROTOCOL
from agent.logs import to_stderr
from agent.orders import limits

log = structlog.get_logger()

FRAME_BYTES = limits.ORDER_BYTES * 4  # an envelope with its JSON escapes
AT_ONCE_S = 0.1
LONGEST_S = 5.0  # of a wait for a bot on this machine; a distant one gets a longer one with its own transport
LASTED_S = 5.0  # a link that held this long was a good one
GONE = 3  # exit code: the actor is gone


class ActorGone(Exception):
    """The pipe is closed."""


class Speaker:
    """One end of the pipe, one bot."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, bot: str) -> None:
        self._reader = reader
        self._writer = writer
        self._bot = bot
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def run(self) -> None:
        """Keep the link up until the actor is gone."""
        hearing = asyncio.create_task(self._from_actor())
        linking = asyncio.create_task(self._keep_linked())
        done, pending = await asyncio.wait({hearing, linking}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for task in done:
            task.result()

    async def _keep_linked(self) -> None:
        failures = 0
        said = False
        while True:
            began = time.monotonic()
            try:
                await self._link()
                said = False
            except (aiohttp.ClientError, OSError, TimeoutError) as e:
                if not said:
                    log.info("link.unreachable", bot=self._bot, says=str(e) or type(e).__name__)
                    said = True
            failures = 0 if time.monotonic() - began > LASTED_S else failures + 1
            longest = min(LONGEST_S, AT_ONCE_S * 2**failures)
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311  (spreads reconnects, guards nothing)

    async def _link(self) -> None:
        """One link from its first to its last message."""
        connector = aiohttp.UnixConnector(path=self._bot.removeprefix("unix:"))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.ws_connect(
                f"http://bot{PATH}",
                protocols=(SUBPROTOCOL,),
                heartbeat=PING_S,
                max_msg_size=FRAME_BYTES,
                compress=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            ) as ws,
        ):
            await self._to_actor("U")
            self._socket = ws
            try:
                async for message in ws:
                    if message.type is aiohttp.WSMsgType.TEXT:
                        await self._to_actor("T", message.data.encode())
                    elif message.type is aiohttp.WSMsgType.BINARY:
                        await self._to_actor("B", message.data)
                    else:
                        break
            finally:
                self._socket = None
                await self._to_actor("D")

    async def _from_actor(self) -> None:
        while True:
            try:
                length = pipe.head(await self._reader.readexactly(4))
                kind, body = pipe.unpack(await self._reader.readexactly(length))
            except (asyncio.IncompleteReadError, OSError, pipe.PipeBroken) as e:
                raise ActorGone(str(e)) from e
            ws = self._socket
            if ws is None or ws.closed:
                continue  # said to nobody; what must not get lost is said again
            try:
                if kind == "T":
                    await ws.send_str(body.decode())
                elif kind == "B":
                    await ws.send_bytes(body)
                elif kind == "D":
                    await ws.close()
            except (aiohttp.ClientError, OSError) as e:
                log.info("link.lost", says=str(e) or type(e).__name__)

    async def _to_actor(self, kind: pipe.Kind, body: bytes = b"") -> None:
        try:
            self._writer.write(pipe.pack(kind, body))
            await self._writer.drain()
        except OSError as e:
            raise ActorGone(str(e)) from e


async def speak(end: socket.socket, bot: str) -> None:
    """Be the speaker until the actor is gone. Raises ActorGone."""
    reader, writer = await asyncio.open_connection(sock=end, limit=pipe.FRAME_BYTES * 2)
    await Speaker(reader, writer, bot).run()


def main() -> int:
    """Entry of the process; `agent.cli` starts it with its end of the pipe."""
    parser = argparse.ArgumentParser(prog="hercules-agent speaker")
    parser.add_argument("--fd", type=int, required=True)
    parser.add_argument("--bot", required=True)
    options = parser.parse_args()
    to_stderr()
    # the actor ends us: a signal to the whole group must not leave it without a way to say good-bye
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        asyncio.run(speak(socket.socket(fileno=options.fd), options.bot))
    except ActorGone:
        return GONE
    return GONE


if __name__ == "__main__":
    sys.exit(main())
