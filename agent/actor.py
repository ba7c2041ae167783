"""The process that acts: it holds keys, journal and engine, hears only messages of the link, through a pipe.

Rule 1: nothing is taken before the bot's challenge was answered. Rule 2: an unknown or misplaced message
drops the link. Rule 3: the thread that reads the pipe never waits for Docker: orders go to the carrier's
threads, messages out to a thread of their own. Rule 4: either process ending ends the other.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
from types import FrameType

import msgspec
import structlog

from agent import table
from agent.carrier import Carrier
from agent.keeper import Keeper
from agent.link.messages import (
    PROTOCOL,
    BlobGone,
    Bye,
    Challenge,
    Hello,
    Message,
    OrderSent,
    ProgressSaid,
    ResultKept,
    Welcome,
    decode,
    encode,
    hello_bytes,
)
from agent.node import Node
from agent.pipe import PipeBroken, pack, read

log = structlog.get_logger()

WAITING = 500  # messages that wait for the link before progress is dropped


class SupervisorAsked(Exception):
    """SIGTERM or SIGINT came."""


class Actor:
    """The acting side of one agent."""

    def __init__(self, node: Node, pipe: socket.socket) -> None:
        self.node = node
        self._pipe = pipe
        self._out: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._up = False  # welcomed
        self._greeted = False  # the challenge was answered
        node.blobs.send = self.tell
        self.carrier = Carrier(node, self.tell)
        self.keeper = Keeper(node, self.carrier, self.tell)

    def run(self) -> None:
        """Work until the pipe breaks (PipeBroken) or the supervisor asks (SupervisorAsked)."""
        threading.Thread(target=self._write, name="pipe-out", daemon=True).start()
        self.carrier.resume()
        self.keeper.start()
        while True:
            kind, body = read(self._pipe)
            if kind == "U":
                self._up = self._greeted = False
            elif kind == "D":
                self._up = self._greeted = False
                log.info("link.down")
            else:
                self._hear(kind == "B", body)

    def tell(self, message: Message) -> None:
        """Say a message to the bot if the link is up; never waits. What must not get lost is said again."""
        if not self._up:
            return
        if isinstance(message, ProgressSaid) and self._out.qsize() > WAITING:
            return
        self._out.put(pack("T", encode(message).encode()))

    def _hear(self, binary: bool, body: bytes) -> None:
        try:
            if binary:
                if not self._up:
                    raise ValueError("a chunk before the welcome")
                self.node.blobs.chunk(body)
            else:
                self._act_on(decode(body))
        except (msgspec.MsgspecError, ValueError, RecursionError) as e:
            log.warning("link.dropped", says=str(e)[:200])
            self._drop("that is no message of this protocol")

    def _act_on(self, message: Message) -> None:
        match message:
            case Challenge() if not self._greeted:
                self._greet(message)
            case Welcome() if self._greeted and not self._up:
                log.info("link.up", bot=message.bot)
                self._up = True
                self.node.blobs.linked()
                self.carrier.linked()
                self.keeper.say()
            case Bye():
                log.info("link.bye", reason=message.reason)
            case OrderSent() if self._up:
                self.carrier.receive(message.envelope.encode())
            case ResultKept() if self._up:
                self.carrier.kept(message.order)
            case BlobGone() if self._up:
                self.node.blobs.gone(message)
            case _:
                raise ValueError(f"{type(message).__name__} came when it could not")

    def _greet(self, challenge: Challenge) -> None:
        node = self.node
        if challenge.installation != node.trust.installation:
            raise ValueError("the bot is of another installation")
        if challenge.protocol != PROTOCOL:
            raise ValueError(f"the bot speaks protocol {challenge.protocol}, this agent {PROTOCOL}")
        signed = hello_bytes(
            installation=challenge.installation,
            nonce=challenge.nonce,
            node=node.keys.node,
            sealing=node.keys.sealing,
        )
        self._greeted = True
        hello = Hello(
            protocol=PROTOCOL,
            node=node.keys.node,
            identity=node.keys.identity,
            sealing=node.keys.sealing,
            agent=node.version,
            verbs=table.names(),
            signature=node.keys.signing_key.sign(signed).signature.hex(),
        )
        self._out.put(pack("T", encode(hello).encode()))

    def _drop(self, reason: str) -> None:
        self._up = self._greeted = False
        self._out.put(pack("T", encode(Bye(reason=reason)).encode()))
        self._out.put(pack("D"))

    def _write(self) -> None:
        while True:
            frame = self._out.get()
            try:
                self._pipe.sendall(frame)
            except OSError:
                return  # the reading side notices that the speaker is gone and ends the process


def act(node: Node, pipe: socket.socket) -> int:
    """Be the actor until something ends it; returns the exit code. `node.stopping` is set then."""

    def asked(number: int, frame: FrameType | None) -> None:
        raise SupervisorAsked

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, asked)
    actor = Actor(node, pipe)
    log.info("agent.started", node=node.keys.node, installation=node.trust.installation, pid=os.getpid())
    code = 0
    try:
        actor.run()
    except SupervisorAsked:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        log.info("agent.stopping", under_way=actor.carrier.busy)
    except PipeBroken as e:
        log.error("agent.speaker_gone", says=str(e))
        code = 3
    node.stopping.set()
    return code
