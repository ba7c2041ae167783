"""The demo image is made once, remembered, and made again when it was lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.blobs import Blobs
from bot.demo_images import NOTE, DemoImages


@pytest.fixture
async def blobs(tmp_path: Path) -> AsyncIterator[Blobs]:
    blobs = Blobs(tmp_path / "blobs", quota_bytes=2**30, reserve_bytes=0)
    await blobs.start()
    yield blobs
    await blobs.stop()


async def test_it_is_made_once_and_then_remembered(blobs: Blobs) -> None:
    first = await DemoImages(blobs).welcome()
    made = blobs.path_of(first.blob).stat()
    assert await DemoImages(blobs).welcome() == first
    assert blobs.path_of(first.blob).stat().st_mtime_ns == made.st_mtime_ns
    assert made.st_size == first.blob_bytes
    assert not (blobs.directory / ".demo.tar").exists()


@pytest.mark.parametrize("lost", ["the note", "the blob", "the note is damaged"])
async def test_what_was_lost_is_made_again_with_the_same_digest(blobs: Blobs, lost: str) -> None:
    first = await DemoImages(blobs).welcome()
    if lost == "the blob":
        await blobs.delete(first.blob)
    elif lost == "the note":
        (blobs.directory / NOTE).unlink()
    else:
        (blobs.directory / NOTE).write_text("{")
    assert await DemoImages(blobs).welcome() == first
    assert await blobs.has(first.blob)


async def test_the_fact_offers_it_with_all_that_an_import_needs(blobs: Blobs) -> None:
    option = (await DemoImages(blobs).options())["options"][0]
    assert option["value"] == "welcome"
    assert set(option["data"]) >= {"reference", "blob", "blob_bytes", "port"}
