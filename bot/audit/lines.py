"""The form of the audit: segment files of JSON lines, each line chained to the one before it.

Rule 1: a line is the JSON of `Line` in field order and one newline; `before` is the SHA-256 of the line
before it, newline left out, and of the first line of all `FIRST`. Rule 2: `n` counts from 1 without a gap
through all segments. Rule 3: a line that ends in a newline is never written again. Rule 4: an id stands
in the audit once. Segments are `audit-00000001.jsonl`, named by the `n` of their first line.

The Merkle tree and its signed checkpoints come over these same lines: a leaf is a line's bytes. Nothing
here has to change for them. A change of the form also needs docs/runtime.md, "The audit".
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

FIRST = "0" * 64  # `before` of the very first line
SEGMENT_BYTES = 16 * 1024**2  # small enough to read whole when its last lines are looked at
LINE_BYTES = 64 * 1024  # an entry names things and digests; what is larger is no entry


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One entry. `what` is a stable name (session.opened, order.sent …), `details` never holds a secret."""

    n: int
    id: str
    at_ms: int
    actor: str
    what: str
    session: str = ""
    details: dict[str, Any] = {}
    before: str


def encode(line: Line) -> bytes:
    """The bytes of a line, without its newline."""
    return msgspec.json.encode(line)


def decode(raw: bytes) -> Line:
    """The line of these bytes. Raises msgspec.MsgspecError."""
    return msgspec.json.decode(raw, type=Line)


def chained(raw: bytes) -> str:
    """What the next line's `before` has to be."""
    return hashlib.sha256(raw).hexdigest()


def segment_name(first_n: int) -> str:
    """File name of the segment that begins with line `first_n`."""
    return f"audit-{first_n:08d}.jsonl"


def segments(folder: Path) -> list[Path]:
    """The segments of an audit folder, in order."""
    return sorted(folder.glob("audit-*.jsonl"))
