"""Messages of the link, one per WebSocket frame: text frames hold JSON messages, binary frames chunks.

Rules. 1: the first message is the bot's `Challenge`, then the agent's `Hello`, then `Welcome` or `Bye`.
2: nothing acts before `Welcome`. 3: an order travels as the envelope's bytes and is answered by
`ProgressSaid` any number of times and `ResultSaid` until the bot sends `ResultKept`. 4: whoever gets a
message it does not know closes the link. 5: blobs are asked for by the agent (`BlobWanted`, with an
offset and credits) and come as binary frames: 32 bytes SHA-256, 8 bytes big-endian offset, data; the
agent grants more with `BlobCredit`; `BlobGone` says that the bot cannot send it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from agent.orders import limits

PROTOCOL = 1
PATH = "/agent"
SUBPROTOCOL = "hercules.agent.v1"
HELLO_CONTEXT = b"hercules hello v1\n"
PING_S = 10  # keep-alive of the WebSocket, both ways

Text = Annotated[str, Meta(max_length=500)]


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="m", kw_only=True):
    pass


class Challenge(_Message, tag="challenge", frozen=True):
    """Bot to agent: sign this. `nonce` is 32 random bytes in hex."""

    protocol: int
    installation: str
    nonce: Annotated[str, Meta(pattern=limits.exact(r"^[0-9a-f]{64}$"))]


class Hello(_Message, tag="hello", frozen=True):
    """Agent to bot: who I am and what I know.

    `signature` (hex) is by the node's identity key over `hello_bytes(...)`. `verbs` are the orders this
    agent can carry out; the bot sends no others.
    """

    protocol: int
    node: str
    identity: Annotated[str, Meta(pattern=limits.exact(r"^[0-9a-f]{64}$"))]  # Ed25519 public key
    sealing: Annotated[str, Meta(pattern=limits.exact(r"^[0-9a-f]{64}$"))]  # X25519 public key
    agent: str  # version
    verbs: Annotated[tuple[str, ...], Meta(max_length=100)]
    signature: Annotated[str, Meta(pattern=limits.exact(r"^[0-9a-f]{128}$"))]


class Welcome(_Message, tag="welcome", frozen=True):
    """Bot to agent: the link is up."""

    bot: str


class Bye(_Message, tag="bye", frozen=True):
    """Either way, before closing."""

    reason: Text


class OrderSent(_Message, tag="order", frozen=True):
    """Bot to agent: carry this out. `envelope` is the DSSE envelope's JSON text."""

    envelope: Annotated[str, Meta(max_length=limits.ORDER_BYTES * 2)]


class ProgressSaid(_Message, tag="progress", frozen=True):
    """Agent to bot: how far an order is (JSON of `agent.orders.results.Progress`). May be lost."""

    order: str
    step: str
    says: Text
    done: int = 0
    total: int = 0
    unit: str = ""
    at_ms: int = 0


class ResultSaid(_Message, tag="result", frozen=True):
    """Agent to bot: the signed result. Said again after a reconnect until it is kept."""

    order: str
    envelope: Annotated[str, Meta(max_length=limits.RESULT_BYTES * 2)]


class ResultKept(_Message, tag="kept", frozen=True):
    """Bot to agent: the result of this order is committed; no need to say it again."""

    order: str


class BlobWanted(_Message, tag="blob-wanted", frozen=True):
    """Agent to bot: send me this blob from `offset`, at most `credits` chunks before I grant more."""

    blob: Annotated[str, Meta(pattern=limits.exact(limits.SHA256_PATTERN))]
    offset: Annotated[int, Meta(ge=0)] = 0
    credits: Annotated[int, Meta(ge=1, le=limits.BLOB_CREDITS)] = limits.BLOB_CREDITS


class BlobCredit(_Message, tag="blob-credit", frozen=True):
    """Agent to bot: `credits` more chunks may come."""

    blob: Annotated[str, Meta(pattern=limits.exact(limits.SHA256_PATTERN))]
    credits: Annotated[int, Meta(ge=1, le=limits.BLOB_CREDITS)]


class BlobGone(_Message, tag="blob-gone", frozen=True):
    """Bot to agent: I cannot send this blob, and why."""

    blob: Annotated[str, Meta(pattern=limits.exact(limits.SHA256_PATTERN))]
    reason: Text


class DeploymentsSaid(_Message, tag="deployments", frozen=True):
    """Agent to bot, unasked: what runs here changed (JSON of DeploymentFact list). May be lost."""

    facts: str


Message = (
    Challenge
    | Hello
    | Welcome
    | Bye
    | OrderSent
    | ProgressSaid
    | ResultSaid
    | ResultKept
    | BlobWanted
    | BlobCredit
    | BlobGone
    | DeploymentsSaid
)

_decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)


def decode(text: str | bytes) -> Message:
    """One message of a text frame. Raises msgspec.MsgspecError for anything else."""
    return _decoder.decode(text)


def encode(message: Message) -> str:
    """The text frame of a message."""
    return msgspec.json.encode(message).decode()


def hello_bytes(*, installation: str, nonce: str, node: str, sealing: str) -> bytes:
    """What the node's identity key signs to say hello: bound to installation, challenge and keys."""
    return HELLO_CONTEXT + "\n".join((installation, nonce, node, sealing)).encode()


def pack_chunk(blob: str, offset: int, data: bytes) -> bytes:
    """A binary frame of a blob."""
    return bytes.fromhex(blob) + offset.to_bytes(8, "big") + data


def unpack_chunk(frame: bytes) -> tuple[str, int, bytes]:
    """Blob (hex), offset and data of a binary frame. Raises ValueError when it is too short or long."""
    if not 40 < len(frame) <= 40 + limits.CHUNK_BYTES:
        raise ValueError("a blob chunk has 41 to 48,040 bytes")
    return frame[:32].hex(), int.from_bytes(frame[32:40], "big"), frame[40:]
