"""Orders become bytes here, once, and results are believed here, or not.

Rule 1: the payload is built one time from the effect (all its times come from there), signed, stored with
the order and from then on only re-sent: nothing in here makes a second envelope for an id.
Rule 2: a result counts when the node's pinned identity key signed it and order, node, verb and the hash of
the order's payload are those of the stored order. Anything else is NotBelieved, which is for the log.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from nacl.signing import SigningKey, VerifyKey

from agent.orders import ImportImage, Order, Revision, envelope, limits
from agent.orders.envelope import Bad, OrderBody
from agent.orders.results import Result


class NotAnOrder(Exception):
    """The effect's order cannot be signed: it does not fit the vocabulary, or the size limit."""

    def __init__(self, code: str, says: str) -> None:
        super().__init__(says)
        self.code = code
        self.says = says


class NotBelieved(Exception):
    """A result that is dropped. `code` is for the log only."""

    def __init__(self, code: str, says: str) -> None:
        super().__init__(says)
        self.code = code
        self.says = says


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """A signed order: its envelope, the hash of its payload, and the order itself."""

    envelope: bytes
    sha256: str
    order: Order


def typed(order: dict[str, Any]) -> Order:
    """The order of a builtins form. Raises NotAnOrder."""
    try:
        result: Order = msgspec.convert(order, Order)
    except (msgspec.MsgspecError, RecursionError) as e:
        raise NotAnOrder("refused.form", f"This order does not fit its form: {e}") from e
    return result


def signed(
    *,
    id: str,
    order: Order,
    node: str,
    actor: str,
    session: str,
    not_before_ms: int,
    expires_ms: int,
    installation: str,
    epoch: int,
    key: SigningKey,
) -> Signed:
    """Build and sign one order's payload. Raises NotAnOrder when it is too large or malformed."""
    body = OrderBody(
        id=id,
        installation=installation,
        epoch=epoch,
        node=node,
        order=order,
        actor=actor,
        session=session,
        not_before_ms=not_before_ms,
        expires_ms=expires_ms,
    )
    payload = envelope.encode_order(body)
    if len(payload) > limits.ORDER_BYTES:
        raise NotAnOrder(
            "refused.form",
            f"This order has {len(payload):,} bytes; at most {limits.ORDER_BYTES:,} can be sent. "
            "Use fewer or shorter settings and secrets.",
        )
    try:
        envelope.decode_order(payload)  # the node is as strict: better refused here, with a sentence
    except Bad as e:
        raise NotAnOrder("refused.form", e.says) from e
    return Signed(
        envelope=envelope.sign(envelope.ORDER_TYPE, payload, key),
        sha256=envelope.sha256_of(payload),
        order=order,
    )


def believed(
    said: str, *, identity: VerifyKey, node: str, order: str, verb: str, order_sha256: str
) -> tuple[Result, bytes]:
    """The result in an envelope, and its payload, if it answers this very order. Raises NotBelieved."""
    keys = {envelope.key_id(bytes(identity)): identity}
    try:
        payload = envelope.verify(said.encode(), envelope.RESULT_TYPE, keys, limit=limits.RESULT_BYTES)
        result = envelope.decode_result(payload)
    except Bad as e:
        raise NotBelieved(e.code, e.says) from e
    except UnicodeEncodeError as e:
        raise NotBelieved("form", "The envelope is no text.") from e
    for name, is_, wanted in (
        ("order", result.order, order),
        ("node", result.node, node),
        ("verb", result.verb, verb),
        ("order_sha256", result.order_sha256, order_sha256),
    ):
        if is_ != wanted:
            raise NotBelieved(name, f"The result says {name} {is_[:80]!r}, the order {wanted!r}.")
    return result, payload


def blobs_of(order: Order) -> tuple[str, ...]:
    """The blobs that a node may fetch because of this order."""
    if isinstance(order, ImportImage):
        return (order.blob,)
    revision = getattr(order, "revision", None)
    image = revision.image if isinstance(revision, Revision) else getattr(order, "image", None)
    blob = getattr(image, "blob", None)
    return (blob,) if isinstance(blob, str) else ()


def body_in(signed_envelope: bytes) -> OrderBody:
    """What an envelope of ours says. Only for envelopes that this installation stored (and checked)."""
    return envelope.decode_order(payload_in(signed_envelope))


def payload_in(signed_envelope: bytes) -> bytes:
    """The payload bytes of an envelope that was verified before it was stored."""
    outer = msgspec.json.decode(signed_envelope, type=envelope.Envelope)
    return base64.b64decode(outer.payload, validate=True)
