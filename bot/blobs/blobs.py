"""The blobs of an installation: uploads that can be resumed, files by digest, a quota and a reserve.

Rules. 1: a blob is a complete file named by its SHA-256, put in place by a hard link after fsync; it never
changes. 2: refused before anything fails: an upload counts with its declared size from its beginning, and
the reserve of the disk is never touched. 3: file work happens in threads of our own; the loop only counts.
4: one bot process writes here (several need an S3-compatible store, which comes later).

Layout: `DIR/ab/abcdef…` (blobs), `DIR/uploads/KEY.{json,part}` (see `bot.blobs.uploads`).
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar
from weakref import WeakValueDictionary

import msgspec
import structlog
from msgspec import Meta

from agent.orders import limits
from bot.blobs.reader import BlobReader, Descriptor
from bot.blobs.refusals import (
    BadDigest,
    BadUpload,
    BlobTooLarge,
    DiskFull,
    NoSuchBlob,
    NoSuchUpload,
    QuotaFull,
    UploadIncomplete,
)
from bot.blobs.uploads import Hasher, Upload, UploadFiles, is_full, key_of, sha256_of_file, sync_directory
from bot.engine.refusals import IdReused

RESERVE_BYTES = 256 * 1024**2  # of the disk, never used: read-only before anything fails
ABANDONED_S = 24 * 3600  # an upload that nobody touched for so long is dropped
CLEAN_EVERY_S = 3600
THREADS = 4

P = ParamSpec("P")
T = TypeVar("T")
_Digest = Annotated[str, Meta(pattern=limits.exact(limits.SHA256_PATTERN))]
_UploadId = Annotated[str, Meta(pattern=limits.exact(r"^[A-Za-z0-9._:-]{1,100}$"))]
_Name = Annotated[str, Meta(max_length=255)]
_log = structlog.get_logger("blobs")


class Blob(msgspec.Struct, frozen=True, kw_only=True):
    """A complete file."""

    sha256: str
    bytes: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """How much room there is, in bytes. `promised` belongs to uploads under way."""

    stored: int
    promised: int
    quota: int
    free: int


class Blobs:
    """Blobs and uploads below `directory`. `start` before use, `stop` at the end."""

    def __init__(
        self,
        directory: Path,
        *,
        quota_bytes: int,
        max_bytes: int = limits.BLOB_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.directory = directory
        self.quota_bytes = quota_bytes
        self.max_bytes = max_bytes
        self.reserve_bytes = reserve_bytes
        self._clock = clock
        self._files = UploadFiles(directory / "uploads")
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        self._stored = 0
        self._open: dict[str, Upload] = {}  # a count of what is promised; the truth is on disk
        self._hashers: dict[str, Hasher] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._cleaning: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Count what is there, and clean up every hour from now on."""
        self._stored, self._open = await self._in_thread(self._count)
        self._cleaning = asyncio.create_task(self._clean_for_ever(), name="blobs-clean")

    async def stop(self) -> None:
        """Stop cleaning; end the threads."""
        if self._cleaning:
            self._cleaning.cancel()
            with suppress(asyncio.CancelledError):
                await self._cleaning
        self._pool.shutdown(wait=False, cancel_futures=True)

    # -- uploads

    async def create(self, *, person: str, id: str, bytes: int, name: str = "", sha256: str = "") -> Upload:
        """Begin an upload of `bytes` bytes; the same call again meets the same upload.

        Raises BadUpload, IdReused (another declaration under this id), BlobTooLarge, QuotaFull, DiskFull.
        """
        try:
            msgspec.convert(id, _UploadId)
            msgspec.convert(name, _Name)
            if sha256:
                msgspec.convert(sha256, _Digest)
        except msgspec.ValidationError as e:
            raise BadUpload(why=str(e)) from e
        if bytes < 1:
            raise BadUpload(why="an empty file is no use")
        if bytes > self.max_bytes:
            raise BlobTooLarge(bytes=bytes, limit=self.max_bytes)
        upload = Upload(id=id, person=person, bytes=bytes, name=name, sha256=sha256)
        key = key_of(person, id)
        async with self._lock(key):
            present = await self._in_thread(self._files.read, key)
            if present is not None and not (present.digest and not await self.has(present.digest)):
                if msgspec.structs.replace(present, digest="", offset=0) != upload:
                    raise IdReused(id=id)
                return present
            self._check_room(bytes)
            self._open[key] = upload
            self._hashers[key] = Hasher()
            try:
                await self._in_thread(self._files.begin, key, upload)
            except OSError as e:
                self._forget(key)
                raise self._full(bytes) if is_full(e) else e from e
        _log.info("upload.begun", person=person, upload=id, bytes=bytes)
        return upload

    async def upload(self, *, person: str, id: str) -> Upload:
        """How far an upload is. Raises NoSuchUpload."""
        upload = await self._in_thread(self._files.read, key_of(person, id))
        if upload is None:
            raise NoSuchUpload(id=id)
        return upload

    async def append(self, *, person: str, id: str, offset: int, data: bytes) -> int:
        """Put the next piece; returns where the upload goes on. The same piece again changes nothing.

        Raises NoSuchUpload, WrongOffset (with the right one), PieceDiffers, BlobTooLarge, DiskFull.
        """
        key = key_of(person, id)
        async with self._lock(key):
            if key not in self._open and await self._in_thread(self._files.read, key) is None:
                raise NoSuchUpload(id=id)
            if self._free() < self.reserve_bytes + len(data):
                raise self._full(len(data))
            hasher = self._hashers.setdefault(key, Hasher())
            try:
                return await self._in_thread(self._files.append, key, offset, data, hasher)
            except NoSuchUpload as e:
                raise NoSuchUpload(id=id) from e
            except OSError as e:
                raise self._full(len(data)) if is_full(e) else e from e

    async def finish(self, *, person: str, id: str) -> Blob:
        """Make the upload a blob; again: the same blob. Raises NoSuchUpload, UploadIncomplete, BadDigest."""
        key = key_of(person, id)
        async with self._lock(key):
            upload = await self._in_thread(self._files.read, key)
            if upload is None:
                raise NoSuchUpload(id=id)
            if upload.digest:
                return Blob(sha256=upload.digest, bytes=upload.bytes)
            if upload.offset < upload.bytes:
                raise UploadIncomplete(offset=upload.offset, bytes=upload.bytes)
            hasher = self._hashers.get(key) or Hasher()
            part = self._files.part(key)
            digest = await self._in_thread(hasher.digest_of, part, upload.bytes)
            if upload.sha256 and digest != upload.sha256:
                await self._in_thread(self._files.drop, key)
                self._forget(key)
                raise BadDigest(found=digest, declared=upload.sha256)
            new = await self._in_thread(self._keep, part, digest)
            self._stored += new
            finished = msgspec.structs.replace(upload, digest=digest)
            await self._in_thread(self._files.write, key, finished)  # first this, so that a crash repeats
            await self._in_thread(_seal, part)
            self._forget(key)
        _log.info("upload.finished", person=person, upload=id, blob=digest, bytes=upload.bytes)
        return Blob(sha256=digest, bytes=upload.bytes)

    async def drop(self, *, person: str, id: str) -> None:
        """Give an upload up."""
        key = key_of(person, id)
        async with self._lock(key):
            await self._in_thread(self._files.drop, key)
            self._forget(key)

    async def clean(self) -> int:
        """Drop uploads that nobody touched for a day; returns how many."""
        dropped = 0
        for key in await self._in_thread(self._files.all_keys):
            async with self._lock(key):
                touched = await self._in_thread(self._files.touched, key)
                if touched < self._clock() - ABANDONED_S:
                    await self._in_thread(self._files.drop, key)
                    self._forget(key)
                    dropped += 1
        if dropped:
            _log.info("uploads.cleaned", dropped=dropped)
        return dropped

    # -- blobs

    async def open(self, digest: str) -> BlobReader:
        """A reader. Raises NoSuchBlob, also for what is no digest."""
        path = self.path_of(digest)
        try:
            return BlobReader(await self._in_thread(Descriptor, path), self._pool)
        except FileNotFoundError as e:
            raise NoSuchBlob(digest=digest) from e

    async def has(self, digest: str) -> bool:
        """Whether a blob is here."""
        return await self._in_thread(self.path_of(digest).exists)

    def path_of(self, digest: str) -> Path:
        """Where a blob of this digest stands or would stand. Raises NoSuchBlob for what is no digest."""
        try:
            msgspec.convert(digest, _Digest)
        except msgspec.ValidationError as e:
            raise NoSuchBlob(digest=digest[:80]) from e
        return self.directory / digest[:2] / digest

    async def add_file(self, path: Path) -> Blob:
        """Keep a copy of a file that was made here. Raises BlobTooLarge, QuotaFull, DiskFull."""
        size = (await self._in_thread(path.stat)).st_size
        if size > self.max_bytes:
            raise BlobTooLarge(bytes=size, limit=self.max_bytes)
        key = key_of("", str(path))
        async with self._lock(key):
            digest = await self._in_thread(sha256_of_file, path)
            if not await self.has(digest):
                self._check_room(size)
                new = await self._in_thread(self._copy_in, path, key, digest)
                self._stored += new
        return Blob(sha256=digest, bytes=size)

    async def delete(self, digest: str) -> bool:
        """Remove a blob that nothing names any more. False if there is none."""
        path = self.path_of(digest)
        try:
            size = (await self._in_thread(path.stat)).st_size
            await self._in_thread(path.unlink)
        except FileNotFoundError:
            return False
        self._stored -= size
        return True

    async def usage(self) -> Usage:
        """How full it is."""
        return Usage(
            stored=self._stored, promised=self._promised(), quota=self.quota_bytes, free=self._free()
        )

    # -- inside

    def _promised(self) -> int:
        return sum(upload.bytes for upload in self._open.values())

    def _free(self) -> int:
        return shutil.disk_usage(self.directory).free

    def _check_room(self, size: int) -> None:
        used = self._stored + self._promised()
        if used + size > self.quota_bytes:
            raise QuotaFull(bytes=size, used=used, quota=self.quota_bytes)
        if self._free() - self._yet_to_come() - size < self.reserve_bytes:
            raise self._full(size)

    def _yet_to_come(self) -> int:
        """Bytes that open uploads may still write; what they wrote is gone from the free space already."""
        return sum(u.bytes - min(self._on_disk(k), u.bytes) for k, u in self._open.items())

    def _on_disk(self, key: str) -> int:
        with suppress(FileNotFoundError):
            return self._files.part(key).stat().st_size
        return 0

    def _full(self, wanted: int) -> DiskFull:
        free = self._free()
        _log.error("blobs.disk_full", free=free, wanted=wanted, reserve=self.reserve_bytes)
        return DiskFull(free=free, wanted=wanted, reserve=self.reserve_bytes, directory=self.directory)

    def _forget(self, key: str) -> None:
        self._open.pop(key, None)
        self._hashers.pop(key, None)

    def _lock(self, key: str) -> asyncio.Lock:
        """The lock of one upload; it lives as long as somebody holds or awaits it."""
        return self._locks.setdefault(key, asyncio.Lock())

    def _keep(self, part: Path, digest: str) -> int:
        """Make a complete part the blob `digest` too; returns the bytes that are new here."""
        descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        path = self.path_of(digest)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        sync_directory(self.directory)
        try:
            os.link(part, path)
            new = size
        except FileExistsError:
            new = 0
        sync_directory(path.parent)
        return new

    def _copy_in(self, path: Path, key: str, digest: str) -> int:
        part = self._files.part(key)
        try:
            shutil.copyfile(path, part)
            part.chmod(0o600)
            if (found := sha256_of_file(part)) != digest:
                raise BadDigest(found=found, declared=digest)
            new = self._keep(part, digest)
            part.chmod(0o400)
            return new
        finally:
            part.unlink(missing_ok=True)

    def _count(self) -> tuple[int, dict[str, Upload]]:
        """Make the directories; the bytes of all blobs, and the uploads under way."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files.directory.mkdir(mode=0o700, exist_ok=True)
        stored = sum(
            entry.stat().st_size
            for folder in self.directory.iterdir()
            if len(folder.name) == 2 and folder.is_dir()
            for entry in folder.iterdir()
        )
        uploads = {key: self._files.read(key) for key in self._files.all_keys()}
        return stored, {k: u for k, u in uploads.items() if u is not None and not u.digest}

    async def _clean_for_ever(self) -> None:
        while True:
            await asyncio.sleep(CLEAN_EVERY_S)
            try:
                await self.clean()
            except OSError as e:
                _log.error("uploads.not_cleaned", error=str(e))

    async def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **kwargs))


def _seal(part: Path) -> None:
    """A part has become a blob: nobody writes it any more, and it has one name."""
    with suppress(FileNotFoundError):
        part.chmod(0o400)
        part.unlink()
