"""Signed envelopes: DSSE (https://github.com/secure-systems-lab/dsse) around strict JSON.

Rule 1: sign `PAE(type, payload)`; parse the very bytes that were verified.
Rule 2: the payload is canonical: bytes that differ from their own re-encoding are refused. This also
refuses duplicate keys, which msgspec would take (the last wins), and floats written another way.
Rule 3: no detail of a refused signature is given away; `Bad.code` is for the log.
The order body's field order is the order of declaration; docs/protocol.md gives the byte form.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from agent.orders import limits
from agent.orders.results import Result
from agent.orders.verbs import Order

ORDER_TYPE = "application/vnd.hercules.order+json"
RESULT_TYPE = "application/vnd.hercules.result+json"

Id = Annotated[str, Meta(pattern=limits.exact(r"^[a-z]{1,3}-[0-9a-z]{8,64}$"))]
T = TypeVar("T")


class Bad(Exception):
    """An envelope that is not acted on. `code` is one of form, size, type, signature, canonical."""

    def __init__(self, code: str, says: str) -> None:
        super().__init__(says)
        self.code = code
        self.says = says


class OrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is signed. Built once from the effect, kept with it and re-sent byte for byte.

    Times are Unix milliseconds. `installation` and `epoch` keep orders of another installation or of
    before a restore out. `actor` and `session` say on whose behalf. `conditions`, `plan` and `place`
    are for approvals of a later release; now empty.
    """

    v: Literal[1] = 1
    id: Id
    installation: Id
    epoch: Annotated[int, Meta(ge=1)] = 1
    node: Id
    order: Order
    actor: Annotated[str, Meta(max_length=80)]
    session: Annotated[str, Meta(max_length=80)]
    conditions: tuple[str, ...] = ()
    not_before_ms: Annotated[int, Meta(ge=0)]
    expires_ms: Annotated[int, Meta(ge=0)]
    plan: str | None = None
    place: int | None = None


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One signature: `keyid` is `key_id(public)`, `sig` base64 of the 64 bytes."""

    keyid: Annotated[str, Meta(pattern=limits.exact(r"^[0-9a-f]{32}$"))]
    sig: Annotated[str, Meta(min_length=88, max_length=88)]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """DSSE envelope as JSON: base64 payload, its type, one to eight signatures."""

    payload: Annotated[str, Meta(max_length=limits.ORDER_BYTES * 2)]
    payloadType: Annotated[str, Meta(max_length=100)]  # name given by DSSE
    signatures: Annotated[tuple[Signature, ...], Meta(min_length=1, max_length=8)]


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE v1 pre-authentication encoding (protocol.md of the specification)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(public: bytes) -> str:
    """Name of an Ed25519 public key: the first 16 bytes of its SHA-256, in hex."""
    return hashlib.sha256(public).hexdigest()[:32]


def sha256_of(payload: bytes) -> str:
    """SHA-256 of payload bytes, in hex."""
    return hashlib.sha256(payload).hexdigest()


def sign(payload_type: str, payload: bytes, key: SigningKey) -> bytes:
    """The bytes of an envelope over `payload`, with one signature."""
    sig = key.sign(pae(payload_type, payload)).signature
    return msgspec.json.encode(
        Envelope(
            payload=base64.b64encode(payload).decode(),
            payloadType=payload_type,
            signatures=(Signature(keyid=key_id(bytes(key.verify_key)), sig=base64.b64encode(sig).decode()),),
        )
    )


def verify(envelope: bytes, payload_type: str, keys: dict[str, VerifyKey], *, limit: int) -> bytes:
    """The payload bytes, if a key of `keys` (by key id) signed them.

    Raises Bad. Every signature present must be by a known key and hold; so a second, wrong one is
    refused rather than overlooked.
    """
    if len(envelope) > limit * 2:
        raise Bad("size", "The envelope is larger than the limit.")
    try:
        outer = msgspec.json.decode(envelope, type=Envelope)
        payload = base64.b64decode(outer.payload, validate=True)
        signatures = [(s.keyid, base64.b64decode(s.sig, validate=True)) for s in outer.signatures]
    except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError) as e:
        raise Bad("form", "The envelope is not well formed.") from e
    if outer.payloadType != payload_type:
        raise Bad("type", f"The envelope holds {outer.payloadType!r}, not {payload_type!r}.")
    if len(payload) > limit:
        raise Bad("size", "The payload is larger than the limit.")
    signed = pae(outer.payloadType, payload)
    if len({keyid for keyid, _ in signatures}) != len(signatures):
        raise Bad("signature", "The same key signed twice.")
    for keyid, sig in signatures:
        key = keys.get(keyid)
        if key is None:
            raise Bad("signature", "The envelope is signed by an unknown key.")
        try:
            key.verify(signed, sig)
        except (BadSignatureError, ValueError) as e:
            raise Bad("signature", "A signature does not hold.") from e
    return payload


def encode_order(body: OrderBody) -> bytes:
    """Canonical payload bytes of an order."""
    return msgspec.json.encode(body)


def decode_order(payload: bytes) -> OrderBody:
    """Parse verified payload bytes strictly. Raises Bad("form") or Bad("canonical")."""
    return _strict(payload, OrderBody)


def decode_result(payload: bytes) -> Result:
    """Parse verified result bytes; unknown fields are accepted. Raises Bad("form")."""
    try:
        return msgspec.json.decode(payload, type=Result)
    except (msgspec.MsgspecError, RecursionError, ValueError) as e:
        raise Bad("form", "The result is not well formed.") from e


def _strict(payload: bytes, kind: type[T]) -> T:
    try:
        body = msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError) as e:
        raise Bad("form", f"The order is not well formed: {e}") from e
    if msgspec.json.encode(body) != payload:
        raise Bad("canonical", "The order's bytes differ from their canonical form.")
    return body
