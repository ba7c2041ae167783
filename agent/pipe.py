"""The pipe between speaker and actor: a socket pair with length-prefixed frames.

A frame is 4 bytes big-endian length of what follows, 1 byte kind, then the body. Kinds: T a text message of
the link, B a binary one, U the link is up (speaker to actor), D it is down; from the actor, D asks to drop
it. Nothing else passes: neither side can make the other do more than say or hear a message of the link.
"""

from __future__ import annotations

import socket
from typing import Literal, cast

Kind = Literal["T", "B", "U", "D"]
KINDS = frozenset("TBUD")
FRAME_BYTES = 1024 * 1024  # larger than any message of the link


class PipeBroken(Exception):
    """The other side is gone, or speaks nonsense."""


def pack(kind: Kind, body: bytes = b"") -> bytes:
    """The bytes of a frame."""
    return (len(body) + 1).to_bytes(4, "big") + kind.encode() + body


def head(prefix: bytes) -> int:
    """Length of what follows a frame's first four bytes. Raises PipeBroken."""
    length = int.from_bytes(prefix, "big")
    if not 1 <= length <= FRAME_BYTES:
        raise PipeBroken(f"a frame of {length} bytes")
    return length


def unpack(rest: bytes) -> tuple[Kind, bytes]:
    """Kind and body of what follows the length. Raises PipeBroken."""
    kind = rest[:1].decode(errors="replace")
    if kind not in KINDS:
        raise PipeBroken(f"a frame of kind {kind!r}")
    return cast(Kind, kind), rest[1:]


def read(pipe: socket.socket) -> tuple[Kind, bytes]:
    """The next frame; waits for it. Raises PipeBroken."""
    return unpack(_exactly(pipe, head(_exactly(pipe, 4))))


def _exactly(pipe: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        try:
            part = pipe.recv(min(count, 65_536))
        except OSError as e:
            raise PipeBroken(f"the pipe broke: {e.strerror}") from e
        if not part:
            raise PipeBroken("the other process has ended")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
