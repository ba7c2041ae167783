"""Derived ids: the same cause gives the same id, so that "twice" cannot happen.

No randomness below the runtime: a repeated event yields the same order and effect ids, and the node's
journal answers instead of acting again.
"""

from __future__ import annotations

import hashlib

ALPHABET = "0123456789abcdefghijklmnopqrstuv"  # base 32, as in RFC 4648 "extended hex", lower case
_PAIRS = [low + high for high in ALPHABET for low in ALPHABET]


def derived(kind: str, *parts: str | int, length: int = 16) -> str:
    """``kind-xxxxxxxxxxxxxxxx``: `length` base-32 digits (5 bits each) of a BLAKE2b over the parts.

    Parts are length-prefixed, so that ("ab", "c") and ("a", "bc") differ.
    """
    raws = [str(part).encode() for part in (kind, *parts)]
    prefixed = b"".join([len(raw).to_bytes(4, "big") + raw for raw in raws])
    digest = hashlib.blake2b(prefixed, digest_size=32, person=b"hercules-id").digest()
    number = int.from_bytes(digest, "big") & ((1 << 5 * length) - 1)
    pairs = []  # two digits at a time, the lowest first: an engine derives several ids per event
    for _ in range((length + 1) // 2):
        pairs.append(_PAIRS[number & 1023])
        number >>= 10
    return f"{kind}-{''.join(pairs)[:length]}"
