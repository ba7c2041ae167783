"""Find plugin files and read them: only those that nobody but the operator can write.

Rule 1: a file and its folder belong to who runs the bot, to root, or to who owns the bot's own program (who
could change that could change everything), and are not world-writable. Rule 2: a link may lead anywhere
inside its folder and nowhere else. Rule 3: what was checked is what is read: by one descriptor.
Nothing here imports or parses a file.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

import bot
from bot.plugins import limits


class Source(msgspec.Struct, frozen=True):
    """A plugin's file as read: `name` is what people see ("chatflows.d/hello.py")."""

    name: str
    text: str
    sha256: str


class Unfit(Exception):
    """A file that is not loaded. The message is a sentence for its author."""


Mark = tuple[int, ...]  # changes when the file does


def marks(folders: Iterable[Path]) -> dict[Path, Mark]:
    """Every plugin file of the folders, in order, with its mark. A folder that is not there has none."""
    found: dict[Path, Mark] = {}
    for folder in folders:
        own = _mark(folder)
        if own is None or not folder.is_dir():
            continue
        for path in sorted(folder.glob("*.py")):
            if not path.name.startswith((".", "_")) and (mark := _mark(path)):
                found[path] = (*mark, own[-2], own[-1])
    return found


def name_of(path: Path) -> str:
    """The name that people see."""
    return f"{path.parent.name}/{path.name}"


def read(path: Path) -> Source:
    """The file, if it may be loaded. Raises Unfit."""
    folder = path.parent
    try:
        real_folder, real = folder.resolve(strict=True), path.resolve(strict=True)
        if not real.is_relative_to(real_folder):
            raise Unfit("It is a link that leads out of the folder, so it is not loaded.")
        _trusted(os.stat(real_folder), "The folder")
        for between in real.parents:
            if between == real_folder:
                break
            _trusted(os.stat(between), "The folder that its link leads to")
        fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as f:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise Unfit("It is not a file, so it is not loaded.")
            _trusted(found, "It")
            raw = f.read(limits.FILE_BYTES + 1)
    except (OSError, RuntimeError) as e:
        why = e.strerror if isinstance(e, OSError) else "its links go in circles"
        raise Unfit(f"It cannot be read: {why}.") from e
    if len(raw) > limits.FILE_BYTES:
        raise Unfit(f"It is larger than {limits.FILE_BYTES // 1024} KiB, so it is not loaded.")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        raise Unfit("It is not UTF-8 text, so it is not loaded.") from e
    return Source(name_of(path), text, hashlib.sha256(raw).hexdigest())


def _trusted(found: os.stat_result, what: str) -> None:
    owners = {0, os.geteuid(), os.stat(bot.__file__).st_uid}
    if found.st_uid not in owners:
        raise Unfit(f"{what} belongs to another account (uid {found.st_uid}), so it is not loaded.")
    if found.st_mode & stat.S_IWOTH:
        raise Unfit(f"{what} can be written by everybody, so it is not loaded (chmod o-w).")


def _mark(path: Path) -> Mark | None:
    try:
        found = os.stat(path)
    except OSError:
        return (0,) if path.is_symlink() else None  # a dangling link is said, a file gone is gone
    return (found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_mode, found.st_uid)
