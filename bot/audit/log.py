"""Append to the audit: each entry once by its id, on the disk before `append` returns.

Entries are effects: they come from the store at least once, are written here once, and are settled there
after that. A crash between the two brings the effect again, and its id is found in the newest segments.
Several processes may share the folder: an append holds a lock on it and first reads what others added.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog

from bot.audit import lines

log = structlog.get_logger("audit")

REMEMBERED = 3  # segments whose ids are looked at; a repeated effect is seconds to days late, never 48 MB


class AuditUnreadable(Exception):
    """The end of the audit is not as it was written: nothing is appended to it until somebody looked."""


class AuditLog:
    """The audit of one installation, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ids: deque[set[str]] = deque(maxlen=REMEMBERED)  # by segment
        self._head = lines.FIRST
        self._n = 0
        self._segment: Path | None = None
        self._read_to = 0
        self._waiting: list[tuple[lines.Line, asyncio.Future[bool]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Make the folder, read the newest segments, take off a last line that was never finished."""
        await asyncio.to_thread(self._open)

    async def append(
        self, *, id: str, at_ms: int, actor: str, what: str, details: dict[str, Any], session: str = ""
    ) -> bool:
        """Write one entry unless its id stands there already (then False). On the disk when this returns.

        Raises OSError when the disk refuses, AuditUnreadable, ValueError for an entry beyond LINE_BYTES.
        """
        line = lines.Line(
            n=0, id=id, at_ms=at_ms, actor=actor, what=what, session=session, details=details, before=""
        )
        if len(lines.encode(line)) > lines.LINE_BYTES - 200:
            raise ValueError(f"an audit entry of more than {lines.LINE_BYTES} bytes: {what}")
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, written))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        return await written

    async def _write_all(self) -> None:
        """One fsync for all that wait; what comes meanwhile is the next batch."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                fresh = await asyncio.to_thread(self._write, [line for line, _ in batch])
            except Exception as e:  # whoever waits gets it, whatever it is
                for _, written in batch:
                    if not written.done():
                        written.set_exception(e)
                log.error("audit.not_written", entries=len(batch), why=str(e))
                continue
            for (_, written), new in zip(batch, fresh, strict=True):
                if not written.done():
                    written.set_result(new)

    def _open(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            self._catch_up()

    def _write(self, batch: list[lines.Line]) -> list[bool]:
        with self._locked():
            self._catch_up()
            segment = self._segment
            fresh = []
            out = bytearray()
            for line in batch:
                new = not any(line.id in ids for ids in self._ids)
                fresh.append(new)
                if new:
                    if segment is None or self._read_to + len(out) >= lines.SEGMENT_BYTES:
                        self._to_disk(segment, out)
                        out = bytearray()
                        segment = self._begin_segment(self._folder / lines.segment_name(self._n + 1))
                    raw = lines.encode(msgspec.structs.replace(line, n=self._n + 1, before=self._head))
                    self._took(line.id, raw)
                    out += raw + b"\n"
            self._to_disk(segment, out)
            return fresh

    def _took(self, id: str, raw: bytes) -> None:
        self._ids[-1].add(id)
        self._n += 1
        self._head = lines.chained(raw)

    def _to_disk(self, segment: Path | None, data: bytearray) -> None:
        """Append and fsync; after any fault the file is put back and read afresh before the next try."""
        if segment is None or not data:
            return
        try:
            fd = os.open(segment, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                _write_whole(fd, data)
                os.fsync(fd)
            finally:
                os.close(fd)
            if self._read_to == 0:
                _fsync_folder(self._folder)
        except OSError:
            self._forget(segment, self._read_to)
            raise
        self._read_to += len(data)

    def _forget(self, segment: Path, read_to: int) -> None:
        """Cut what came half. Nothing remembered is trusted after a failed write: it is read again."""
        self._ids.clear()
        self._head, self._n, self._segment, self._read_to = lines.FIRST, 0, None, 0
        if segment.exists():
            os.truncate(segment, read_to)
            if read_to == 0:
                segment.unlink()

    def _begin_segment(self, file: Path) -> Path:
        self._segment, self._read_to = file, 0
        self._ids.append(set())
        return file

    def _catch_up(self) -> None:
        """Read what stands on the disk and was not read yet, ours or another process's."""
        segment = self._segment
        for file in lines.segments(self._folder)[-REMEMBERED:]:
            if segment is None or file.name > segment.name:
                segment = self._begin_segment(file)
            if file == segment:
                self._read_rest(segment)

    def _read_rest(self, segment: Path) -> None:
        with segment.open("rb") as f:
            f.seek(self._read_to)
            data = f.read()
        whole, _, torn = data.rpartition(b"\n")
        if torn:  # a process died while writing it; it was never acknowledged
            log.warning("audit.unfinished_line_removed", segment=segment.name, bytes=len(torn))
            os.truncate(segment, self._read_to + len(data) - len(torn))
        if not whole:
            return
        for raw in whole.split(b"\n"):
            try:
                line = lines.decode(raw)
            except msgspec.MsgspecError:
                raise AuditUnreadable(f"{segment.name} holds a line that is no entry") from None
            if self._n == 0:  # where reading begins, the chain is taken as it stands
                self._n, self._head = line.n - 1, line.before
            if line.n != self._n + 1 or line.before != self._head:
                raise AuditUnreadable(f"{segment.name}: entry {line.n} does not follow from the one before")
            self._took(line.id, raw)
        self._read_to += len(whole) + 1

    @contextmanager
    def _locked(self) -> Iterator[None]:
        fd = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _write_whole(fd: int, data: bytearray) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _fsync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
