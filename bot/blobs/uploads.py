"""One upload on disk: `KEY.json` says what it shall be, `KEY.part` holds what arrived. Blocking calls.

Rule 1: nothing of an upload is only in memory; where it goes on is the size of the part. Rule 2: a piece is
on the disk (fdatasync) before its offset is told. Rule 3: the key is a hash of person and id, so that ids
of different people never meet and none is a path.
"""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from pathlib import Path

import msgspec

from bot.blobs.refusals import BlobTooLarge, NoSuchUpload, PieceDiffers, WrongOffset

_READ_BYTES = 1024 * 1024  # one read while hashing


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload shall be, and how far it is. `digest` is set once it is a blob."""

    id: str
    person: str
    bytes: int
    name: str = ""
    sha256: str = ""  # as declared, "" = not declared
    digest: str = ""
    offset: int = 0  # filled from the part's size


class Hasher:
    """The running SHA-256 of a part, so that finishing need not read it again in the usual case."""

    def __init__(self) -> None:
        self.offset = 0
        self._sha = hashlib.sha256()

    def take(self, offset: int, data: bytes) -> None:
        """`data` was written at `offset`. A gap makes this hasher useless, which `digest_of` notices."""
        if offset == self.offset:
            self._sha.update(data)
            self.offset += len(data)

    def digest_of(self, path: Path, size: int) -> str:
        """The digest of the whole part: the running one if it saw every byte, else by reading."""
        if self.offset == size:
            return self._sha.hexdigest()
        return sha256_of_file(path)


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            sha.update(piece)
    return sha.hexdigest()


def key_of(person: str, id: str) -> str:
    """The name of an upload's files."""
    return hashlib.sha256(f"{len(person)}:{person}:{id}".encode()).hexdigest()[:32]


class UploadFiles:
    """The directory of open uploads."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def part(self, key: str) -> Path:
        """Where the bytes are."""
        return self.directory / f"{key}.part"

    def _meta(self, key: str) -> Path:
        return self.directory / f"{key}.json"

    def read(self, key: str) -> Upload | None:
        """The upload, with its offset; None when there is none, or it is damaged."""
        try:
            upload = msgspec.json.decode(self._meta(key).read_bytes(), type=Upload)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None
        if upload.digest:
            return msgspec.structs.replace(upload, offset=upload.bytes)
        try:
            return msgspec.structs.replace(upload, offset=self.part(key).stat().st_size)
        except FileNotFoundError:
            return None

    def begin(self, key: str, upload: Upload) -> None:
        """Write a new upload: the empty part first, so that what is described is there."""
        self.part(key).unlink(missing_ok=True)
        os.close(os.open(self.part(key), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        self.write(key, upload)

    def write(self, key: str, upload: Upload) -> None:
        """Write what an upload is, atomically and durably."""
        draft = self.directory / f"{key}.new"
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(upload))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._meta(key))
        sync_directory(self.directory)

    def append(self, key: str, offset: int, data: bytes, hasher: Hasher) -> int:
        """Put `data` at `offset`; what was there already must be the same. Returns the new end.

        Raises WrongOffset, PieceDiffers, BlobTooLarge, NoSuchUpload; OSError leaves the part as it was.
        """
        upload = self.read(key)
        if upload is None:
            raise NoSuchUpload(id="")
        if offset + len(data) > upload.bytes:
            raise BlobTooLarge(bytes=offset + len(data), limit=upload.bytes)
        if offset > upload.offset:
            raise WrongOffset(offset=upload.offset, sent=offset)
        if upload.digest:
            return upload.bytes
        descriptor = os.open(self.part(key), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            overlap = min(upload.offset - offset, len(data))
            if overlap and os.pread(descriptor, overlap, offset) != data[:overlap]:
                raise PieceDiffers(sent=offset)
            fresh = data[overlap:]
            if fresh:
                _write_all(descriptor, fresh, upload.offset)
                hasher.take(upload.offset, fresh)
            return upload.offset + len(fresh)
        finally:
            os.close(descriptor)

    def drop(self, key: str) -> None:
        """Forget an upload. What is described goes last, so that a crash leaves something to clean."""
        self.part(key).unlink(missing_ok=True)
        (self.directory / f"{key}.new").unlink(missing_ok=True)
        self._meta(key).unlink(missing_ok=True)

    def all_keys(self) -> list[str]:
        """Every upload that has any file here."""
        return sorted({p.stem for p in self.directory.iterdir() if p.suffix in (".json", ".part", ".new")})

    def touched(self, key: str) -> float:
        """When anything of this upload was written last (Unix seconds)."""
        latest = 0.0
        for suffix in (".json", ".part", ".new"):
            with suppress(FileNotFoundError):
                latest = max(latest, (self.directory / f"{key}{suffix}").stat().st_mtime)
        return latest


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    written = 0
    try:
        while written < len(data):
            written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)
        os.fdatasync(descriptor)
    except OSError:
        os.ftruncate(descriptor, offset)
        raise


def sync_directory(directory: Path) -> None:
    """Make names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: OSError) -> bool:
    """True when an error says that the disk or a quota of the system is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
