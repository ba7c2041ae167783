"""Which agents may link: the public keys pinned in `keys/nodes/<node id>.json` by the supervisor.

Rule 1: the file decides, not the store; a node's record there is for reading. Rule 2: a node's id is
derived from its identity key, so a file under another name, or with another key, counts for nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta
from nacl.public import PublicKey
from nacl.signing import VerifyKey

from bot.engine.ids import derived
from bot.fleet.keys import Hex32, read_private, write_private
from bot.fleet.link import Link
from bot.fleet.records import NodeRecord, believable, decoded, encoded
from bot.fleet.refusals import KeysDamaged, NoSuchNode
from bot.store import Conflict, Kind, Store

_log = structlog.get_logger("fleet")


class _PinFile(msgspec.Struct, frozen=True, kw_only=True):
    identity: Hex32
    sealing: Hex32
    name: Annotated[str, Meta(max_length=80)] = ""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """The pinned keys of one node."""

    node: str
    identity: VerifyKey
    sealing: PublicKey
    name: str = ""

    @property
    def identity_hex(self) -> str:
        """Ed25519 public key in hex."""
        return bytes(self.identity).hex()

    @property
    def sealing_hex(self) -> str:
        """X25519 public key in hex."""
        return bytes(self.sealing).hex()


def node_id(identity: str) -> str:
    """The id of the node with this Ed25519 public key (hex)."""
    return derived("n", identity)


def write_pin(keys: Path, *, identity: str, sealing: str, name: str = "") -> str:
    """Pin a node's public keys (hex): from now on its agent may link. Returns the node's id."""
    directory = keys / "nodes"
    directory.mkdir(mode=0o700, exist_ok=True)
    node = node_id(identity)
    pin = msgspec.convert({"identity": identity, "sealing": sealing, "name": name}, _PinFile)
    write_private(directory / f"{node}.json", msgspec.json.encode(pin))
    return node


class Pins:
    """The pinned nodes, as of the last `read`."""

    def __init__(self, keys: Path) -> None:
        self._directory = keys / "nodes"
        self._pins: dict[str, Pin] = {}

    def read(self) -> None:
        """Read the files again. One that cannot be believed is logged and left out. Blocks briefly."""
        found: dict[str, Pin] = {}
        try:
            names = sorted(os.listdir(self._directory))
        except FileNotFoundError:
            names = []
        for name in names:
            if not name.endswith(".json") or name.startswith("."):
                continue
            try:
                pin = _pin_of(self._directory / name)
            except KeysDamaged as e:
                _log.error("pin.refused", file=name, why=e.sentence)
                continue
            found[pin.node] = pin
        self._pins = found

    def of(self, node: str) -> Pin:
        """The keys of a node. Raises NoSuchNode."""
        pin = self._pins.get(node)
        if pin is None:
            raise NoSuchNode(node=node[:80])
        return pin

    async def now(self, node: str, *, fresh: bool = False) -> Pin:
        """The same, after a look at the files when it is not known or must be `fresh`."""
        if fresh or node not in self._pins:
            await asyncio.to_thread(self.read)
        return self.of(node)

    def all(self) -> list[Pin]:
        """Every pinned node, in the order of their ids."""
        return [self._pins[node] for node in sorted(self._pins)]


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """A node as lists show it."""

    id: str
    name: str
    online: bool
    seen_ms: int = 0
    agent: str = ""
    verbs: tuple[str, ...] = ()


class NodeBook:
    """Node records: what was last known of each pinned node."""

    def __init__(self, store: Store, pins: Pins, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._pins = pins
        self._now_ms = now_ms

    async def met(self, link: Link, hostname: str = "") -> None:
        """A node linked (and said its machine's name). Raises NoSuchNode, store errors."""
        pin = self._pins.of(link.node)
        found = await self._store.get(Kind.NODE, link.node)
        known = decoded(found.body, NodeRecord) if found else None
        record = NodeRecord(
            id=link.node,
            name=(known.name if known else "") or pin.name or _printable(hostname),
            identity=pin.identity_hex,
            sealing=pin.sealing_hex,
            added_ms=known.added_ms if known else self._now_ms(),
            seen_ms=self._now_ms(),
            agent=_printable(link.agent),
            verbs=tuple(sorted(_printable(verb) for verb in link.verbs)),
        )
        try:
            await self._store.put(Kind.NODE, link.node, encoded(record), seen=found.version if found else 0)
        except Conflict:
            _log.info("node.met_twice", node=link.node)

    async def view(self, pin: Pin, link: Link | None) -> NodeView:
        """A node as lists show it; a record that was changed from outside is not used."""
        body = await believable(self._store, Kind.NODE, pin.node)
        record = decoded(body, NodeRecord) if body else None
        is_up = link is not None and link.is_up
        return NodeView(
            id=pin.node,
            name=(record.name if record else "") or pin.name or pin.node,
            online=is_up,
            seen_ms=self._now_ms() if is_up else record.seen_ms if record else 0,
            agent=record.agent if record else "",
            verbs=record.verbs if record else (),
        )


def _printable(text: str) -> str:
    """Text of a node without control and direction characters, short."""
    return "".join(c for c in text if c.isprintable())[:60].strip()


def _pin_of(path: Path) -> Pin:
    text = read_private(path)
    try:
        file = msgspec.json.decode(text or "", type=_PinFile)
        pin = Pin(
            node=node_id(file.identity),
            identity=VerifyKey(bytes.fromhex(file.identity)),
            sealing=PublicKey(bytes.fromhex(file.sealing)),
            name=file.name,
        )
    except (msgspec.MsgspecError, ValueError) as e:
        raise KeysDamaged(directory=path.parent, why=f"{path.name} is not whole", do="Pin it again.") from e
    if path.name != f"{pin.node}.json":
        why = f"{path.name} holds the keys of {pin.node}"
        raise KeysDamaged(directory=path.parent, why=why, do="Delete it, and pin the node again.")
    return pin
