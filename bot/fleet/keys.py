"""The keys of an installation: made once, read at every start, never quietly made again.

Rules. 1: everything stands in one directory (0700), each file 0600, ours, no link. 2: at the first start
all of it is first written to ONE file, `first.json`, by an atomic rename, and then laid out from there; a
start that finds `first.json` finishes exactly that set, so that a crash at any point leaves either nothing
or the same keys. 3: without `first.json` a missing or changed file is refused with a sentence: an
installation whose dispatch key is gone must be restored, because its nodes obey no other. 4: the private
half of the recovery key is here only until the owner has taken it (`forget_recovery_private`).

| file | holds | who uses it |
|---|---|---|
| installation.json | {id, epoch} | everybody; names orders, containers, cookies |
| dispatch.key | Ed25519 seed, hex | signs orders |
| tag.key | 32 bytes, hex | tags of the store's records |
| recovery.pub, recovery.key | X25519, hex | every secret is sealed to the public half too |
| recovery.taken | when its private half was deleted here, ms | `recovery_taken_ms` |
| nodes/<node id>.json | {identity, sealing, name?}, public keys, hex | which agents may link |
| store.json | the store's passwords, whether one was made | `bot.cli`; not written here |
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from nacl.public import PrivateKey, PublicKey
from nacl.signing import SigningKey

from agent.orders import limits
from agent.orders.envelope import key_id
from bot.engine.ids import ALPHABET
from bot.fleet.refusals import KeysDamaged

_RESTORE = "Put the files back from your backup of this directory; a new set would be obeyed by no node"
_MODES = "Nobody but its owner may read it: chmod 700 the directory, 600 the files, and chown them"

Hex32 = Annotated[str, Meta(pattern=limits.exact(r"^[0-9a-f]{64}$"))]
InstallationId = Annotated[str, Meta(pattern=limits.exact(r"^i-[0-9a-v]{16}$"))]


class _Named(msgspec.Struct, frozen=True, kw_only=True):
    """installation.json."""

    id: InstallationId
    epoch: Annotated[int, Meta(ge=1)] = 1


class _First(msgspec.Struct, frozen=True, kw_only=True):
    """first.json: the whole set, from which the first start lays out the files."""

    id: InstallationId
    epoch: Annotated[int, Meta(ge=1)]
    dispatch: Hex32
    tag: Hex32
    recovery: Hex32


class _StoreFile(msgspec.Struct, frozen=True, kw_only=True):
    """Of store.json only this: whether a store was made, which then carries tags of these keys."""

    made: bool = False


@dataclass(frozen=True, kw_only=True)
class Installation:
    """Who this installation is, and its keys. Nothing of it is printed by `repr`."""

    directory: Path
    id: str
    epoch: int
    dispatch: SigningKey = field(repr=False)
    tag_key: bytes = field(repr=False)
    recovery_public: PublicKey = field(repr=False)
    first_start: bool = False

    @property
    def short(self) -> str:
        """The six characters of the id that stand in names of containers."""
        return self.id[2:8]

    @property
    def dispatch_public(self) -> str:
        """The public half of the dispatch key, in hex: what an agent trusts (agent/keys/trust.json)."""
        return bytes(self.dispatch.verify_key).hex()

    @property
    def fingerprint(self) -> str:
        """Tells two key directories apart without saying a key: for `/readyz` and the log."""
        return key_id(bytes(self.dispatch.verify_key))

    def recovery_private(self) -> str | None:
        """The recovery key's private half in hex, for the owner to keep elsewhere; None once forgotten."""
        with _locked(self.directory):
            text = _read(self.directory / "recovery.key", optional=True)
        return None if text is None else _hex32(self.directory, "recovery.key", text).hex()

    def recovery_taken_ms(self) -> int:
        """When the private half was deleted here; 0 while it is here, or where nobody noted it."""
        with _locked(self.directory):
            text = _read(self.directory / "recovery.taken", optional=True) or ""
            here = (self.directory / "recovery.key").exists()
        return int(text) if text.isascii() and text.isdigit() and not here else 0

    def forget_recovery_private(self) -> bool:
        """Delete the private half, after the owner has taken it. False if it was gone before."""
        with _locked(self.directory):
            path = self.directory / "recovery.key"
            if _read(path, optional=True) is None:
                return False
            _write(self.directory / "recovery.taken", str(int(time.time() * 1000)).encode())
            with path.open("r+b") as file:  # best effort: overwritten before it goes
                file.write(b"0" * 64)
                os.fsync(file.fileno())
            path.unlink()
            _sync_directory(self.directory)
        return True


def ensure(directory: Path) -> Installation:
    """The installation whose keys stand in `directory`; made there at the first start.

    Raises KeysDamaged when the set is incomplete, changed, or readable by others. Blocks for a few
    milliseconds; two processes at once get the same set.
    """
    with suppress(FileExistsError):
        directory.mkdir(mode=0o700, parents=True)
    with _locked(directory):
        first_start = _is_fresh(directory)
        if first_start:
            _draw(directory)
        if (directory / "first.json").exists():
            _lay_out(directory)
        return _load(directory, first_start)


def _is_fresh(directory: Path) -> bool:
    """True when no key was ever made here. A directory with pinned nodes, or with a store, had keys."""
    names = ("first.json", "installation.json", "dispatch.key", "tag.key", "recovery.pub", "recovery.key")
    if any(os.path.lexists(directory / name) for name in names):
        return False
    nodes = directory / "nodes"
    if nodes.is_dir() and any(nodes.glob("*.json")):
        raise _damaged(directory, "nodes are pinned here, but every key is gone", _RESTORE)
    if _had_store(directory):
        raise _damaged(directory, "a store was made for this installation, but every key is gone", _RESTORE)
    return True


def _had_store(directory: Path) -> bool:
    text = _read(directory / "store.json", optional=True)
    try:
        return text is not None and msgspec.json.decode(text, type=_StoreFile).made
    except msgspec.MsgspecError:
        return True


def _draw(directory: Path) -> None:
    first = _First(
        id="i-" + "".join(secrets.choice(ALPHABET) for _ in range(16)),
        epoch=1,
        dispatch=bytes(SigningKey.generate()).hex(),
        tag=secrets.token_hex(32),
        recovery=bytes(PrivateKey.generate()).hex(),
    )
    _write(directory / "first.json", msgspec.json.encode(first))


def _lay_out(directory: Path) -> None:
    """Write the files that `first.json` states; done again after a crash it yields the same files."""
    text = _read(directory / "first.json")
    try:
        first = msgspec.json.decode(text or "", type=_First)
    except msgspec.MsgspecError as e:
        raise _damaged(directory, "first.json is not whole", _RESTORE) from e
    recovery = PrivateKey(bytes.fromhex(first.recovery))
    named = _Named(id=first.id, epoch=first.epoch)
    wanted = {
        "dispatch.key": first.dispatch.encode(),
        "tag.key": first.tag.encode(),
        "recovery.key": first.recovery.encode(),
        "recovery.pub": bytes(recovery.public_key).hex().encode(),
        "installation.json": msgspec.json.encode(named),
    }
    for name, content in wanted.items():
        present = _read(directory / name, optional=True)
        if present is None:
            _write(directory / name, content)
        elif present.encode() != content:
            raise _damaged(directory, f"{name} and first.json contradict each other", _RESTORE)
    (directory / "first.json").unlink()
    _sync_directory(directory)


def _load(directory: Path, first_start: bool) -> Installation:
    texts = {}
    for name in ("installation.json", "dispatch.key", "tag.key", "recovery.pub"):
        text = _read(directory / name, optional=True)
        if text is None:
            raise _damaged(directory, f"{name} is missing", _RESTORE)
        texts[name] = text
    try:
        named = msgspec.json.decode(texts["installation.json"], type=_Named)
    except msgspec.MsgspecError as e:
        raise _damaged(directory, "installation.json is not whole", _RESTORE) from e
    public = PublicKey(_hex32(directory, "recovery.pub", texts["recovery.pub"]))
    private = _read(directory / "recovery.key", optional=True)
    if private is not None:
        key = PrivateKey(_hex32(directory, "recovery.key", private))
        if key.public_key != public:
            raise _damaged(directory, "recovery.key and recovery.pub are no pair", _RESTORE)
    return Installation(
        directory=directory,
        id=named.id,
        epoch=named.epoch,
        dispatch=SigningKey(_hex32(directory, "dispatch.key", texts["dispatch.key"])),
        tag_key=_hex32(directory, "tag.key", texts["tag.key"]),
        recovery_public=public,
        first_start=first_start,
    )


def _hex32(directory: Path, name: str, text: str) -> bytes:
    try:
        return bytes.fromhex(msgspec.convert(text, Hex32))
    except (msgspec.MsgspecError, ValueError) as e:
        raise _damaged(directory, f"{name} is not 64 hexadecimal digits", _RESTORE) from e


def _damaged(directory: Path, why: str, do: str) -> KeysDamaged:
    return KeysDamaged(directory=directory, why=why, do=f"{do}.")


def read_private(path: Path) -> str | None:
    """The text of one file of the key directory, checked for owner, mode and kind; None if absent."""
    return _read(path, optional=True)


def write_private(path: Path, content: bytes) -> None:
    """Write one file of the key directory, whole or not at all, for its owner only."""
    _write(path, content)


def _read(path: Path, *, optional: bool = False) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        if optional:
            return None
        raise _damaged(path.parent, f"{path.name} is missing", _RESTORE) from None
    except OSError as e:
        raise _damaged(path.parent, f"{path.name} cannot be opened ({e.strerror})", _RESTORE) from e
    with os.fdopen(descriptor, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise _damaged(path.parent, f"{path.name} is no file", _RESTORE)
        _check_mode(path.parent, path.name, state, 0o077)
        content = file.read(65_536)
    try:
        return content.decode().strip()
    except UnicodeDecodeError as e:
        raise _damaged(path.parent, f"{path.name} is no text", _RESTORE) from e


def _check_mode(directory: Path, name: str, state: os.stat_result, closed: int) -> None:
    if state.st_uid != os.geteuid():
        raise _damaged(directory, f"{name} belongs to another user (uid {state.st_uid})", _MODES)
    if state.st_mode & closed:
        raise _damaged(directory, f"others may open {name} (mode {stat.S_IMODE(state.st_mode):o})", _MODES)


def _write(path: Path, content: bytes) -> None:
    """Put a file in place so that it is there whole or not at all, also after a power cut."""
    draft = path.with_name(f".{path.name}.new")
    with suppress(FileNotFoundError):
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One process at a time in a key directory; the directory itself is the lock."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as e:
        raise _damaged(directory, f"it cannot be opened ({e.strerror})", _RESTORE) from e
    try:
        _check_mode(directory, "the directory", os.fstat(descriptor), 0o077)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
