"""Secrets: opened here only, delivered as files below the agent's own directory under /run.

`<root>/<installation>/secrets/<deployment>/<part>-<revision>` is bound read-only at /run/secrets. The
directories above it are the agent's alone (0700); the files belong to the container's user, 0400, or may
be read by everybody inside the container when its user is a name. They are gone after a boot: whoever
starts the container writes them anew first.
"""

from __future__ import annotations

import base64
import binascii
import os
import shutil
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.public import SealedBox

from agent.keys import NodeKeys
from agent.orders.spec import Revision, SealedValue
from agent.problems import Failed


def opened(value: SealedValue, keys: NodeKeys, name: str) -> bytes:
    """The secret in clear. Raises Failed when it was not sealed for this node."""
    if value.node != keys.node:
        raise Failed("secret_unreadable", f"The secret {name} was sealed for another machine.")
    try:
        return SealedBox(keys.sealing_key).decrypt(base64.b64decode(value.for_node, validate=True))
    except (CryptoError, binascii.Error, ValueError) as e:
        raise Failed("secret_unreadable", f"The secret {name} cannot be opened on this machine.") from e


def all_opened(revision: Revision, keys: NodeKeys) -> dict[str, bytes]:
    """Every secret of a revision by name."""
    return {s.name: opened(s.sealed, keys, s.name) for s in revision.settings if s.sealed is not None}


def environment(revision: Revision, secrets: dict[str, bytes]) -> dict[str, str]:
    """What the container gets as environment: plain settings, and secrets unless the profile is strict.

    A secret of several lines, or one that is no text, is only delivered as a file.
    """
    env = {s.name: s.value for s in revision.settings if s.value is not None}
    if revision.profile != "strict":
        for name, value in secrets.items():
            try:
                text = value.decode()
            except UnicodeDecodeError:
                continue
            if not any(c in text for c in "\0\n\r"):
                env[name] = text
    return env


def folder(root: Path, installation: str, deployment: str, part: str, revision: int) -> Path:
    """Where the secret files of a part's revision lie."""
    return root / installation / "secrets" / deployment / f"{part}-{revision}"


def write(at: Path, secrets: dict[str, bytes], user: tuple[int, int] | None) -> None:
    """Write the secret files, each whole; what is there already and right is left alone.

    `user` is None when the container's user is only known by name.
    """
    for above in (at.parents[3], at.parents[2], at.parents[1], at.parents[0]):
        above.mkdir(mode=0o700, exist_ok=True)
    at.mkdir(mode=0o755, exist_ok=True)
    for stale in set(os.listdir(at)) - set(secrets):
        (at / stale).unlink()
    for name, value in secrets.items():
        new = at / f".{name}.new"
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(value)
            if user is None:
                os.fchmod(out.fileno(), 0o444)
            else:
                os.fchown(out.fileno(), *user)
                os.fchmod(out.fileno(), 0o400)
        new.replace(at / name)
    if user is not None:
        os.chown(at, *user)
    at.chmod(0o755 if user is None else 0o500)


def remove(root: Path, installation: str, deployment: str, keep: str = "") -> None:
    """Remove the secret files of a deployment, except the folder called `keep`."""
    own = root / installation / "secrets" / deployment
    if not own.exists():
        return
    for entry in own.iterdir():
        if entry.name != keep:
            shutil.rmtree(entry)
    if not keep:
        own.rmdir()
