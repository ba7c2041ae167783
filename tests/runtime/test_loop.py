"""Nothing of ours blocks the event loop: not a session, not a plugin, not the audit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, BlockingError

from bot.plugins import files
from tests.plugins.lab import HELLO
from tests.runtime.lab import Lab, asks, is_over


@pytest.fixture
def no_blocking() -> Iterator[BlockBuster]:
    """A blocking call of bot or agent on the loop raises."""
    guard = BlockBuster(["bot", "agent"])
    guard.activate()
    yield guard
    guard.deactivate()


async def test_a_session_with_orders_plugins_and_audit_blocks_nowhere(
    lab: Lab, no_blocking: BlockBuster
) -> None:
    plugin = HELLO.replace("class Hello", "def nice(names):\n    return ''\n\n\nclass Hello").replace(
        'there?")', 'there?"), check=nice'
    )
    await asyncio.to_thread((lab.plugin_folder / "hello.py").write_text, plugin)
    await lab.flows.reload()
    session = (await lab.open("fetch")).session
    await lab.answer((await lab.answer(session, "nginx")).session, True)
    session = await lab.until(session.id, asks("more"))
    assert is_over((await lab.answer(session, "x")).session)
    session = (await lab.open("hello", id="2")).session
    assert is_over((await lab.answer(session, "Ada")).session)
    await lab.end()
    await lab.begin()
    with pytest.raises(BlockingError):  # the guard is awake
        files.read(lab.plugin_folder / "hello.py")


async def test_the_loop_turns_while_a_plugin_loops_and_a_hundred_sessions_run(lab: Lab) -> None:
    await asyncio.to_thread((lab.plugin_folder / "loops.py").write_text, "while True:\n    pass\n")
    loading = asyncio.create_task(lab.flows.reload())
    late: list[float] = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            late.append(time.monotonic() - before)

    async def play(n: int) -> None:
        session = (await lab.open("greet", id=str(n))).session
        await lab.answer((await lab.answer(session, "Ada")).session, 3)

    ticking = asyncio.create_task(tick())
    await asyncio.gather(*(play(n) for n in range(100)))
    ticking.cancel()
    loading.cancel()
    await asyncio.gather(ticking, loading, return_exceptions=True)
    assert sorted(late)[len(late) // 2] < 0.2
    assert max(late) < 2
