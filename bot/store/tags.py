"""The keyed tag of every stored record: what makes a store that is not trusted usable.

A stamped value is ``01 | tag 16 | version 8 | expires_ms 8 | body`` (big-endian). The tag is BLAKE2b with the
installation's tag key over the length-prefixed name of the record and everything after the tag, so that no
record can be changed, moved to another name, given another version or a longer life. What it cannot show:
that a record was put back from an earlier time; ids are derived, so that this only repeats known ids.
Rule 1: nothing read from the store is used before `check`. Rule 2: a time of expiry is checked by the reader
too, the store's own expiry is only tidiness. `library.lua` reads the version at byte 18 and must change with
this layout. Transcript entries, outcomes and progress are stamped as well: people act on what they read.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import NamedTuple

from bot.store.errors import Tampered

FORMAT = b"\x01"
_NUMBERS = struct.Struct(">QQ")
_LENGTH = struct.Struct(">I")
_TAG = 16
HEAD = 1 + _TAG + _NUMBERS.size


class Stamped(NamedTuple):
    """A checked value."""

    version: int
    expires_ms: int  # 0 = never
    body: bytes


class Tags:
    """Stamps what is written and checks what is read, with the tag key."""

    def __init__(self, key: bytes) -> None:
        if len(key) != 32:
            raise ValueError(f"the tag key has {len(key)} bytes and needs 32")
        self._base = hashlib.blake2b(key=key, digest_size=_TAG, person=b"hercules-store-1")

    def stamp(self, name: str, body: bytes, *, version: int = 0, expires_ms: int = 0) -> bytes:
        """The bytes to store under `name`."""
        rest = _NUMBERS.pack(version, expires_ms) + body
        return FORMAT + self._tag(name, rest) + rest

    def check(self, name: str, value: bytes) -> Stamped:
        """What was stamped under `name`. Raises Tampered."""
        if len(value) < HEAD or value[:1] != FORMAT:
            raise Tampered(key=name, why="it has no tag")
        rest = value[1 + _TAG :]
        if not hmac.compare_digest(value[1 : 1 + _TAG], self._tag(name, rest)):
            raise Tampered(key=name, why="its tag does not fit")
        version, expires_ms = _NUMBERS.unpack_from(rest)
        return Stamped(version, expires_ms, rest[_NUMBERS.size :])

    def _tag(self, name: str, rest: bytes) -> bytes:
        raw = name.encode()
        h = self._base.copy()
        h.update(_LENGTH.pack(len(raw)) + raw + rest)
        return h.digest()
