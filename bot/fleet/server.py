"""The door for agents: a WebSocket on a Unix socket (0600), open to those whose keys are pinned.

Rules. 1: no TCP exists here. 2: whoever is not welcomed within the deadlines is cut off, whatever it does
meanwhile, and at most `PENDING` wait at once. 3: a browser's request (`Origin`, `Cookie`) is refused.
4: who is refused learns nothing; the log has the reason. 5: no compression, frames of one message's size.
6: a stale socket is replaced; a listening one never is (a lock beside it decides).
The handshake is that of `agent.link.messages`: Challenge, Hello, then Welcome or Bye.
"""

from __future__ import annotations

import asyncio
import fcntl
import functools
import hmac
import os
import secrets
import socket
import stat
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
from aiohttp import WSMsgType, web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server
from nacl.exceptions import BadSignatureError

from agent.link import messages
from agent.link.messages import Bye, Challenge, Hello, Welcome
from agent.orders import limits
from bot.fleet.link import Link
from bot.fleet.nodes import Pin, node_id
from bot.fleet.refusals import NoSuchNode, SocketTaken

HEAD_WITHIN_S = 5.0  # from connecting to the end of the HTTP request
HELLO_WITHIN_S = 10.0  # from connecting to a hello that was believed
PENDING = 64  # connections not yet welcomed: a node dials once, so this is plenty for a Unix socket
REMEMBERED = 16 * PENDING  # the same with those that hung up before their deadline
STOP_WITHIN_S = 3.0
MESSAGE_BYTES = limits.RESULT_BYTES * 2 + 8_000  # the largest message: an envelope as JSON text in JSON

_STRANGER = "This bot does not know this agent."
_log = structlog.get_logger("fleet")


class Stranger(Exception):
    """A hello that is not believed. `code` is for the log only."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Door:
    """Listens, lets known agents in, and hands each link to `on_link` until that returns."""

    def __init__(
        self,
        path: Path,
        *,
        installation: str,
        bot: str,
        pin_of: Callable[[str], Awaitable[Pin]],
        on_link: Callable[[Link], Awaitable[None]],
        head_within_s: float = HEAD_WITHIN_S,
        hello_within_s: float = HELLO_WITHIN_S,
    ) -> None:
        self.path = path
        self._installation = installation
        self._bot = bot
        self._pin_of = pin_of
        self._on_link = on_link
        self._head_within_s = head_within_s
        self._hello_within_s = hello_within_s
        self._waiting: set[RequestHandler] = set()  # not yet welcomed
        self._asked: set[RequestHandler] = set()  # of these, the ones whose request arrived
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.AbstractServer | None = None
        self._lock = -1
        self._inode = 0

    async def start(self) -> None:
        """Listen. Raises SocketTaken when another process does, on this path."""
        app = web.Application()
        app.router.add_get(messages.PATH, self._meet)
        self._runner = web.AppRunner(
            app, access_log=None, keepalive_timeout=self._head_within_s, shutdown_timeout=STOP_WITHIN_S
        )
        await self._runner.setup()
        server = self._runner.server
        try:
            if server is None:
                raise RuntimeError("aiohttp made no server")
            listener = await asyncio.to_thread(self._bind)
            self._listening = await asyncio.get_running_loop().create_unix_server(
                functools.partial(self._accept, server), sock=listener
            )
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening and cut every connection; links should have been closed before."""
        if self._listening:
            self._listening.close()
        if self._runner:
            await self._runner.cleanup()
        with suppress(FileNotFoundError):
            if self._inode and self.path.stat().st_ino == self._inode:
                self.path.unlink()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # -- the socket

    def _bind(self) -> socket.socket:
        lock = os.open(
            self.path.with_name(self.path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            os.close(lock)
            raise SocketTaken(path=self.path) from e
        self._lock = lock
        self._clear_stale()
        fresh = self.path.with_name(self.path.name + "+")  # mode first, name after: never open to others
        with suppress(FileNotFoundError):
            fresh.unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(fresh))
            fresh.chmod(0o600)
            listener.listen(128)
            listener.setblocking(False)
            self._inode = fresh.stat().st_ino
            fresh.rename(self.path)
        except BaseException:
            listener.close()
            raise
        return listener

    def _clear_stale(self) -> None:
        """Raise SocketTaken if somebody answers, or if it is no socket at all."""
        try:
            kind = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(kind):
            raise SocketTaken(path=f"{self.path}, which is no socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.path))
            except (ConnectionRefusedError, FileNotFoundError):
                return
            except OSError as e:
                raise SocketTaken(path=self.path) from e
        raise SocketTaken(path=self.path)

    def _accept(self, server: Server) -> asyncio.Protocol:
        protocol = server()
        loop = asyncio.get_running_loop()
        alive = sum(1 for p in self._waiting if p.transport is not None)
        if alive >= PENDING or len(self._waiting) >= REMEMBERED:
            _log.warning("agent.too_many", pending=len(self._waiting))
            loop.call_soon(_cut, protocol)
            return protocol
        self._waiting.add(protocol)
        loop.call_later(self._head_within_s, self._cut_unless_asked, protocol)
        loop.call_later(self._hello_within_s, self._cut_unless_welcome, protocol)
        return protocol

    def _cut_unless_asked(self, protocol: RequestHandler) -> None:
        if protocol in self._waiting and protocol not in self._asked:
            self._cut_late(protocol)

    def _cut_unless_welcome(self, protocol: RequestHandler) -> None:
        if protocol in self._waiting:
            self._cut_late(protocol)

    def _cut_late(self, protocol: RequestHandler) -> None:
        self._no_longer_waiting(protocol)
        if protocol.transport is not None:
            _log.warning("agent.too_slow")
        _cut(protocol)

    def _no_longer_waiting(self, protocol: RequestHandler) -> None:
        self._waiting.discard(protocol)
        self._asked.discard(protocol)

    # -- the handshake

    async def _meet(self, request: web.Request) -> web.StreamResponse:
        self._asked.add(request.protocol)
        if "Origin" in request.headers or "Cookie" in request.headers:
            _log.warning("agent.refused", code="browser")
            raise web.HTTPForbidden(text="Browsers are not served here.\n")
        asked = request.headers.get("Sec-WebSocket-Protocol", "")
        if messages.SUBPROTOCOL not in [part.strip() for part in asked.split(",")]:
            _log.warning("agent.refused", code="subprotocol")
            raise web.HTTPBadRequest(text=f"Only {messages.SUBPROTOCOL} is spoken here.\n")
        ws = web.WebSocketResponse(
            protocols=(messages.SUBPROTOCOL,),
            compress=False,
            max_msg_size=MESSAGE_BYTES,
            heartbeat=messages.PING_S,
            timeout=2.0,
        )
        await ws.prepare(request)
        try:
            link = await self._greet(ws)
        except Stranger as e:
            _log.warning("agent.refused", code=e.code)
            with suppress(ConnectionError, RuntimeError):
                await ws.send_str(messages.encode(Bye(reason=_STRANGER)))
            await ws.close()
            return ws
        finally:
            self._no_longer_waiting(request.protocol)
        await self._on_link(link)
        return ws

    async def _greet(self, ws: web.WebSocketResponse) -> Link:
        nonce = secrets.token_hex(32)
        challenge = Challenge(protocol=messages.PROTOCOL, installation=self._installation, nonce=nonce)
        try:
            async with asyncio.timeout(self._hello_within_s):
                await ws.send_str(messages.encode(challenge))
                frame = await ws.receive()
        except (TimeoutError, ConnectionError, RuntimeError) as e:
            raise Stranger("silent") from e
        if frame.type is not WSMsgType.TEXT:
            raise Stranger("no_hello")
        try:
            hello = messages.decode(frame.data)
        except (msgspec.MsgspecError, RecursionError, ValueError) as e:
            raise Stranger("form") from e
        if not isinstance(hello, Hello):
            raise Stranger("no_hello")
        await self._check(hello, nonce)
        try:
            await ws.send_str(messages.encode(Welcome(bot=self._bot)))
        except (ConnectionError, RuntimeError) as e:
            raise Stranger("gone") from e
        return Link(
            ws, node=hello.node, agent=hello.agent, verbs=frozenset(hello.verbs), sealing=hello.sealing
        )

    async def _check(self, hello: Hello, nonce: str) -> None:
        """Raises Stranger unless the pinned key of this node signed this challenge."""
        if hello.protocol != messages.PROTOCOL:
            raise Stranger("protocol")
        if hello.node != node_id(hello.identity):
            raise Stranger("node")
        try:
            pin = await self._pin_of(hello.node)
        except NoSuchNode as e:
            raise Stranger("not_pinned") from e
        if not hmac.compare_digest(pin.identity_hex, hello.identity):
            raise Stranger("identity")
        if not hmac.compare_digest(pin.sealing_hex, hello.sealing):
            raise Stranger("sealing")
        signed = messages.hello_bytes(
            installation=self._installation, nonce=nonce, node=hello.node, sealing=hello.sealing
        )
        try:
            pin.identity.verify(signed, bytes.fromhex(hello.signature))
        except (BadSignatureError, ValueError) as e:
            raise Stranger("signature") from e


def _cut(protocol: RequestHandler) -> None:
    if protocol.transport is not None:
        protocol.transport.abort()
