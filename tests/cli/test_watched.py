"""A watched process: started again when it ends, asked to end, killed when it does not."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bot.cli import watched
from bot.cli.watched import Watched
from tests.lab.processes import wait_until

Start = Callable[..., Watched]


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    monkeypatch.setattr(watched, "BACKOFF_S", (0.05, 0.1))
    made: list[Watched] = []

    def make(program: str, **more: object) -> Watched:
        one = Watched(
            "thing",
            [sys.executable, "-c", program],
            log=tmp_path / "log",
            say=lambda line: made_says.append(line),
            on_start=lambda: None,
            **more,  # type: ignore[arg-type]
        )
        made.append(one)
        return one

    made_says: list[str] = []
    make.says = made_says  # type: ignore[attr-defined]
    yield make
    for one in made:
        await one.stop(0.1, hurry=asyncio.Event())


async def _until(holds: Callable[[], bool], within_s: float = 60) -> bool:
    return await asyncio.to_thread(wait_until, holds, within_s)


async def test_it_is_started_again_after_it_was_killed_and_that_is_said(start: Start) -> None:
    one = start("import time; time.sleep(60)")
    await one.start()
    first = one.started()
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    assert await _until(lambda: (now := one.started()) is not None and now != first)
    assert "killed by SIGKILL" in start.says[0]  # type: ignore[attr-defined]


async def test_its_output_is_its_log_and_the_last_line_is_known(start: Start) -> None:
    one = start("print('hello', flush=True); import time; time.sleep(60)")
    await one.start()
    assert await _until(lambda: one.last_line() == "hello")


async def test_ctrl_c_does_not_reach_it(start: Start) -> None:
    one = start("import time; time.sleep(60)")
    await one.start()
    assert one.process is not None
    assert os.getsid(one.process.pid) != os.getsid(0)


async def test_it_is_asked_to_end_and_then_not_started_again(start: Start) -> None:
    one = start("import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0)); time.sleep(60)")
    await one.start()
    await asyncio.sleep(0.3)
    await one.stop(5, hurry=asyncio.Event())
    assert one.process is not None
    assert one.process.returncode in (0, -signal.SIGTERM)
    await asyncio.sleep(0.2)
    assert one.started() is None


@pytest.mark.parametrize("why", ["time is up", "somebody hurries"])
async def test_one_that_does_not_end_is_killed(
    start: Start, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(watched, "HURRY_S", 0.2)
    one = start(
        "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    )
    await one.start()
    assert await _until(lambda: one.last_line() == "1")
    hurry = asyncio.Event()
    if why == "somebody hurries":
        hurry.set()
    began = time.monotonic()
    await one.stop(0.2 if why == "time is up" else 60, hurry=hurry)
    assert time.monotonic() - began < 50
    assert one.process is not None
    assert one.process.returncode == -signal.SIGKILL


async def test_what_runs_as_somebody_else_ends_when_its_pipe_closes(start: Start, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    inner = (
        f"import signal, sys, time; end = lambda *_: (open({str(mark)!r}, 'w'), sys.exit(0))\n"
        "signal.signal(15, end); print('ready', flush=True); time.sleep(60)"
    )
    program = f"from bot.cli.as_root import main; main([{sys.executable!r}, '-c', {inner!r}])"
    one = start(program, stops_by_pipe=True)
    await one.start()
    assert await _until(lambda: one.last_line() == "ready")
    await one.stop(60, hurry=asyncio.Event())
    assert mark.exists()
