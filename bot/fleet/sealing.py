"""Seal a secret before its answer is acknowledged: to its node, and to the recovery key.

Two libsodium sealed boxes over the same bytes. The bot keeps neither private half (the recovery key's
only until the owner takes it), so what it stores it cannot read back.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from nacl.public import PublicKey, SealedBox

from agent.orders import limits
from agent.orders.spec import SealedValue
from bot.fleet.refusals import SecretTooLarge


def sealed(plaintext: bytes, *, node: str, node_key: PublicKey, recovery_key: PublicKey) -> SealedValue:
    """`plaintext` for the node and for the recovery key. Raises SecretTooLarge."""
    if len(plaintext) > limits.ENV_VALUE_BYTES:
        raise SecretTooLarge(limit=limits.ENV_VALUE_BYTES, size=len(plaintext))
    return SealedValue(
        node=node,
        for_node=_box(node_key, plaintext),
        for_recovery=_box(recovery_key, plaintext),
    )


def sealed_builtins(
    plaintext: str, *, node: str, node_key: PublicKey, recovery_key: PublicKey
) -> dict[str, Any]:
    """The same as plain data: the form that answers, names and revisions hold."""
    value = sealed(plaintext.encode(), node=node, node_key=node_key, recovery_key=recovery_key)
    result: dict[str, Any] = msgspec.to_builtins(value)
    return result


def _box(key: PublicKey, plaintext: bytes) -> str:
    return base64.b64encode(SealedBox(key).encrypt(plaintext)).decode()
