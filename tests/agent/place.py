"""A node of the tests: keys, trust, journal and carrier of its own on the lab's engine, and the bot's pen."""

from __future__ import annotations

import base64
import ctypes
import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from nacl.public import PublicKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

from agent import keys
from agent.blobs import Blobs
from agent.carrier import Carrier
from agent.docker_engine import DockerEngine
from agent.journal import Journal
from agent.link.messages import Message, ProgressSaid, ResultSaid
from agent.node import Node, now_ms
from agent.nodefile import load
from agent.orders import (
    READING,
    ApplyDeployment,
    Gate,
    Order,
    Published,
    Revision,
    SealedValue,
    Setting,
    VolumeMount,
    limits,
    verb_of,
)
from agent.orders.envelope import (
    ORDER_TYPE,
    RESULT_TYPE,
    OrderBody,
    decode_result,
    encode_order,
    key_id,
    sign,
    verify,
)
from agent.orders.results import Result
from agent.orders.spec import ImagePin, Profile
from tests.lab.images import Archive

INSTALLATION = "i-test0test0test0t"
DISPATCH = SigningKey(b"d" * 32)
_CLONE_NEWNET = 0x40000000
_numbers = itertools.count(1)


@contextmanager
def in_network_of(netns: str) -> Iterator[None]:
    """Move this thread, and the threads it starts, into a network namespace for a while."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/var/run/netns/{netns}", os.O_RDONLY)
    try:
        assert libc.setns(there, _CLONE_NEWNET) == 0
        yield
    finally:
        assert libc.setns(home, _CLONE_NEWNET) == 0
        os.close(there)
        os.close(home)


def prepare(data: Path, docker_host: str, **node_file: Any) -> keys.NodeKeys:
    """Lay out the data directory of an agent: keys, trust, node.toml."""
    own = keys.ensure(data)
    trust = {"installation": INSTALLATION, "epoch": 1, "dispatch_public": bytes(DISPATCH.verify_key).hex()}
    (data / "keys/trust.json").write_bytes(msgspec.json.encode(trust))
    settings: dict[str, Any] = {
        "engine": docker_host,
        "registries": ["docker.io", "127.0.0.1:5000", "127.0.0.1:5001"],
        "secrets": str(data / "run"),
        "reserve_mib": 16,
        **node_file,
    }
    (data / "node.toml").write_text(
        "".join(f"{name} = {msgspec.json.encode(value).decode()}\n" for name, value in settings.items())
    )
    return own


def open_node(data: Path, point: Callable[[str], None] | None = None) -> Node:
    """Open a prepared node."""
    own = keys.ensure(data)
    file = load(data, {})
    more: dict[str, Any] = {"point": point} if point else {}
    return Node(
        data=data,
        keys=own,
        trust=keys.trust(data),
        file=file,
        journal=Journal(data / "journal.db"),
        engine=DockerEngine(file.engine),
        blobs=Blobs(data / "blobs", reserve=1024 * 1024),
        version="test",
        **more,
    )


def body(node: str, order: Order, **changes: Any) -> OrderBody:
    """An order's body as the bot builds it."""
    now = now_ms()
    lifetime = 1000 * (limits.LOOKUP_LIFETIME_S if verb_of(order) in READING else 3600)
    made = OrderBody(
        id=f"o-{next(_numbers):08d}{os.urandom(4).hex()}",
        installation=INSTALLATION,
        node=node,
        order=order,
        actor="p-test",
        session="s-test",
        not_before_ms=now,
        expires_ms=now + lifetime,
    )
    return msgspec.structs.replace(made, **changes)


def signed(what: OrderBody, key: SigningKey = DISPATCH) -> bytes:
    """Its envelope."""
    return sign(ORDER_TYPE, encode_order(what), key)


class Desk:
    """A node with its carrier, and what it told."""

    def __init__(self, data: Path, point: Callable[[str], None] | None = None) -> None:
        self.node = open_node(data, point)
        self.told: list[Message] = []
        self._came = threading.Condition()
        self.carrier = Carrier(self.node, self.tell)

    def tell(self, message: Message) -> None:
        with self._came:
            self.told.append(message)
            self._came.notify_all()

    def send(self, order: Order, **changes: Any) -> OrderBody:
        """Send an order; returns its body."""
        what = body(self.node.keys.node, order, **changes)
        self.carrier.receive(signed(what))
        return what

    def results(self, order: str = "") -> list[Result]:
        """Every result told so far, of one order or of all; the signatures are checked."""
        return [
            self.opened(m)
            for m in list(self.told)
            if isinstance(m, ResultSaid) and (not order or m.order == order)
        ]

    def opened(self, said: ResultSaid) -> Result:
        """The result in an envelope that the node signed."""
        public = bytes.fromhex(self.node.keys.identity)
        payload = verify(
            said.envelope.encode(),
            RESULT_TYPE,
            {key_id(public): VerifyKey(public)},
            limit=limits.RESULT_BYTES,
        )
        return decode_result(payload)

    def result(self, order: str, within_s: float = 60) -> Result:
        """The final result of an order."""
        end = time.monotonic() + within_s
        while True:
            with self._came:
                found = [r for r in self.results(order) if r.outcome != "unknown"]
                if found:
                    return found[-1]
                assert time.monotonic() < end, f"no result of {order} came"
                self._came.wait(0.5)

    def raw(self, order: str) -> str:
        """The payload of the last result of an order, as it was signed."""
        said = [m for m in self.told if isinstance(m, ResultSaid) and m.order == order][-1]
        return base64.b64decode(msgspec.json.decode(said.envelope)["payload"]).decode()

    def do(self, order: Order, within_s: float = 60, **changes: Any) -> Result:
        """Send an order and wait for its result."""
        return self.result(self.send(order, **changes).id, within_s)

    def progress(self, order: str) -> list[str]:
        """The steps that were said of an order, without repeats."""
        steps = [m.step for m in list(self.told) if isinstance(m, ProgressSaid) and m.order == order]
        return [step for step, _ in itertools.groupby(steps)]

    def give(self, archive: Archive) -> ImagePin:
        """Put an archive where fetched blobs lie; returns the pin that names it."""
        (self.node.data / "blobs" / archive.digest).write_bytes(archive.data)
        return ImagePin(reference=archive.name, blob=archive.digest, blob_bytes=len(archive.data))

    def sealed(self, value: bytes, node: str = "") -> SealedValue:
        """A secret sealed for this node."""
        box = SealedBox(PublicKey(bytes.fromhex(self.node.keys.sealing)))
        text = base64.b64encode(box.encrypt(value)).decode()
        return SealedValue(node=node or self.node.keys.node, for_node=text, for_recovery=text)

    def close(self) -> None:
        """End it as SIGTERM would, without the process."""
        self.node.stopping.set()
        self.carrier.close()
        self.node.journal.close()
        self.node.engine.close()


def revision(pin: ImagePin, number: int = 1, *, port: int | None = None, **changes: Any) -> Revision:
    """A revision with little in it."""
    ports = (Published(container_port=8080, node_port=port),) if port else ()
    made = Revision(number=number, image=pin, memory_mib=32, ports=ports)
    return msgspec.structs.replace(made, **changes)


def deployment(name: str, what: Revision, **changes: Any) -> ApplyDeployment:
    """An order to put a revision in place; the deployment's id is made from its name."""
    id = "d-" + (name.replace("-", "") + "0" * 16)[:16]
    made = ApplyDeployment(deployment=id, name=name, revision=what, gate=Gate(within_s=10, settle_s=1))
    return msgspec.structs.replace(made, **changes)


__all__ = ["Desk", "Profile", "Setting", "VolumeMount", "body", "deployment", "open_node", "prepare"]
