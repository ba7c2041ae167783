"""The node's own keys and whom it obeys, as files below `<data>/keys`, all 0600.

`identity.key` (Ed25519 seed, hex) signs results and hellos, and names the node. `sealing.key` (X25519,
hex) opens secrets. Both are made at first start and never leave the machine. `trust.json` is written by
the supervisor of the installation: {installation, epoch, dispatch_public}.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from nacl.public import PrivateKey
from nacl.signing import SigningKey, VerifyKey

from agent.orders import limits
from agent.orders.envelope import Id, key_id

Hex32 = Annotated[str, Meta(pattern=limits.exact(r"^[0-9a-f]{64}$"))]
_ALPHABET = "0123456789abcdefghijklmnopqrstuv"


class KeyTrouble(Exception):
    """A key file cannot be used; the message says which and what to do."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Whose orders the node obeys."""

    installation: Id
    epoch: Annotated[int, Meta(ge=1)] = 1
    dispatch_public: Hex32

    @property
    def dispatch(self) -> dict[str, VerifyKey]:
        """The dispatch key by its key id, as `agent.orders.envelope.verify` wants it."""
        public = bytes.fromhex(self.dispatch_public)
        return {key_id(public): VerifyKey(public)}

    @property
    def short(self) -> str:
        """Six characters of the installation, as they stand in the names of containers."""
        return self.installation.removeprefix("i-")[:6]


class NodeKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The node's keys. `identity` and `sealing` are the public halves in hex."""

    node: str
    identity: str
    sealing: str
    signing_key: SigningKey
    sealing_key: PrivateKey


def node_id(identity_public: bytes) -> str:
    """`n-…` of an identity key, derived like bot.engine.ids.derived("n", hex); a test compares them."""
    h = hashlib.blake2b(digest_size=32, person=b"hercules-id")
    for part in ("n", identity_public.hex()):
        raw = part.encode()
        h.update(len(raw).to_bytes(4, "big") + raw)
    number = int.from_bytes(h.digest(), "big")
    digits = []
    for _ in range(16):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return "n-" + "".join(digits)


def ensure(data: Path) -> NodeKeys:
    """The keys below `data`/keys; made when they are not there yet. Raises KeyTrouble."""
    folder = data / "keys"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signing = SigningKey(_secret(folder / "identity.key"))
    sealing = PrivateKey(_secret(folder / "sealing.key"))
    public = bytes(signing.verify_key)
    return NodeKeys(
        node=node_id(public),
        identity=public.hex(),
        sealing=bytes(sealing.public_key).hex(),
        signing_key=signing,
        sealing_key=sealing,
    )


def trust(data: Path) -> Trust:
    """Whom this node obeys. Raises KeyTrouble when nobody said so yet."""
    file = data / "keys" / "trust.json"
    try:
        return msgspec.json.decode(file.read_bytes(), type=Trust)
    except FileNotFoundError as e:
        raise KeyTrouble(f"{file} is missing: this node belongs to no installation yet") from e
    except (msgspec.MsgspecError, OSError) as e:
        raise KeyTrouble(f"{file} cannot be read: {e}") from e


def _secret(file: Path) -> bytes:
    """The 32 bytes of a key file; a new one is made whole or not at all."""
    if not file.exists():
        new = file.with_name(f".{file.name}.{os.getpid()}")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(os.urandom(32).hex() + "\n")
            out.flush()
            os.fsync(out.fileno())
        try:
            os.link(new, file)  # unlike rename it never replaces a key that another process just made
        except FileExistsError:
            pass
        finally:
            new.unlink()
    if file.stat().st_mode & 0o077:
        raise KeyTrouble(f"{file} may be read by others: chmod 600 {file}, and think about who could have")
    try:
        key = bytes.fromhex(file.read_text().strip())
    except (ValueError, OSError) as e:
        raise KeyTrouble(f"{file} cannot be read: {e}") from e
    if len(key) != 32:
        raise KeyTrouble(f"{file} does not hold 32 bytes in hex")
    return key
