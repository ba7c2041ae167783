"""Uploads that resume, blobs by digest, a quota and a reserve: on a real disk."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import stat
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.blobs import (
    BadDigest,
    BadUpload,
    Blobs,
    BlobTooLarge,
    DiskFull,
    NoSuchBlob,
    NoSuchUpload,
    PieceDiffers,
    QuotaFull,
    UploadIncomplete,
    WrongOffset,
)
from bot.blobs.blobs import ABANDONED_S
from bot.engine.refusals import IdReused

DATA = random.Random(1).randbytes(300_000)
SHA = hashlib.sha256(DATA).hexdigest()
ME = "p-me"


@asynccontextmanager
async def started(directory: Path, **options: Any) -> AsyncIterator[Blobs]:
    options.setdefault("quota_bytes", 10_000_000)
    options.setdefault("reserve_bytes", 0)
    blobs = Blobs(directory, **options)
    await blobs.start()
    try:
        yield blobs
    finally:
        await blobs.stop()


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncGenerator[Blobs]:
    async with started(tmp_path / "blobs") as made:
        yield made


async def _sent(blobs: Blobs, data: bytes = DATA, *, id: str = "u1", piece: int = 70_000) -> None:
    upload = await blobs.create(person=ME, id=id, bytes=len(data))
    for offset in range(upload.offset, len(data), piece):
        await blobs.append(person=ME, id=id, offset=offset, data=data[offset : offset + piece])


async def _content(blobs: Blobs, digest: str) -> bytes:
    reader = await blobs.open(digest)
    try:
        return await reader.read(0, reader.bytes + 1)
    finally:
        reader.close()


def _files(blobs: Blobs) -> list[str]:
    return sorted(p.name for p in blobs.directory.rglob("*") if p.is_file())


async def test_an_upload_becomes_a_blob_named_by_its_content(blobs: Blobs) -> None:
    await _sent(blobs)
    blob = await blobs.finish(person=ME, id="u1")
    assert (blob.sha256, blob.bytes) == (SHA, len(DATA))
    assert await _content(blobs, SHA) == DATA
    path = blobs.path_of(SHA)
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
    assert stat.S_IMODE(blobs.directory.stat().st_mode) == 0o700


async def test_a_blob_is_read_from_any_offset(blobs: Blobs) -> None:
    await _sent(blobs)
    await blobs.finish(person=ME, id="u1")
    reader = await blobs.open(SHA)
    assert await reader.read(299_990, 100) == DATA[299_990:]
    assert await reader.read(300_000, 100) == b""
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        await reader.read(0, 1)


async def test_closing_a_reader_while_it_reads_is_safe(blobs: Blobs) -> None:
    await _sent(blobs)
    await blobs.finish(person=ME, id="u1")
    for _ in range(200):
        reader = await blobs.open(SHA)
        reading = asyncio.gather(*(reader.read(0, 50_000) for _ in range(4)))
        await asyncio.sleep(0)
        reader.close()
        assert {data for data in await reading} == {DATA[:50_000]}


async def test_beginning_again_meets_the_same_upload(blobs: Blobs) -> None:
    first = await blobs.create(person=ME, id="u1", bytes=10, name="a.tar")
    await blobs.append(person=ME, id="u1", offset=0, data=b"12345")
    again = await blobs.create(person=ME, id="u1", bytes=10, name="a.tar")
    assert (first.offset, again.offset) == (0, 5)
    assert (await blobs.usage()).promised == 10


async def test_beginning_again_with_another_file_is_refused(blobs: Blobs) -> None:
    await blobs.create(person=ME, id="u1", bytes=10)
    for other in ({"bytes": 11}, {"bytes": 10, "name": "x"}, {"bytes": 10, "sha256": SHA}):
        with pytest.raises(IdReused):
            await blobs.create(person=ME, id="u1", **other)


async def test_the_same_piece_again_changes_nothing(blobs: Blobs) -> None:
    await blobs.create(person=ME, id="u1", bytes=len(DATA))
    for _ in range(3):
        assert await blobs.append(person=ME, id="u1", offset=0, data=DATA[:1_000]) == 1_000
    assert await blobs.append(person=ME, id="u1", offset=500, data=DATA[500:1_500]) == 1_500
    assert await blobs.append(person=ME, id="u1", offset=100, data=DATA[100:200]) == 1_500
    assert await blobs.append(person=ME, id="u1", offset=1_500, data=DATA[1_500:]) == len(DATA)
    assert (await blobs.finish(person=ME, id="u1")).sha256 == SHA


async def test_a_piece_at_another_offset_is_refused_with_the_right_one(blobs: Blobs) -> None:
    await blobs.create(person=ME, id="u1", bytes=100)
    await blobs.append(person=ME, id="u1", offset=0, data=b"x" * 10)
    with pytest.raises(WrongOffset) as refused:
        await blobs.append(person=ME, id="u1", offset=11, data=b"x")
    assert refused.value.offset == 10
    assert "byte 10" in refused.value.sentence


async def test_other_bytes_for_a_range_that_came_are_refused(blobs: Blobs) -> None:
    await blobs.create(person=ME, id="u1", bytes=100)
    await blobs.append(person=ME, id="u1", offset=0, data=b"x" * 10)
    with pytest.raises(PieceDiffers):
        await blobs.append(person=ME, id="u1", offset=5, data=b"y" * 10)
    assert (await blobs.upload(person=ME, id="u1")).offset == 10


async def test_more_than_was_declared_is_refused(blobs: Blobs) -> None:
    await blobs.create(person=ME, id="u1", bytes=10)
    with pytest.raises(BlobTooLarge):
        await blobs.append(person=ME, id="u1", offset=0, data=b"x" * 11)
    assert (await blobs.upload(person=ME, id="u1")).offset == 0


async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with started(tmp_path / "b") as blobs:
        await blobs.create(person=ME, id="u1", bytes=len(DATA), sha256=SHA)
        await blobs.append(person=ME, id="u1", offset=0, data=DATA[:100_000])
    async with started(tmp_path / "b") as blobs:
        assert (await blobs.upload(person=ME, id="u1")).offset == 100_000
        assert (await blobs.usage()).promised == len(DATA)
        await blobs.append(person=ME, id="u1", offset=100_000, data=DATA[100_000:])
        assert (await blobs.finish(person=ME, id="u1")).sha256 == SHA
    async with started(tmp_path / "b") as blobs:
        usage = await blobs.usage()
        assert (usage.stored, usage.promised) == (len(DATA), 0)


async def test_what_is_not_complete_cannot_be_finished(blobs: Blobs) -> None:
    await blobs.create(person=ME, id="u1", bytes=100)
    await blobs.append(person=ME, id="u1", offset=0, data=b"x" * 10)
    with pytest.raises(UploadIncomplete) as refused:
        await blobs.finish(person=ME, id="u1")
    assert refused.value.offset == 10


async def test_finishing_again_gives_the_same_blob_also_after_a_restart(tmp_path: Path) -> None:
    async with started(tmp_path / "b") as blobs:
        await _sent(blobs)
        first = await blobs.finish(person=ME, id="u1")
        assert await blobs.finish(person=ME, id="u1") == first
    async with started(tmp_path / "b") as blobs:
        assert await blobs.finish(person=ME, id="u1") == first
        assert (await blobs.upload(person=ME, id="u1")).digest == SHA
        assert (await blobs.create(person=ME, id="u1", bytes=len(DATA))).digest == SHA


@pytest.mark.parametrize("dies_at", ["_keep", "write", "_seal"])
async def test_a_bot_that_dies_while_finishing_finishes_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dies_at: str
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    async with started(tmp_path / "b") as blobs:
        await _sent(blobs)
        with monkeypatch.context() as patched:
            if dies_at == "_seal":
                patched.setattr("bot.blobs.blobs._seal", die)
            elif dies_at == "write":
                patched.setattr(blobs._files, "write", die)
            else:
                patched.setattr(blobs, "_keep", die)
            with pytest.raises(KeyboardInterrupt):
                await blobs.finish(person=ME, id="u1")
    async with started(tmp_path / "b") as blobs:
        await blobs.append(person=ME, id="u1", offset=0, data=DATA[:100])
        assert (await blobs.finish(person=ME, id="u1")).sha256 == SHA
        assert await _content(blobs, SHA) == DATA
        assert (await blobs.usage()).stored == len(DATA)


async def test_content_that_is_not_what_was_declared_is_refused_and_dropped(blobs: Blobs) -> None:
    await blobs.create(person=ME, id="u1", bytes=5, sha256=SHA)
    await blobs.append(person=ME, id="u1", offset=0, data=b"wrong")
    with pytest.raises(BadDigest):
        await blobs.finish(person=ME, id="u1")
    with pytest.raises(NoSuchUpload):
        await blobs.finish(person=ME, id="u1")
    assert not await blobs.has(SHA)
    assert _files(blobs) == []
    assert (await blobs.usage()).promised == 0


async def test_a_part_changed_on_the_disk_is_noticed_by_its_digest(tmp_path: Path) -> None:
    async with started(tmp_path / "b") as blobs:
        await blobs.create(person=ME, id="u1", bytes=len(DATA), sha256=SHA)
        await blobs.append(person=ME, id="u1", offset=0, data=DATA[:-1])
    part = next((tmp_path / "b" / "uploads").glob("*.part"))
    part.write_bytes(b"\x00" * (len(DATA) - 1))
    async with started(tmp_path / "b") as blobs:
        await blobs.append(person=ME, id="u1", offset=len(DATA) - 1, data=DATA[-1:])
        with pytest.raises(BadDigest):
            await blobs.finish(person=ME, id="u1")


async def test_uploads_of_the_same_content_at_once_end_in_one_file(blobs: Blobs) -> None:
    await asyncio.gather(*(_sent(blobs, id=f"u{n}") for n in range(8)))
    done = await asyncio.gather(*(blobs.finish(person=ME, id=f"u{n}") for n in range(8)))
    assert {blob.sha256 for blob in done} == {SHA}
    assert [name for name in _files(blobs) if len(name) == 64] == [SHA]
    usage = await blobs.usage()
    assert (usage.stored, usage.promised) == (len(DATA), 0)


async def test_the_same_upload_finished_twenty_times_at_once_is_one(blobs: Blobs) -> None:
    await _sent(blobs)
    done = await asyncio.gather(*(blobs.finish(person=ME, id="u1") for _ in range(20)))
    assert {blob.sha256 for blob in done} == {SHA}
    assert (await blobs.usage()).stored == len(DATA)


async def test_the_same_piece_sent_twenty_times_at_once_arrives_once(blobs: Blobs) -> None:
    await blobs.create(person=ME, id="u1", bytes=len(DATA))
    offsets = await asyncio.gather(
        *(blobs.append(person=ME, id="u1", offset=0, data=DATA) for _ in range(20))
    )
    assert set(offsets) == {len(DATA)}
    assert (await blobs.finish(person=ME, id="u1")).sha256 == SHA


async def test_uploads_of_two_people_never_meet(blobs: Blobs) -> None:
    await blobs.create(person=ME, id="u1", bytes=5)
    with pytest.raises(NoSuchUpload):
        await blobs.append(person="p-other", id="u1", offset=0, data=b"x")
    with pytest.raises(NoSuchUpload):
        await blobs.finish(person="p-other", id="u1")
    await blobs.create(person="p-other", id="u1", bytes=7)
    assert (await blobs.upload(person=ME, id="u1")).bytes == 5


@pytest.mark.parametrize("id", ["", "../x", "a/b", "x" * 101, "a b", "\x00", "é", "a\n"])
async def test_an_id_that_is_no_id_is_refused(blobs: Blobs, id: str) -> None:
    with pytest.raises(BadUpload):
        await blobs.create(person=ME, id=id, bytes=5)
    with pytest.raises(NoSuchUpload):
        await blobs.append(person=ME, id=id, offset=0, data=b"x")
    assert _files(blobs) == []


@pytest.mark.parametrize("sha256", ["x", "A" * 64, "sha256:" + "a" * 64, "a" * 63])
async def test_a_digest_that_is_no_digest_is_refused(blobs: Blobs, sha256: str) -> None:
    with pytest.raises(BadUpload):
        await blobs.create(person=ME, id="u1", bytes=5, sha256=sha256)


@pytest.mark.parametrize("digest", ["", "..", "../../etc/passwd", "A" * 64, "a" * 63, "a" * 64 + "\n"])
async def test_what_is_no_digest_opens_nothing(blobs: Blobs, digest: str) -> None:
    with pytest.raises(NoSuchBlob):
        await blobs.open(digest)


@pytest.mark.parametrize("size", [0, -1])
async def test_an_upload_of_nothing_is_refused(blobs: Blobs, size: int) -> None:
    with pytest.raises(BadUpload):
        await blobs.create(person=ME, id="u1", bytes=size)


async def test_a_file_above_the_limit_is_refused_at_the_beginning(tmp_path: Path) -> None:
    async with started(tmp_path / "b", max_bytes=1_000) as blobs:
        with pytest.raises(BlobTooLarge) as refused:
            await blobs.create(person=ME, id="u1", bytes=1_001)
        assert "1,000" in refused.value.sentence


async def test_the_quota_counts_what_is_promised(tmp_path: Path) -> None:
    async with started(tmp_path / "b", quota_bytes=1_000) as blobs:
        await blobs.create(person=ME, id="u1", bytes=600)
        with pytest.raises(QuotaFull) as refused:
            await blobs.create(person=ME, id="u2", bytes=401)
        assert "600 of 1,000" in refused.value.sentence
        await blobs.create(person=ME, id="u2", bytes=400)
        await blobs.drop(person=ME, id="u1")
        await blobs.create(person=ME, id="u3", bytes=600)


async def test_the_quota_counts_what_is_stored(tmp_path: Path) -> None:
    async with started(tmp_path / "b", quota_bytes=len(DATA) + 10) as blobs:
        await _sent(blobs)
        await blobs.finish(person=ME, id="u1")
        with pytest.raises(QuotaFull):
            await blobs.create(person=ME, id="u2", bytes=11)
    async with started(tmp_path / "b", quota_bytes=len(DATA) + 10) as blobs:
        with pytest.raises(QuotaFull):
            await blobs.create(person=ME, id="u2", bytes=11)
        assert await blobs.delete(SHA)
        assert not await blobs.delete(SHA)
        await blobs.create(person=ME, id="u2", bytes=11)


async def test_abandoned_uploads_are_dropped_after_a_day_and_others_stay(tmp_path: Path) -> None:
    async with started(tmp_path / "b") as blobs:
        await _sent(blobs, id="old")
        await blobs.create(person=ME, id="new", bytes=10)
        long_ago = os.stat(tmp_path).st_mtime - ABANDONED_S - 10
        for path in (tmp_path / "b" / "uploads").iterdir():
            if path.stat().st_size > 1_000 or b'"old"' in path.read_bytes():
                os.utime(path, (long_ago, long_ago))
        assert await blobs.clean() == 1
        with pytest.raises(NoSuchUpload):
            await blobs.upload(person=ME, id="old")
        assert (await blobs.upload(person=ME, id="new")).bytes == 10
        assert (await blobs.usage()).promised == 10


async def test_an_upload_whose_description_is_damaged_begins_anew(tmp_path: Path) -> None:
    async with started(tmp_path / "b") as blobs:
        await blobs.create(person=ME, id="u1", bytes=10)
        await blobs.append(person=ME, id="u1", offset=0, data=b"12345")
    next((tmp_path / "b" / "uploads").glob("*.json")).write_text("{")
    async with started(tmp_path / "b") as blobs:
        with pytest.raises(NoSuchUpload):
            await blobs.append(person=ME, id="u1", offset=5, data=b"6")
        assert (await blobs.create(person=ME, id="u1", bytes=10)).offset == 0


async def test_a_file_made_here_becomes_a_blob_once(blobs: Blobs, tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    await asyncio.to_thread(path.write_bytes, DATA)
    first = await blobs.add_file(path)
    assert (first.sha256, first.bytes) == (SHA, len(DATA))
    assert await blobs.add_file(path) == first
    await asyncio.gather(*(blobs.add_file(path) for _ in range(10)))
    assert _files(blobs) == [SHA]
    assert (await blobs.usage()).stored == len(DATA)
    assert await asyncio.to_thread(path.read_bytes) == DATA


async def test_a_file_made_here_has_to_fit_too(tmp_path: Path) -> None:
    path = tmp_path / "archive.tar"
    path.write_bytes(DATA)
    async with started(tmp_path / "b", quota_bytes=1_000) as blobs:
        with pytest.raises(QuotaFull):
            await blobs.add_file(path)
        assert _files(blobs) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A disk of 4 MiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", mount], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


async def test_an_upload_that_would_touch_the_reserve_is_refused_before_it_begins(small_disk: Path) -> None:
    async with started(small_disk / "b", reserve_bytes=2 * 1024**2) as blobs:
        with pytest.raises(DiskFull) as refused:
            await blobs.create(person=ME, id="u1", bytes=3 * 1024**2)
        assert "2,097,152 kept" in refused.value.sentence
        await blobs.create(person=ME, id="u1", bytes=1024**2)
        with pytest.raises(DiskFull):  # the first one's bytes have yet to come
            await blobs.create(person=ME, id="u2", bytes=1024**2)


async def test_a_disk_that_fills_up_meanwhile_loses_nothing(small_disk: Path) -> None:
    data = random.Random(2).randbytes(2 * 1024**2)
    async with started(small_disk / "b") as blobs:
        await blobs.create(person=ME, id="u1", bytes=len(data))
        await blobs.append(person=ME, id="u1", offset=0, data=data[:1_000_000])
        other = small_disk / "other"
        await asyncio.to_thread(other.write_bytes, b"x" * (2 * 1024**2 + 500_000))
        blobs._free = lambda: 10**9  # type: ignore[method-assign]  # only the disk itself knows yet
        with pytest.raises(DiskFull):
            await blobs.append(person=ME, id="u1", offset=1_000_000, data=data[1_000_000:])
        assert (await blobs.upload(person=ME, id="u1")).offset == 1_000_000
        await asyncio.to_thread(other.unlink)
        await blobs.append(person=ME, id="u1", offset=1_000_000, data=data[1_000_000:])
        blob = await blobs.finish(person=ME, id="u1")
        assert blob.sha256 == hashlib.sha256(data).hexdigest()
