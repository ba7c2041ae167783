"""Find plugin files and read them: only those that nobody but the operator can write.

Rule 1: a file and its folder belong to who runs the bot, to root, or to who owns the bot's own program (who
could change that could change everything), and are not world-writable. Rule 2: a link may lead anywhere
inside its folder and nowhere else. Rule 3: what was checked is what is read: by one descriptor.
Nothing here imports or parses a file. A plugin is a file NAME.py or NAME.yaml, or a folder NAME with a
flow.py or flow.yaml in it, beside which `messages/` holds long texts and `tests/` the author's tests.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

import bot
from bot.plugins import limits

KINDS = (".py", ".yaml", ".yml")
MESSAGES = "messages"


class Place(msgspec.Struct, frozen=True):
    """Where a plugin's file is, and what people call it. `folder`: its owner counts, and no link leaves it.

    `of`: the package and its version for one that was installed, which is a reason to read it anew, too.
    """

    path: Path
    folder: Path
    name: str
    of: str = ""

    @property
    def flow(self) -> str:
        """The name of a flow that says none itself."""
        own = self.path.parent.name if self.path.stem == "flow" else self.path.stem
        return own.replace("_", "-").lower()

    @property
    def messages(self) -> Path | None:
        """The folder of its long texts, for a plugin that is a folder."""
        return self.path.parent / MESSAGES if self.path.stem == "flow" else None


class Source(msgspec.Struct, frozen=True):
    """A plugin's file as read: `name` is what people see ("chatflows.d/hello.py").

    `messages` are its long texts by name; `parts` are the hashes of their files.
    """

    name: str
    text: str
    sha256: str
    flow: str = ""
    messages: dict[str, str] = {}
    parts: dict[str, str] = {}

    @property
    def is_yaml(self) -> bool:
        """Its spelling."""
        return not self.name.endswith(".py")


class Unfit(Exception):
    """A file that is not loaded. The message is a sentence for its author."""


Mark = tuple[int, ...]  # changes when the file does


def marks(folders: Iterable[Path], more: Iterable[Place] = ()) -> dict[Place, Mark]:
    """Every plugin file of the folders, in order, with its mark. A folder that is not there has none."""
    found: dict[Place, Mark] = {}
    for folder in folders:
        own = _mark(folder)
        if own is None or not folder.is_dir():
            continue
        for place in _places(folder):
            if mark := _mark(place.path):
                found[place] = (*mark, own[-2], own[-1], *_marks_beside(place))
    for place in more:
        if mark := _mark(place.path):
            found[place] = (*mark, *_marks_beside(place))
    return found


def place_of(path: Path) -> Place:
    """The place of a file, or of the flow in a folder, that somebody names."""
    path = path.absolute()
    if path.is_dir():
        inside = [path / f"flow{kind}" for kind in KINDS]
        path = next((one for one in inside if one.is_file()), inside[0])
    return _named(path)


def read(place: Place | Path) -> Source:
    """The file, if it may be loaded. Raises Unfit."""
    place = place if isinstance(place, Place) else _named(place)
    raw = _bytes(place.path, place.folder, limits.FILE_BYTES)
    text = _text(raw)
    messages, parts = {}, {}
    for path in _messages(place):
        body = _bytes(path, place.folder, limits.MESSAGE_BYTES, f"{MESSAGES}/{path.name}")
        messages[path.name] = _text(body, f"{MESSAGES}/{path.name}").rstrip("\n")
        parts[f"{MESSAGES}/{path.name}"] = hashlib.sha256(body).hexdigest()
    return Source(place.name, text, hashlib.sha256(raw).hexdigest(), place.flow, messages, parts)


def _named(path: Path) -> Place:
    if path.stem == "flow":
        return Place(path, path.parent.parent, f"{path.parent.parent.name}/{path.parent.name}/{path.name}")
    return Place(path, path.parent, f"{path.parent.name}/{path.name}")


def _places(folder: Path) -> Iterator[Place]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "_")):
            continue
        if path.suffix in KINDS:
            yield Place(path, folder, f"{folder.name}/{path.name}")
        elif path.is_dir():
            for kind in KINDS:
                inner = path / f"flow{kind}"
                if inner.is_file() or inner.is_symlink():
                    yield Place(inner, folder, f"{folder.name}/{path.name}/{inner.name}")


def _messages(place: Place) -> list[Path]:
    folder = place.messages
    if folder is None or not folder.is_dir():
        return []
    found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if len(found) > limits.MESSAGES:
        raise Unfit(f"Its folder {MESSAGES} has more than {limits.MESSAGES} files, so it is not loaded.")
    return found


def _marks_beside(place: Place) -> list[int]:
    folder = place.messages
    if folder is None:
        return []
    found = [_mark(place.path.parent) or (), _mark(folder) or ()]
    with contextlib.suppress(OSError, Unfit):  # said when it is read
        found += [_mark(path) or () for path in _messages(place)]
    return [number for mark in found for number in mark]


def _bytes(path: Path, folder: Path, most: int, what: str = "It") -> bytes:
    try:
        real_folder, real = folder.resolve(strict=True), path.resolve(strict=True)
        if not real.is_relative_to(real_folder):
            raise Unfit(f"{what} is a link that leads out of the folder, so it is not loaded.")
        _trusted(os.stat(real_folder), "The folder")
        for between in real.parents:
            if between == real_folder:
                break
            says = "The folder that its link leads to" if path.is_symlink() else f"The folder {between.name}"
            _trusted(os.stat(between), says)
        fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as f:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise Unfit(f"{what} is not a file, so it is not loaded.")
            _trusted(found, what)
            raw = f.read(most + 1)
    except (OSError, RuntimeError) as e:
        why = e.strerror if isinstance(e, OSError) else "its links go in circles"
        raise Unfit(f"{what} cannot be read: {why}.") from e
    if len(raw) > most:
        raise Unfit(f"{what} is larger than {most // 1024} KiB, so it is not loaded: split it.")
    return raw


def _text(raw: bytes, what: str = "It") -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        raise Unfit(f"{what} is not UTF-8 text (line {line}), so it is not loaded: save it as UTF-8.") from e


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
