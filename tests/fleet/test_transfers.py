"""Blobs on their way to an agent: with credits, from any offset, in turn, and only its own."""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path

from agent.link.messages import BlobCredit, BlobGone, BlobWanted
from agent.orders import limits
from tests.fleet.conftest import Lab
from tests.fleet.node import Node

CHUNK = limits.CHUNK_BYTES


async def _blob(lab: Lab, size: int, seed: int = 1) -> tuple[str, bytes]:
    data = random.Random(seed).randbytes(size)
    path = lab.folder / f"file{seed}"
    await asyncio.to_thread(Path.write_bytes, path, data)
    blob = await lab.blobs.add_file(path)
    assert blob.sha256 == hashlib.sha256(data).hexdigest()
    return blob.sha256, data


async def _ordered(lab: Lab, node: Node, *blobs: str) -> None:
    for blob in blobs:
        order = {"verb": "image.import", "blob": blob, "blob_bytes": 1, "reference": "x"}
        await lab.fleet.send(lab.effect(node, order))
        await node.order()


async def _chunks(node: Node, count: int) -> list[tuple[str, int, bytes]]:
    async with asyncio.timeout(60):
        return [await node.chunks.get() for _ in range(count)]


async def _gone(node: Node) -> BlobGone:
    async with asyncio.timeout(60):
        message = await node.other.get()
    assert isinstance(message, BlobGone)
    return message


async def test_a_blob_arrives_whole_and_in_order(lab: Lab) -> None:
    node = await lab.linked()
    blob, data = await _blob(lab, CHUNK * 3 + 17)
    await _ordered(lab, node, blob)
    await node.say(BlobWanted(blob=blob))
    chunks = await _chunks(node, 4)
    assert [offset for _, offset, _ in chunks] == [0, CHUNK, 2 * CHUNK, 3 * CHUNK]
    assert b"".join(data for _, _, data in chunks) == data


async def test_never_more_chunks_come_than_were_granted(lab: Lab) -> None:
    node = await lab.linked()
    blob, data = await _blob(lab, CHUNK * 20)
    await _ordered(lab, node, blob)
    await node.say(BlobWanted(blob=blob, credits=3))
    got = await _chunks(node, 3)
    for credits in (1, 5, 11):
        await asyncio.sleep(0.2)
        assert node.chunks.empty()
        await node.say(BlobCredit(blob=blob, credits=credits))
        got += await _chunks(node, credits)
    assert b"".join(data for _, _, data in got) == data


async def test_credits_do_not_pile_up_beyond_the_limit(lab: Lab) -> None:
    node = await lab.linked()
    blob, _ = await _blob(lab, 1)
    await _ordered(lab, node, blob)
    for _ in range(50):
        await node.say(BlobCredit(blob=blob, credits=limits.BLOB_CREDITS))  # nothing is under way: no effect
    await node.say(BlobWanted(blob=blob, credits=1))
    await _chunks(node, 1)


async def test_after_a_lost_link_the_rest_comes_from_its_offset(lab: Lab) -> None:
    node = await lab.linked()
    blob, data = await _blob(lab, CHUNK * 10 + 5)
    await _ordered(lab, node, blob)
    await node.say(BlobWanted(blob=blob, credits=4))
    got = b"".join(data for _, _, data in await _chunks(node, 4))
    await lab.down(node)
    await lab.restart()
    await lab.up(node)
    await node.say(BlobWanted(blob=blob, offset=len(got), credits=64))
    got += b"".join(data for _, _, data in await _chunks(node, 7))
    assert got == data


async def test_asking_again_begins_again_at_the_new_offset(lab: Lab) -> None:
    node = await lab.linked()
    blob, data = await _blob(lab, CHUNK * 10)
    await _ordered(lab, node, blob)
    await node.say(BlobWanted(blob=blob, credits=2))
    await _chunks(node, 2)
    await node.say(BlobWanted(blob=blob, offset=7, credits=1))
    assert await _chunks(node, 1) == [(blob, 7, data[7 : 7 + CHUNK])]


async def test_two_blobs_come_in_turn(lab: Lab) -> None:
    node = await lab.linked()
    one, _ = await _blob(lab, CHUNK * 60, seed=1)
    two, _ = await _blob(lab, CHUNK * 60, seed=2)
    await _ordered(lab, node, one, two)
    await node.say(BlobWanted(blob=one))
    await node.say(BlobWanted(blob=two))
    came = [blob for blob, _, _ in await _chunks(node, 120)]
    first_half = came[:60]
    assert first_half.count(two) >= 20, "one transfer must not starve the other"


async def test_an_order_is_not_held_up_by_a_blob(lab: Lab) -> None:
    node = await lab.linked()
    blob, _ = await _blob(lab, CHUNK * 640)
    await _ordered(lab, node, blob)
    await node.say(BlobWanted(blob=blob, credits=64))
    await _chunks(node, 1)
    await lab.fleet.send(lab.effect(node))
    await node.order()


async def test_a_blob_that_no_order_of_the_node_names_is_not_sent(lab: Lab) -> None:
    node, other = await lab.linked(), await lab.linked()
    blob, _ = await _blob(lab, 100)
    await _ordered(lab, other, blob)
    await node.say(BlobWanted(blob=blob))
    assert await _gone(node) == BlobGone(blob=blob, reason="No order of this node names this blob.")
    assert node.chunks.empty()
    await other.say(BlobWanted(blob=blob))
    await _chunks(other, 1)


async def test_a_deployed_blob_may_be_fetched_later_too(lab: Lab) -> None:
    node = await lab.linked()
    blob, data = await _blob(lab, 100)
    image = {"reference": "mine.tar", "blob": blob, "blob_bytes": 100}
    await lab.fleet.send(lab.deploy(node, image=image))
    await node.finish(await node.order())
    await node.until_kept()
    await node.say(BlobWanted(blob=blob))
    assert await _chunks(node, 1) == [(blob, 0, data)]


async def test_a_blob_that_is_not_there_is_said_to_be_gone(lab: Lab) -> None:
    node = await lab.linked()
    blob = "f" * 64
    await _ordered(lab, node, blob)
    await node.say(BlobWanted(blob=blob))
    assert "no file" in (await _gone(node)).reason


async def test_an_offset_behind_the_end_is_said_to_be_gone(lab: Lab) -> None:
    node = await lab.linked()
    blob, _ = await _blob(lab, 100)
    await _ordered(lab, node, blob)
    await node.say(BlobWanted(blob=blob, offset=100))
    assert "100 bytes" in (await _gone(node)).reason
    await node.say(BlobWanted(blob=blob, offset=2**62))
    await _gone(node)


async def test_only_so_many_blobs_at_once(lab: Lab) -> None:
    node = await lab.linked()
    blobs = [(await _blob(lab, CHUNK * 3, seed=n))[0] for n in range(9)]
    await _ordered(lab, node, *blobs)
    for blob in blobs:
        await node.say(BlobWanted(blob=blob, credits=1))
    assert (await _gone(node)).blob == blobs[-1]
    await _chunks(node, 8)
