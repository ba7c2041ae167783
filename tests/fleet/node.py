"""A node for tests: real keys, a real socket, and an agent that does only what a test tells it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from nacl.public import PrivateKey
from nacl.signing import SigningKey, VerifyKey

from agent.link import messages
from agent.link.messages import (
    Bye,
    Challenge,
    Hello,
    Message,
    OrderSent,
    ResultKept,
    ResultSaid,
    Welcome,
)
from agent.orders import READING, envelope, limits, verb_of
from agent.orders.envelope import OrderBody
from agent.orders.results import Problem, Result
from bot.engine.orders import KINDS
from bot.fleet.nodes import node_id

VERBS = tuple(sorted(KINDS))
WITHIN_S = 60.0


class Received:
    """An order as it came: the envelope's text, its verified payload, its body."""

    def __init__(self, text: str, payload: bytes, body: OrderBody) -> None:
        self.text = text
        self.payload = payload
        self.body = body

    @property
    def id(self) -> str:
        """The order's id."""
        return self.body.id


class Node:
    """Keys of a node, and its link while it has one. Reading orders are answered from `facts`."""

    def __init__(self, socket: Path, dispatch: VerifyKey) -> None:
        self.identity = SigningKey.generate()
        self.sealing = PrivateKey.generate()
        self.socket = socket
        self.dispatch = {envelope.key_id(bytes(dispatch)): dispatch}
        self.id = node_id(self.identity_hex)
        self.facts: dict[str, Any] = {"at_ms": 1, "hostname": "lab"}
        self.orders: asyncio.Queue[Received] = asyncio.Queue()
        self.kept: asyncio.Queue[str] = asyncio.Queue()
        self.chunks: asyncio.Queue[tuple[str, int, bytes]] = asyncio.Queue()
        self.other: asyncio.Queue[Message] = asyncio.Queue()
        self.is_silent = False  # reading orders are left unanswered
        self._http: aiohttp.ClientSession | None = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def identity_hex(self) -> str:
        """Ed25519 public key."""
        return bytes(self.identity.verify_key).hex()

    @property
    def sealing_hex(self) -> str:
        """X25519 public key."""
        return bytes(self.sealing.public_key).hex()

    async def dial(self, **options: Any) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket to the door; nothing is said yet."""
        self._http = aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(self.socket)))
        options.setdefault("protocols", (messages.SUBPROTOCOL,))
        self._ws = await self._http.ws_connect(
            f"http://bot{messages.PATH}", max_msg_size=0, compress=0, **options
        )
        return self._ws

    def hello(self, challenge: Challenge, verbs: tuple[str, ...] = VERBS) -> Hello:
        """The true hello to a challenge."""
        signed = messages.hello_bytes(
            installation=challenge.installation,
            nonce=challenge.nonce,
            node=self.id,
            sealing=self.sealing_hex,
        )
        return Hello(
            protocol=messages.PROTOCOL,
            node=self.id,
            identity=self.identity_hex,
            sealing=self.sealing_hex,
            agent="0.1.0",
            verbs=verbs,
            signature=self.identity.sign(signed).signature.hex(),
        )

    async def say_hello(
        self, *, verbs: tuple[str, ...] = VERBS, change: Callable[[Hello], Hello] = lambda h: h
    ) -> Message:
        """Dial and say hello; returns what the bot says to it."""
        ws = await self.dial()
        challenge = messages.decode(await ws.receive_str(timeout=WITHIN_S))
        assert isinstance(challenge, Challenge)
        await ws.send_str(messages.encode(change(self.hello(challenge, verbs))))
        return messages.decode(await ws.receive_str(timeout=WITHIN_S))

    async def link(self, **how: Any) -> Node:
        """Link up and serve until `hang_up`."""
        answer = await self.say_hello(**how)
        assert isinstance(answer, Welcome), answer
        assert self._ws is not None
        self._reading = asyncio.create_task(self._read(self._ws))
        return self

    async def hang_up(self) -> None:
        """End the link without a word, as a lost connection does."""
        if self._reading:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._ws and self._ws._response.connection and self._ws._response.connection.transport:
            self._ws._response.connection.transport.abort()
        if self._http:
            await self._http.close()

    async def say(self, message: Message) -> None:
        """Send a message."""
        assert self._ws is not None
        await self._ws.send_str(messages.encode(message))

    async def raw(self, frame: str | bytes) -> None:
        """Send a frame as it is."""
        assert self._ws is not None
        await (self._ws.send_str(frame) if isinstance(frame, str) else self._ws.send_bytes(frame))

    async def order(self) -> Received:
        """The next order that acts."""
        async with asyncio.timeout(WITHIN_S):
            return await self.orders.get()

    async def no_order(self, within_s: float = 0.3) -> None:
        """Fails if an order comes."""
        await asyncio.sleep(within_s)
        assert self.orders.empty(), self.orders.get_nowait().body

    async def until_kept(self) -> str:
        """The order whose result the bot says it has kept."""
        async with asyncio.timeout(WITHIN_S):
            return await self.kept.get()

    async def until_closed(self) -> Message | None:
        """Wait for the end of the link; returns the last thing said."""
        assert self._reading is not None
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(self._reading, return_exceptions=True)
        last = None
        while not self.other.empty():
            last = self.other.get_nowait()
        return last

    def result_of(self, order: Received, outcome: str = "done", **fields: Any) -> Result:
        """The result of an order."""
        return msgspec.convert(
            {
                "order": order.body.id,
                "node": self.id,
                "verb": verb_of(order.body.order),
                "outcome": outcome,
                "order_sha256": envelope.sha256_of(order.payload),
                **fields,
            },
            Result,
        )

    def signed(self, result: Result, key: SigningKey | None = None) -> ResultSaid:
        """The result as it is said."""
        text = envelope.sign(envelope.RESULT_TYPE, msgspec.json.encode(result), key or self.identity)
        return ResultSaid(order=result.order, envelope=text.decode())

    async def finish(self, order: Received, outcome: str = "done", **fields: Any) -> ResultSaid:
        """Say the result of an order."""
        said = self.signed(self.result_of(order, outcome, **fields))
        await self.say(said)
        return said

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in ws:
            if frame.type is aiohttp.WSMsgType.BINARY:
                self.chunks.put_nowait(messages.unpack_chunk(frame.data))
                continue
            message = messages.decode(frame.data)
            if isinstance(message, OrderSent):
                await self._take(message)
            elif isinstance(message, ResultKept):
                if not message.order.startswith("l-"):
                    self.kept.put_nowait(message.order)
            else:
                self.other.put_nowait(message)
                if isinstance(message, Bye):
                    break

    async def _take(self, message: OrderSent) -> None:
        payload = envelope.verify(
            message.envelope.encode(), envelope.ORDER_TYPE, self.dispatch, limit=limits.ORDER_BYTES
        )
        order = Received(message.envelope, payload, envelope.decode_order(payload))
        if verb_of(order.body.order) not in READING:
            self.orders.put_nowait(order)
        elif not self.is_silent:
            await self.finish(order, facts=self.facts)


def with_byte_changed(text: str) -> str:
    """An envelope whose payload differs in one byte."""
    outer = msgspec.json.decode(text, type=envelope.Envelope)
    payload = bytearray(base64.b64decode(outer.payload))
    payload[len(payload) // 2] ^= 1
    changed = msgspec.structs.replace(outer, payload=base64.b64encode(payload).decode())
    return msgspec.json.encode(changed).decode()


def problem(code: str, says: str = "It did not work.", **fields: Any) -> dict[str, Any]:
    """A problem of a failed result."""
    built: dict[str, Any] = msgspec.to_builtins(Problem(code=code, says=says, **fields))
    return built
