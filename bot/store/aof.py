"""The append-only file after a power cut: a damaged end is cut off, damage before it is not touched.

Valkey itself loads a file whose last command is incomplete. What it refuses is rubbish after the last synced
command (zeros of a page that never reached the disk). Rule 1: only what comes after the last whole command is
cut, at most TAIL_BYTES, and kept beside the file as `cut-…`. Rule 2: when a whole command follows the
rubbish, this is no torn end but damage; cutting would lose confirmed answers, so it is refused.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import structlog

from bot.store.errors import EmbeddedError, StoreDamaged
from bot.store.limits import TAIL_BYTES

log = structlog.get_logger("store")

_BAD = ("Bad file format reading the append only file", "Unexpected end of file reading the append only file")
_COMMAND = re.compile(rb"\*[1-9]\d{0,6}\r\n\$\d{1,9}\r\n")


class Damaged(Exception):
    """Valkey did not like its file; `log` is where it said so."""

    def __init__(self, log: Path) -> None:
        self.log = log


def says_damaged(tail: str) -> bool:
    """Whether this end of a log tells of a damaged append-only file."""
    return any(words in tail for words in _BAD)


def cut_tail(folder: Path) -> int:
    """Cut the damaged end off the newest file; how many bytes. Raises StoreDamaged."""
    path = _newest(folder)
    raw = path.read_bytes()
    good = whole_commands(raw)
    tail = raw[good:]
    if len(tail) > TAIL_BYTES or _has_whole_command(tail):
        raise StoreDamaged(path=path, at=good, size=len(raw), log="-")
    kept = path.with_name(f"cut-{path.name}-{good}")
    kept.write_bytes(tail)
    with path.open("r+b") as file:
        file.truncate(good)
        os.fsync(file.fileno())
    log.warning("store.tail_cut", path=str(path), at=good, bytes=len(tail), kept=str(kept))
    return len(tail)


def whole_commands(raw: bytes) -> int:
    """Length of the part that is whole commands (RESP arrays of bulk strings; # lines are notes)."""
    at = good = 0
    while at < len(raw):
        if raw[at : at + 1] == b"#":
            end = raw.find(b"\r\n", at)
            if end < 0:
                break
            at = good = end + 2
            continue
        end_of_command = _command_end(raw, at)
        if end_of_command is None:
            break
        at = good = end_of_command
    return good


def _command_end(raw: bytes, at: int) -> int | None:
    count, at = _number(raw, at, b"*")
    if count < 1:
        return None
    for _ in range(count):
        size, at = _number(raw, at, b"$")
        if size < 0 or raw[at + size : at + size + 2] != b"\r\n":
            return None
        at += size + 2
    return at


def _number(raw: bytes, at: int, mark: bytes) -> tuple[int, int]:
    end = raw.find(b"\r\n", at, at + 16)
    if raw[at : at + 1] != mark or end < 0 or not raw[at + 1 : end].isdigit():
        return -1, at
    return int(raw[at + 1 : end]), end + 2


def _has_whole_command(tail: bytes) -> bool:
    return any(_command_end(tail, found.start()) for found in _COMMAND.finditer(tail))


def _newest(folder: Path) -> Path:
    """The file that was appended to last, by the manifest's word."""
    try:
        manifest = (folder / "appendonly.aof.manifest").read_text()
    except OSError as gone:
        raise EmbeddedError(why=f"its list of files is missing: {gone}", log=folder) from gone
    names = re.findall(r"^file (\S+) seq \d+ type i", manifest, re.MULTILINE)
    if not names or "/" in names[-1]:
        raise EmbeddedError(why="its list of files names no append-only file", log=folder)
    return folder / str(names[-1])
