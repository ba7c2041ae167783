"""Functions of a plugin run in a worker: right, late, greedy, loud or dead, it is a value or a sentence."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.plugins import limits
from bot.plugins.hooks import HookFailed, Hooks
from tests.lab.processes import wait_until
from tests.plugins.lab import HELLO, Books, only

TEXT = """
import os, signal, subprocess, sys, time
calls = 0

def plain(names): return {"got": names, "list": [1, 2.5, None, True, "ä"]}
def count(names):
    global calls
    calls += 1
    return calls
def slow(names): time.sleep(names["s"]); return "done"
def loop(names):
    while True: pass
def raises(names): return names["not there"]
def exits(names): sys.exit(1)
def dies(names): os._exit(7)
def dies_once(names):
    os.kill(os.getpid(), signal.SIGKILL)
def eats(names): return len(bytearray(10**9))
def returns_much(names): return "x" * 100_000_000
def returns_two_mb(names): return "x" * 2_000_000
def returns_code(names): return returns_code
def returns_deep(names):
    x = []
    for _ in range(100_000): x = [x]
    return x
def prints(names): print("loud " * 100_000); sys.stderr.write("more " * 100_000); return "quiet"
def floods(names):
    while True: os.write(3, b"\\xff\\xff\\xff\\xff" * 10_000)
def floods_and_ends(names):
    for _ in range(8): os.write(3, b"\\xff" * 65_536)
    os._exit(3)
def hangs_up(names):
    os.close(3)
    while True: pass
def forks(names):
    import ctypes
    ctypes.CDLL(None).system(b"sleep 300 &")  # around the manners
    while True: pass
def writes(names):
    with open(names["path"], "w") as f: f.write("x")
not_a_function = 3
"""


@pytest.fixture
async def hooks(tmp_path: Path) -> AsyncIterator[Hooks]:
    """The functions above, kept."""
    hooks = Hooks(tmp_path / "flows")
    await hooks.keep(SHA, TEXT)
    yield hooks
    await hooks.close()


def _sha(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


SHA = _sha(TEXT)


async def call(hooks: Hooks, hook: str, /, within_s: float = 60.0, **names: Any) -> Any:
    return await hooks.call(SHA, hook, names, source="chatflows.d/x.py", within_s=within_s)


async def test_plain_data_goes_in_and_comes_out(hooks: Hooks) -> None:
    names: dict[str, Any] = {"a": [1, {"b": None}], "c": "ü"}
    assert await call(hooks, "plain", **names) == {"got": names, "list": [1, 2.5, None, True, "ä"]}


async def test_a_worker_stays_warm_and_calls_take_turns(hooks: Hooks) -> None:
    await call(hooks, "count")
    began = time.monotonic()
    assert await asyncio.gather(*(call(hooks, "count") for _ in range(200))) == list(range(2, 202))
    assert time.monotonic() - began < 30  # 200 starts would take longer on any machine


BAD = {
    "loop": "not done within 0.3 s",
    "raises": "KeyError: 'not there'",
    "exits": "SystemExit",
    "dies": "exit code 7",
    "dies_once": "SIGKILL",
    "eats": "256 MiB",
    "returns_much": "MemoryError",
    "returns_two_mb": "2,000,0",
    "returns_code": "no plain data",
    "returns_deep": "no plain data",
    "floods": "stopped",
    "floods_and_ends": "stopped",
    "hangs_up": "closed the pipe",
    "forks": "not done within 0.3 s",
    "not_a_function": "no function",
    "nothing": "no function",
}


@pytest.mark.parametrize("hook", BAD)
async def test_whatever_a_function_does_it_is_a_sentence_and_the_next_call_works(
    hooks: Hooks, hook: str
) -> None:
    await call(hooks, "plain")
    with pytest.raises(HookFailed) as failed:
        await call(hooks, hook, within_s=0.3 if hook in ("loop", "forks") else 60)
    assert BAD[hook] in str(failed.value)
    assert hook in str(failed.value)
    assert (await call(hooks, "plain"))["got"] == {}


async def test_the_line_of_the_fault_is_in_the_sentence(hooks: Hooks) -> None:
    with pytest.raises(HookFailed, match=r"\(raises, line 13\)"):
        await call(hooks, "raises")


async def test_what_a_killed_worker_started_is_gone_too(hooks: Hooks) -> None:
    with pytest.raises(HookFailed):
        await call(hooks, "forks", within_s=0.5)
    assert await asyncio.to_thread(wait_until, lambda: not _sleepers(), 60)  # a kill takes a moment


def _sleepers() -> list[Path]:
    return [c for c in Path("/proc").glob("[0-9]*/cmdline") if _reads(c) == b"sleep\x00300\x00"]


def _reads(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_one_late_call_makes_the_others_wait_and_no_more(hooks: Hooks) -> None:
    await call(hooks, "plain")
    late = asyncio.create_task(call(hooks, "loop", within_s=0.5))
    await asyncio.sleep(0.05)
    assert (await call(hooks, "plain"))["got"] == {}
    with pytest.raises(HookFailed):
        await late


async def test_waiting_for_ones_turn_has_an_end(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HOOK_QUEUE_S", 0.1)
    late = asyncio.create_task(call(hooks, "loop", within_s=1))
    await asyncio.sleep(0.05)
    with pytest.raises(HookFailed, match="busy"):
        await call(hooks, "plain")
    with pytest.raises(HookFailed):
        await late


async def test_a_worker_that_died_while_idle_is_replaced_without_a_word(hooks: Hooks) -> None:
    assert await call(hooks, "count") == 1
    worker = hooks._files[SHA].worker
    assert worker is not None
    os.kill(worker._process.pid, 9)
    assert await call(hooks, "count") == 1


async def test_a_cancelled_call_takes_its_worker_along(hooks: Hooks) -> None:
    doing = asyncio.create_task(call(hooks, "slow", s=1))
    await asyncio.sleep(0.3)
    doing.cancel()
    await asyncio.gather(doing, return_exceptions=True)
    assert await call(hooks, "count") == 1


async def test_an_idle_worker_is_ended(hooks: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "IDLE_S", 0.1)
    await call(hooks, "plain")
    worker = hooks._files[SHA].worker
    assert worker is not None
    await asyncio.wait_for(worker._process.wait(), 60)
    assert await call(hooks, "count") == 1


async def test_printing_is_no_answer(hooks: Hooks) -> None:
    assert await call(hooks, "prints") == "quiet"


async def test_too_much_to_hand_over_is_refused(hooks: Hooks) -> None:
    with pytest.raises(HookFailed, match="more than"):
        await call(hooks, "plain", x="y" * limits.CALL_BYTES)


async def test_a_hooks_file_that_was_changed_is_never_run(hooks: Hooks, tmp_path: Path) -> None:
    file = tmp_path / "flows" / SHA / "hooks.py"
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(TEXT + "\n")
    with pytest.raises(HookFailed, match="not what it was"):
        await call(hooks, "plain")
    file.unlink()
    with pytest.raises(HookFailed, match="missing"):
        await call(hooks, "plain")
    with pytest.raises(HookFailed, match="no file"):
        await hooks.call("", "plain", {})


async def test_a_flow_names_the_hash_of_its_file_only_if_it_needs_its_functions(books: Books) -> None:
    books.write("hello.py", HELLO)
    hooked = HELLO.replace("class Hello", "def nice(names):\n    return ''\n\n\nclass Hooked").replace(
        'Text("Who is there?")', 'Text("Who is there?"), check=nice'
    )
    books.write("hooked.py", hooked)
    book = await books.open()
    assert book.current("hello").flow.hooks == ""
    ready = book.current("hooked")
    assert ready.flow.hooks == _sha(hooked)
    assert await book.call_hook(ready.version, "nice", {}) == ""
    books.write("hooked.py", hooked.replace("return ''", "return 'Be nice.'"))
    await book.reload()
    assert await book.call_hook(ready.version, "nice", {}) == ""  # a session stays with what it began with
    assert await book.call_hook(book.current("hooked").version, "nice", {}) == "Be nice."
    with pytest.raises(HookFailed, match="gone"):
        await book.call_hook("0" * 64, "nice", {})


@pytest.mark.parametrize("hook", ["len", "Hello.nice", "lambda"])
async def test_a_hook_must_be_a_function_of_the_file(books: Books, hook: str) -> None:
    how = {"len": "len", "Hello.nice": "nice", "lambda": "lambda names: ''"}[hook]
    text = HELLO.replace('Text("Who is there?")', f'Text("Who is there?"), check={how}')
    text = text.replace("    who =", "    def nice(names):\n        return ''\n\n    who =")
    books.write("hello.py", text)
    assert "function" in only(await books.open()).says


def test_a_worker_ends_with_its_bot_even_in_an_endless_loop(tmp_path: Path) -> None:
    program = f"""
import asyncio
from pathlib import Path
from bot.plugins.hooks import Hooks

async def main():
    hooks = Hooks(Path({str(tmp_path / "flows")!r}))
    text = "import os\\ndef pid(names): return os.getpid()\\n"
    text += "def loop(names):\\n    while True: pass\\n"
    import hashlib
    sha = hashlib.sha256(text.encode()).hexdigest()
    await hooks.keep(sha, text)
    print(await hooks.call(sha, "pid", {{}}), flush=True)
    await hooks.call(sha, "loop", {{}}, within_s=60)

asyncio.run(main())
"""
    bot = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert bot.stdout is not None
    pid = int(bot.stdout.readline())
    time.sleep(0.2)
    assert Path(f"/proc/{pid}").exists()
    bot.kill()
    bot.wait()
    end = time.monotonic() + 60
    while _alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    assert not _alive(pid)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
