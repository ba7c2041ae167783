"""What the fleet keeps in the store. Every record carries the store's tag; unknown fields are accepted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal, TypeVar

import msgspec

from agent.orders import Revision
from agent.orders.results import Result
from agent.orders.spec import Gate
from bot.store import Kind, Store, Tampered

T = TypeVar("T")
PAGE = 500


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A signed order of a session. `envelope` is sent and sent again byte for byte.

    `handed_ms` is written before the first sending: an order without it was never on a wire, so it may be
    withdrawn or expire; one with it is asked about until its node answers. `result` is the node's envelope
    as it came, `own_result` what the fleet says where no node was asked (unknown verb, name held …).
    """

    id: str
    session: str
    node: str
    verb: str
    actor: str
    says: str
    envelope: bytes
    sha256: str
    expires_ms: int
    signed_ms: int
    blobs: tuple[str, ...] = ()
    deployment: str = ""
    handed_ms: int = 0
    withdrawn_ms: int = 0
    finished_ms: int = 0
    outcome: str = ""
    result: bytes = b""
    own_result: Result | None = None

    @property
    def is_settled(self) -> bool:
        """True when nothing more is to come: withdrawn, or answered by other than "unknown yet"."""
        return bool(self.withdrawn_ms) or self.outcome not in ("", "unknown")


class NodeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A node as last met. Its keys are here for reading; who may link is decided by the pinned files."""

    id: str
    name: str
    identity: str
    sealing: str
    added_ms: int
    seen_ms: int = 0
    agent: str = ""
    verbs: tuple[str, ...] = ()


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One revision put in place, or tried: who, when, by which order of which session, and how it ended."""

    order: str
    verb: str
    session: str
    actor: str
    at_ms: int
    revision: int
    outcome: str = ""  # "" while under way
    says: str = ""  # the problem's sentence
    ended_ms: int = 0


class DeploymentRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What should run, as a line of revisions. Sealed secrets stay sealed in `revision`.

    `revision` is the one that runs (the last applied with success), `trying` one under way. `number` is the
    highest ever used. A removed deployment keeps its record and frees its name.
    """

    id: str
    name: str
    node: str
    state: Literal["applying", "applied", "failed", "removing", "removed"]
    revision: Revision | None = None
    trying: Revision | None = None
    gate: Gate = Gate()
    number: int = 0
    leftover: bool = False  # a failed first revision left something on its node
    actor: str
    session: str
    made_ms: int
    changed_ms: int
    history: tuple[Change, ...] = ()

    @property
    def is_alive(self) -> bool:
        """True while it holds its name."""
        failed = self.state == "failed" and self.revision is None and not self.leftover
        return self.state != "removed" and not failed


class NameRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Which deployment holds a name."""

    deployment: str


def encoded(record: msgspec.Struct) -> bytes:
    """The bytes that are stored."""
    return msgspec.json.encode(record)


def decoded(body: bytes, kind: type[T]) -> T:
    """A record of stored (and checked) bytes."""
    return msgspec.json.decode(body, type=kind)


async def every(store: Store, kind: Kind) -> AsyncIterator[bytes]:
    """The bodies of all records of a kind; those changed from outside are left out by the store."""
    after = ""
    while True:
        page = await store.all(kind, after=after, limit=PAGE)
        for record in page.items:
            yield record.body
        if not page.after:
            return
        after = page.after


async def believable(store: Store, kind: Kind, id: str) -> bytes | None:
    """A record's bytes; None when there is none or it was changed from outside (the store alarms)."""
    try:
        found = await store.get(kind, id)
    except Tampered:
        return None
    return None if found is None else found.body


def builtins(value: Any) -> Any:
    """Plain data of structs, for the names of a flow."""
    return msgspec.to_builtins(value)
