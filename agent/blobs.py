"""Blobs from the bot: fetched over the link in credited chunks, resumed where they stopped, checked.

Rule 1: the agent asks (`BlobWanted`), nobody pushes: a chunk that was not asked for is dropped.
Rule 2: what is not whole is `<sha256>.part`; it gets its name only after its SHA-256 is right.
Rule 3: a link that goes away is waited for; after `GIVE_UP_S` without one byte the order fails.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agent.link.messages import BlobCredit, BlobGone, BlobWanted, Message, unpack_chunk
from agent.orders import limits
from agent.problems import Failed

GIVE_UP_S = 60.0
_GRANT_AT = limits.BLOB_CREDITS // 4  # chunks after which more are granted

Say = Callable[[int, int], None]


def _unlinked(message: Message) -> None:
    """There is no link yet; `linked` asks again when there is."""


class _Coming:
    """A blob under way."""

    def __init__(self, file: Path, wanted: int) -> None:
        self.part = file.open("ab")
        self.offset = self.part.tell()
        self.wanted = wanted
        self.since_grant = 0
        self.gone = ""
        self.moved = threading.Condition()


class Blobs:
    """The blobs of one data directory. `send` hands a message to the link and never waits."""

    def __init__(self, folder: Path, *, reserve: int) -> None:
        self._folder = folder
        self.send: Callable[[Message], None] = _unlinked
        self._reserve = reserve
        self._coming: dict[str, _Coming] = {}
        self._one_at_a_time: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def fetch(self, blob: str, size: int, say: Say, mind: Callable[[], None]) -> Path:
        """The file of a blob, fetched unless it is here. Raises Failed: blob_unavailable, disk_full."""
        with self._lock:
            own = self._one_at_a_time.setdefault(blob, threading.Lock())
        with own:
            whole = self._folder / blob
            if whole.exists() and whole.stat().st_size == size:
                return whole
            part = self._folder / f"{blob}.part"
            here = part.stat().st_size if part.exists() else 0
            if here > size:
                part.unlink()
                here = 0
            if shutil.disk_usage(self._folder).free < size - here + self._reserve:
                raise Failed("disk_full", "There is not enough space on this machine for the file.")
            if here < size:
                self._receive(blob, part, size, say, mind)
            with part.open("rb") as content:
                digest = hashlib.file_digest(content, "sha256").hexdigest()
            if digest != blob:
                part.unlink()
                raise Failed("blob_unavailable", "The file arrived damaged: its SHA-256 is another one.")
            part.replace(whole)
            return whole

    def drop(self, blob: str) -> None:
        """The blob is needed no longer."""
        for file in (self._folder / blob, self._folder / f"{blob}.part"):
            file.unlink(missing_ok=True)

    # -- called by whoever reads the link; these never wait

    def chunk(self, frame: bytes) -> None:
        """A binary frame came. Raises ValueError when it is no chunk."""
        blob, offset, data = unpack_chunk(frame)
        coming = self._coming.get(blob)
        if coming is None:
            return
        with coming.moved:
            if offset != coming.offset or coming.offset + len(data) > coming.wanted or coming.part.closed:
                return
            try:
                coming.part.write(data)
            except OSError as e:
                coming.gone = f"the file cannot be written ({e.strerror})"
            coming.offset += len(data)
            coming.since_grant += 1
            if coming.since_grant >= _GRANT_AT and coming.offset < coming.wanted:
                self.send(BlobCredit(blob=blob, credits=coming.since_grant))
                coming.since_grant = 0
            coming.moved.notify_all()

    def gone(self, message: BlobGone) -> None:
        """The bot cannot send it."""
        if coming := self._coming.get(message.blob):
            with coming.moved:
                coming.gone = message.reason or "the bot does not have it"
                coming.moved.notify_all()

    def linked(self) -> None:
        """The link is up again: ask anew for what is missing."""
        for blob, coming in list(self._coming.items()):
            with coming.moved:
                coming.since_grant = 0
                self.send(BlobWanted(blob=blob, offset=coming.offset))

    def _receive(self, blob: str, part: Path, size: int, say: Say, mind: Callable[[], None]) -> None:
        coming = _Coming(part, size)
        self._coming[blob] = coming
        try:
            with coming.moved:
                self.send(BlobWanted(blob=blob, offset=coming.offset))
                last, since = coming.offset, time.monotonic()
                while coming.offset < size and not coming.gone:
                    coming.moved.wait(0.5)
                    mind()
                    if coming.offset > last:
                        last, since = coming.offset, time.monotonic()
                        say(coming.offset, size)
                    elif time.monotonic() - since > GIVE_UP_S:
                        coming.gone = "the bot sends nothing"
                if coming.gone:
                    code = "disk_full" if "written" in coming.gone else "blob_unavailable"
                    raise Failed(code, f"The file could not be fetched: {coming.gone}.")
                coming.part.flush()
                os.fsync(coming.part.fileno())
        finally:
            self._coming.pop(blob, None)
            with coming.moved:
                coming.part.close()
