"""Derived ids: the same cause gives the same id, so that "twice" cannot happen.

No randomness below the runtime: a repeated event yields the same order and effect ids, and the node's
journal answers instead of acting again.
"""

from __future__ import annotations

import hashlib

ALPHABET = "0123456789abcdefghijklmnopqrstuv"  # base 32, as in RFC 4648 "extended hex", lower case


def derived(kind: str, *parts: str | int, length: int = 16) -> str:
    """``kind-xxxxxxxxxxxxxxxx``: `length` base-32 digits (5 bits each) of a BLAKE2b over the parts.

    Parts are length-prefixed, so that ("ab", "c") and ("a", "bc") differ.
    """
    h = hashlib.blake2b(digest_size=32, person=b"hercules-id")
    for part in (kind, *parts):
        raw = str(part).encode()
        h.update(len(raw).to_bytes(4, "big") + raw)
    number = int.from_bytes(h.digest(), "big")
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        digits.append(ALPHABET[digit])
    return f"{kind}-{''.join(digits)}"
