"""What stands between the link and the node: an envelope is accepted, known already, or refused.

The order of the checks is fixed (docs/orders.md): size and form, signature over the received bytes, then
installation, node and epoch, then the journal (a known id with the same bytes is answered whatever clock
and rules say now), and only for a new order: times, argument types, the node file, conditions. Nothing has
an effect before all of them passed. Policy documents and approvals come between journal and times later.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import msgspec

from agent import table
from agent.journal import OrderRow
from agent.node import Node
from agent.orders import READING, limits, verb_of
from agent.orders.envelope import (
    ORDER_TYPE,
    Bad,
    Envelope,
    OrderBody,
    decode_order,
    sha256_of,
    verify,
)
from agent.problems import Refused

_CODES = {"size": "size", "signature": "signature"}  # every other fault of an envelope is one of form
SKEW_MS = 120_000  # how far the bot's clock may be ahead of the node's


@dataclass(frozen=True, slots=True)
class Accepted:
    """A new order that passed every check."""

    body: OrderBody
    payload: bytes
    sha256: str


@dataclass(frozen=True, slots=True)
class Known:
    """The journal has this very order."""

    row: OrderRow


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A refused envelope. `order` is the id it claims, "" when it has none or another order has it."""

    order: str
    verb: str
    sha256: str
    why: Refused


class _HeadOrder(msgspec.Struct, frozen=True):
    verb: str


class _Head(msgspec.Struct, frozen=True):
    """The part of an order that is read to answer one that cannot be read wholly."""

    id: str
    order: _HeadOrder
    node: str = ""
    installation: str = ""
    epoch: int = 0


def examine(envelope: bytes, node: Node, now: int) -> Accepted | Known | NotTaken:
    """Check one envelope. Raises nothing: what is wrong with it is in NotTaken."""
    try:
        payload = verify(envelope, ORDER_TYPE, node.trust.dispatch, limit=limits.ORDER_BYTES)
    except Bad as e:
        return _unverified(envelope, node, e)
    sha256, head = sha256_of(payload), _head(payload)
    try:
        if _depth(payload) > limits.ORDER_DEPTH:
            raise Refused("form", "The order is nested too deeply.")
        if head is None:
            decode_order(payload)  # says what is wrong
            raise Refused("form", "The order is not well formed.")
        _for_us(head, node)
        row = node.journal.order(head.id)
        if row is not None and row.sha256 == sha256:
            return Known(row)
        if row is not None:
            raise Refused("reused_id", "Another order has had this id.")
        if head.order.verb not in table.names():
            raise Refused("unknown_verb", f"This agent does not know that yet ({head.order.verb[:60]}).")
        body = decode_order(payload)
        _in_time(body, node, now)
        verb = table.verb_for(body.order)
        if verb.check is not None:
            verb.check(body.order, node.file)
        if body.conditions or body.plan is not None or body.place is not None:
            raise Refused("condition", "The order rests on conditions that this agent cannot check.")
    except Bad as e:
        return NotTaken(head.id if head else "", head.order.verb if head else "", sha256, _refused(e))
    except Refused as e:
        return NotTaken(head.id if head else "", head.order.verb if head else "", sha256, e)
    node.journal.raise_time_floor(body.not_before_ms)
    return Accepted(body, payload, sha256)


def _for_us(head: _Head, node: Node) -> None:
    if head.installation != node.trust.installation:
        raise Refused("installation", "The order is of another installation.")
    if head.node != node.keys.node:
        raise Refused("node", "The order is for another node.")
    if head.epoch != node.trust.epoch:
        raise Refused("epoch", "The order is of another epoch of the bot.")


def _in_time(body: OrderBody, node: Node, now: int) -> None:
    verb = table.verb_for(body.order)
    now = max(now, node.journal.time_floor - SKEW_MS)  # a clock set back makes nothing young again
    if body.expires_ms <= now:
        raise Refused("expired", "The order has expired.")
    if body.not_before_ms > now + SKEW_MS:
        raise Refused("not_yet", "The order is not valid yet.")
    if body.expires_ms - body.not_before_ms > verb.lifetime_s * 1000:
        raise Refused("lifetime", "The order is valid for longer than an order of its kind may be.")
    if verb_of(body.order) not in READING and body.expires_ms <= node.journal.purged_until:
        raise Refused("expired", "The order is older than what this node remembers.")


def _unverified(envelope: bytes, node: Node, e: Bad) -> NotTaken:
    """Nothing in it is believed; the id it claims is answered only when no other order has it."""
    try:
        payload = base64.b64decode(msgspec.json.decode(envelope, type=Envelope).payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return NotTaken("", "", "", _refused(e))
    head = _head(payload)
    if head is None or node.journal.order(head.id) is not None:
        return NotTaken("", "", sha256_of(payload), _refused(e))
    return NotTaken(head.id, head.order.verb, sha256_of(payload), _refused(e))


def _refused(e: Bad) -> Refused:
    return Refused(_CODES.get(e.code, "form"), e.says)


def _head(payload: bytes) -> _Head | None:
    try:
        head = msgspec.json.decode(payload, type=_Head)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return head if 0 < len(head.id) <= 80 and len(head.order.verb) <= 80 else None


def _depth(payload: bytes) -> int:
    """How deep the brackets of JSON text nest, those inside strings left out."""
    deepest = depth = 0
    quoted = escaped = False
    for byte in payload:
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = byte == 0x5C, byte != 0x22
        elif byte == 0x22:
            quoted = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest
