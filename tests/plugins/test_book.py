"""Which flows there are, which is current, and that one bad file is only one bad file."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from bot.engine.refusals import Gone, NoSuchFlow
from bot.plugins import limits
from bot.plugins.book import FlowBook
from tests.plugins.lab import HELLO, Books, names, only

CALLS = """
from bot.engine import Call, Chatflow, End


class {cls}(Chatflow):
    title = "{cls}"
    go = Call("{called}")
    done = End("Done.")
"""


async def test_a_plugin_in_the_folder_is_a_flow(books: Books) -> None:
    books.write("hello.py", HELLO)
    book = await books.open()
    ready = book.current("hello")
    assert (ready.flow.source, ready.flow.hooks) == ("chatflows.d/hello.py", "")
    assert book.by_version(ready.version) is ready
    assert books.memory.flows.keys() == {ready.version}
    assert books.loaded[0].flows == ("hello",)
    assert not book.troubles()


async def test_the_built_in_flows_all_load(books: Books) -> None:
    book = await books.open(package="bot.chatflows")
    assert {"deploy", "running"} <= set(names(book))
    assert not book.troubles()


FLOOD = """
import os
for fd in range(3, 9):
    try:
        os.write(fd, b"\\xff" * 100)
    except OSError:
        pass
"""
SPEECHLESS = """class E(Exception):
    def __str__(self): raise ValueError
raise E
"""
BAD = {
    "raises at import": ("x = 1\nraise RuntimeError('boom')\n", 2, "RuntimeError: boom"),
    "is no Python": ("x = 1\nclass Hello(:\n", 2, "not Python"),
    "has a NUL": ("x = 1\x00", 0, "null bytes"),
    "imports what is not there": ("import nothing_of_that_name\n", 1, "nothing_of_that_name"),
    "ends the process": ("import os\nos._exit(3)\n", 0, "exit code 3"),
    "exits": ("import sys\nsys.exit(0)\n", 2, "SystemExit"),
    "kills itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", 0, "SIGKILL"),
    "has no flow": ("x = 1\n", 0, "no chatflow"),
    "eats memory": ("x = [0] * 10**10\n", 1, "memory"),
    "calls itself": ("def f():\n    f()\nf()\n", 2, "RecursionError"),
    "answers for the worker": (FLOOD, 0, "returned more"),
    "has a state that leads nowhere": (HELLO.replace('there?")', 'there?"), then="nowhere"'), 9, "nowhere"),
    "has a template bomb": (HELLO.replace("{{ who }}", "{{ 'x' * 500000000 }}"), 10, "not permitted"),
    "raises what cannot be said": (SPEECHLESS, 3, "E."),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_file_is_listed_with_its_line_and_disturbs_no_other(books: Books, what: str) -> None:
    text, line, says = BAD[what]
    books.write("bad.py", text)
    books.write("hello.py", HELLO)
    book = await books.open()
    assert names(book) == ["hello"]
    trouble = only(book)
    assert trouble.file == "chatflows.d/bad.py"
    assert trouble.line == line
    assert says in trouble.says
    assert trouble.sentence.startswith("chatflows.d/bad.py:")


async def test_a_file_that_never_ends_is_stopped(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOAD_S", 3.0)
    books.write("loops.py", "while True:\n    pass\n")
    books.write("sleeps.py", "import time\ntime.sleep(3600)\n")
    books.write("zebra.py", HELLO)
    book = await books.open()
    assert names(book) == ["hello"]
    assert [trouble.says for trouble in book.troubles()] == [
        "It was not done within 3 s, so it was stopped: look for what never ends."
    ] * 2
    assert not workers()


def workers() -> list[str]:
    """Workers that live, of this process."""
    own = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [pid for pid in own if b"bot.plugins.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_a_changed_file_gives_a_new_version_and_the_old_one_stays(books: Books) -> None:
    path = books.write("hello.py", HELLO)
    book = await books.open()
    old = book.current("hello").version
    path.write_text(HELLO.replace("Hello **", "Hi **"))
    assert await book.reload()
    assert not await book.reload()
    new = book.current("hello").version
    assert new != old
    assert book.by_version(old).version == old
    other = await books.open()  # another process, that never saw the old text
    with pytest.raises(NoSuchFlow):
        other.by_version(old)
    await other.bring([old])
    assert other.by_version(old).version == old
    path.unlink()
    assert await book.reload()
    with pytest.raises(NoSuchFlow):
        book.current("hello")
    assert book.by_version(new).version == new
    with pytest.raises(NoSuchFlow):
        await book.bring(["0" * 64])


async def test_a_saved_file_is_there_within_a_second_or_two(books: Books) -> None:
    book = await books.open(watch=True)
    books.write("hello.py", HELLO)
    async with asyncio.timeout(60):
        while names(book) != ["hello"]:  # noqa: ASYNC110 - the book tells nobody
            await asyncio.sleep(0.05)


async def test_a_mistake_while_editing_keeps_the_last_good_flow(books: Books) -> None:
    path = books.write("hello.py", HELLO)
    book = await books.open()
    version = book.current("hello").version
    path.write_text(HELLO + "\noops(\n")
    await book.reload()
    assert "stays in use" in only(book).says
    assert book.current("hello").version == version
    path.write_text(HELLO)
    await book.reload()
    assert not book.troubles()


async def test_a_name_belongs_to_the_built_in_flow_then_to_the_first_file(books: Books) -> None:
    books.write("b.py", HELLO)
    books.write("a.py", HELLO)
    books.write("deploy.py", HELLO.replace("class Hello", "class Deploy"))
    book = await books.open(package="bot.chatflows")
    assert book.current("hello").flow.source == "chatflows.d/a.py"
    assert book.current("deploy").flow.source.startswith("bot/chatflows/")
    says = {trouble.file: trouble.says for trouble in book.troubles()}
    assert "chatflows.d/a.py has a chatflow 'hello' already" in says["chatflows.d/b.py"]
    assert "has a chatflow 'deploy' already" in says["chatflows.d/deploy.py"]


async def test_called_flows_are_pinned_and_a_new_text_of_one_renews_its_callers(books: Books) -> None:
    hello = books.write("hello.py", HELLO)
    books.write("outer.py", CALLS.format(cls="Outer", called="inner"))
    books.write("inner.py", CALLS.format(cls="Inner", called="hello"))
    book = await books.open()
    before = {name: book.current(name).version for name in names(book)}
    assert book.current("inner").flow.states["go"].version == before["hello"]  # type: ignore[union-attr]
    assert book.current("outer").flow.states["go"].version == before["inner"]  # type: ignore[union-attr]
    hello.write_text(HELLO.replace("Hello **", "Hi **"))
    await book.reload()
    assert all(book.current(name).version != version for name, version in before.items())
    other = await books.open()
    await other.bring([before["outer"]])  # and what it calls
    assert other.by_version(before["hello"]).version == before["hello"]


async def test_flows_in_a_circle_and_calls_of_nothing(books: Books) -> None:
    books.write("ping.py", CALLS.format(cls="Ping", called="pong"))
    books.write("pong.py", CALLS.format(cls="Pong", called="ping"))
    books.write("own.py", CALLS.format(cls="Own", called="own"))
    books.write("lost.py", CALLS.format(cls="Lost", called="nothing"))
    books.write("more.py", CALLS.format(cls="More", called="lost"))
    book = await books.open()
    assert names(book) == ["own", "ping", "pong"]
    assert {trouble.flow for trouble in book.troubles()} == {"lost", "more"}
    assert "no such chatflow" in book.troubles()[0].says


async def test_nothing_becomes_current_that_is_not_kept(books: Books) -> None:
    book = await books.open()
    books.write("hello.py", HELLO)

    async def gone(version: str, raw: bytes) -> None:
        raise Gone()

    keep, books.memory.keep = books.memory.keep, gone  # type: ignore[method-assign]
    with pytest.raises(Gone):
        await book.reload()
    assert names(book) == []
    books.memory.keep = keep  # type: ignore[method-assign]
    assert await book.reload()
    assert names(book) == ["hello"]


async def test_a_worker_knows_nothing_of_the_bot(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERCULES_SECRET", "word-4711")
    books.write(
        "spy.py",
        HELLO.replace('title = "Hello"', 'title = seen')
        .replace('"""Say hello."""', 'import os\nseen = " ".join([os.getcwd(), str(sorted(os.environ)), '
                 'str(len(os.listdir("/proc/self/fd")))])'),
    )  # fmt: skip
    fd = os.open("/", os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        book = await books.open()
    finally:
        os.close(fd)
    assert not book.troubles()
    assert (
        book.current("hello").flow.title == "/ ['LANG', 'PATH'] 5"
    )  # stdin, stdout, answers, stderr, listdir


async def test_a_worker_can_write_no_file(books: Books, tmp_path: Path) -> None:
    books.write("writes.py", f"with open({str(tmp_path / 'out')!r}, 'w') as f:\n    f.write('x')\n")
    book = await books.open()
    assert "File too large" in only(book).says
    assert (tmp_path / "out").stat().st_size == 0


async def test_folders_that_are_not_there_are_no_trouble(books: Books, tmp_path: Path) -> None:
    books.write("hello.py", HELLO)
    books.write("_part.py", "raise RuntimeError")
    books.write(".hidden.py", "raise RuntimeError")
    books.write("notes.txt", "no")
    book = await books.open(folders=[tmp_path / "nowhere", books.plugins, tmp_path / "hello.py"])
    assert names(book) == ["hello"]
    assert not book.troubles()


def test_a_book_is_the_port_that_the_runtime_asks_for() -> None:
    from bot.runtime.ports import FlowBook as Port

    kind: type[Port] = FlowBook
    assert kind is FlowBook


async def test_a_bot_does_not_wait_for_a_plugin_that_never_ends(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "START_S", 0.1)
    books.write("a.py", "while True:\n    pass\n")
    books.write("hello.py", HELLO)
    began = time.monotonic()
    book = await books.open(watch=True, package="bot.chatflows")
    assert time.monotonic() - began < limits.LOAD_S * 0.8
    assert "deploy" in names(book)
    async with asyncio.timeout(60):
        while "hello" not in names(book):  # noqa: ASYNC110 - the book tells nobody
            await asyncio.sleep(0.05)
    assert not book.troubles()  # of the first file nothing is known yet
    await book.close()
    assert not workers()


async def test_the_examples_of_the_project_load(books: Books) -> None:
    examples = Path(__file__).parents[2] / "chatflows.d"
    book = await books.open(folders=[examples], package="bot.chatflows")
    assert not book.troubles()
    assert len([ready for ready in book.flows() if ready.flow.source.startswith("chatflows.d/")]) >= 1
