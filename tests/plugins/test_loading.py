"""Where plugins come from: files of both spellings, folders with long texts, installed packages."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec
import pytest

from bot.engine import compile as compiling
from bot.engine import form
from bot.plugins import cache, limits, process
from bot.plugins.book import FlowBook
from bot.plugins.packages import Packages
from tests.plugins.lab import HELLO, Books, names, only

HELLO_YAML = """\
title: Hello
description: Say hello to somebody.
states:
  who: {ask: {text: Who is there?}}
  done: {end: "Hello **{{ who }}**."}
"""
INTRO = "# Welcome\n\nThis text is long, **{{ who }}**.\n"
WITH_MESSAGE = """\
from bot.engine import Ask, Chatflow, End, Text, message


class Long(Chatflow):
    title = "Long"
    who = Ask(Text("Who is there?"))
    done = End(message("intro.md"))
"""


def text_of(book: FlowBook, flow: str) -> str:
    end = book.current(flow).flow.states["done"]
    assert isinstance(end, form.End)
    return end.text


def loading(book: FlowBook) -> bool:
    return book._shelf.is_loading


async def test_both_spellings_of_a_flow_are_the_same_in_the_bot(books: Books) -> None:
    books.write("hello.py", HELLO)
    python = (await books.open()).current("hello").flow
    (books.plugins / "hello.py").unlink()
    books.write("hello.yaml", HELLO_YAML)
    yaml = (await books.open()).current("hello").flow
    assert yaml.source == "chatflows.d/hello.yaml"
    assert compiling.version_of(msgspec.structs.replace(yaml, source=python.source)) == compiling.version_of(
        python
    )


async def test_a_yaml_file_is_called_as_it_is_named(books: Books) -> None:
    books.write("say_hello.yml", HELLO_YAML)
    books.write("other.yaml", f"name: greet\n{HELLO_YAML}")
    assert names(await books.open()) == ["greet", "say-hello"]


async def test_every_mistake_of_a_yaml_file_is_listed_with_its_line_and_the_last_good_flow_stays(
    books: Books,
) -> None:
    path = books.write("hello.yaml", HELLO_YAML)
    book = await books.open()
    version = book.current("hello").version
    path.write_text(HELLO_YAML.replace("text:", "txt:").replace("{end:", "{edn:"))
    await book.reload()
    assert book.current("hello").version == version
    assert [(t.file, t.line, t.stays) for t in book.troubles()] == [
        ("chatflows.d/hello.yaml", 4, True),
        ("chatflows.d/hello.yaml", 5, True),
    ]
    assert "Did you mean `text`?" in book.troubles()[0].says
    assert "stays in use" in book.troubles()[0].says
    path.write_text(HELLO_YAML)
    await book.reload()
    assert not book.troubles()


async def test_every_mistake_of_a_python_file_is_listed_with_its_line(books: Books) -> None:
    bad = HELLO.replace('there?")', 'there?"), then="nowhere"').replace("{{ who }}", "{{ whom }}")
    books.write("hello.py", bad)
    told = [(t.line, t.says) for t in (await books.open()).troubles()]
    assert [line for line, _ in told] == [9, 10]
    assert "state 'who': It leads to 'nowhere'" in told[0][1]
    assert "Did you mean 'who'?" in told[1][1]


@pytest.mark.parametrize("spelling", ["py", "yaml"])
async def test_a_folder_is_a_flow_with_its_long_texts(books: Books, spelling: str) -> None:
    folder = books.plugins / "long"
    (folder / "messages").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "tests" / "test_long.py").write_text("raise RuntimeError\n")
    (folder / "messages" / "intro.md").write_text(INTRO)
    by_message = HELLO_YAML.replace('"Hello **{{ who }}**."', "{message: intro.md}")
    (folder / f"flow.{spelling}").write_text(WITH_MESSAGE if spelling == "py" else by_message)
    book = await books.open()
    assert not book.troubles()
    assert text_of(book, "long") == INTRO.rstrip("\n")
    assert book.current("long").flow.source == f"chatflows.d/long/flow.{spelling}"
    assert [loaded.file for loaded in books.loaded] == [
        f"chatflows.d/long/flow.{spelling}",
        "chatflows.d/long/messages/intro.md",
    ]
    (folder / "messages" / "intro.md").write_text("Short, {{ who }}.")
    await book.reload()
    assert text_of(book, "long") == "Short, {{ who }}."
    (folder / "messages" / "intro.md").unlink()
    await book.reload()
    assert "no message 'intro.md'" in only(book).says
    assert only(book).line > 0
    assert text_of(book, "long") == "Short, {{ who }}."


@pytest.mark.parametrize("what", ["writable text", "writable folder", "link", "large", "latin"])
async def test_the_long_texts_of_a_folder_are_trusted_no_more_than_its_flow(
    books: Books, what: str, tmp_path: Path
) -> None:
    folder = books.plugins / "long"
    (folder / "messages").mkdir(parents=True)
    (folder / "flow.yaml").write_text(HELLO_YAML)
    text = folder / "messages" / "intro.md"
    text.write_text(INTRO)
    match what:
        case "writable text":
            text.chmod(0o666)
        case "writable folder":
            (folder / "messages").chmod(0o777)
        case "link":
            text.unlink()
            (tmp_path / "secret").write_text("root's")
            text.symlink_to(tmp_path / "secret")
        case "large":
            text.write_text("x" * 40_000)
        case _:
            text.write_bytes(b"\n\xe4")
    book = await books.open()
    assert names(book) == []
    assert "not loaded" in only(book).says
    assert "messages" in only(book).says


async def test_a_folder_that_is_a_link_out_is_not_loaded(books: Books, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "flow.yaml").write_text(HELLO_YAML)
    (books.plugins / "long").symlink_to(outside)
    book = await books.open()
    assert names(book) == []
    assert "leads out of the folder" in only(book).says


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, in which `acme-flows` has chatflows in all ways there are."""
    site = tmp_path / "site"
    package = site / "acme_flows"
    (package / "folder").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('the bot must not import me')\n")
    (package / "greet.py").write_text(HELLO.replace("class Hello", "class Greet"))
    (package / "plain.yaml").write_text(HELLO_YAML)
    (package / "folder" / "flow.yaml").write_text(HELLO_YAML)
    info = site / "acme_flows-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-flows\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[hercules.chatflows]\na = acme_flows.greet\nb = acme_flows.plain\nc = acme_flows.folder\n"
        "d = acme_flows.nothing\n"
    )
    monkeypatch.syspath_prepend(str(site))
    return site


async def test_installed_packages_bring_chatflows_without_being_imported(
    books: Books, installed: Path
) -> None:
    book = await books.open(packages=Packages())
    assert names(book) == ["folder", "greet", "plain"]
    assert book.current("greet").flow.source == "acme-flows/greet.py"
    assert "'acme_flows.nothing', which has no file" in only(book).says
    assert "acme-flows 1.0" in only(book).file
    assert "acme_flows" not in sys.modules
    (installed / "acme_flows" / "plain.yaml").chmod(0o666)
    await book.reload()
    assert names(book) == ["folder", "greet"]


async def test_a_package_that_is_removed_takes_its_chatflows_along(books: Books, installed: Path) -> None:
    book = await books.open(packages=Packages())
    for path in (installed / "acme_flows-1.0.dist-info").iterdir():
        path.unlink()
    (installed / "acme_flows-1.0.dist-info").rmdir()
    await book.reload()
    assert names(book) == []


async def test_a_file_that_did_not_change_needs_no_worker(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked = HELLO.replace("class Hello", "def nice(names):\n    return ''\n\n\nclass Hello").replace(
        'Text("Who is there?")', 'Text("Who is there?"), check=nice'
    )
    path = books.write("hello.py", hooked)
    version = (await books.open()).current("hello").version

    async def none(*_: object) -> None:
        raise AssertionError("a worker was started")

    with monkeypatch.context() as patched:
        patched.setattr(process, "compiled", none)
        book = await books.open()
    assert book.current("hello").version == version
    assert await book.call_hook(version, "nice", {}) == ""
    path.write_text(HELLO)
    await book.reload()
    assert book.current("hello").version != version


async def test_a_file_that_never_ends_keeps_no_other_from_being_read(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOAD_S", 600.0)
    monkeypatch.setattr(limits, "START_S", 0.1)
    loops = books.write("a.py", "while True:\n    pass\n")
    book = await books.open(watch=True)
    for name, text in (
        ("hello.py", HELLO),
        ("more.yaml", HELLO_YAML.replace("title: H", "name: more\ntitle: H")),
    ):
        books.write(name, text)
        async with asyncio.timeout(60):
            while name.partition(".")[0] not in names(book):  # noqa: ASYNC110 - the book tells nobody
                await asyncio.sleep(0.05)
    loops.write_text(HELLO.replace("class Hello", "class Mended"))  # a new text ends the old worker
    async with asyncio.timeout(60):
        while "mended" not in names(book):  # noqa: ASYNC110 - the book tells nobody
            await asyncio.sleep(0.05)
    loops.write_text("while True:\n    pass\n")
    async with asyncio.timeout(60):
        while not loading(book):  # noqa: ASYNC110 - the book tells nobody
            await asyncio.sleep(0.05)
    loops.unlink()
    async with asyncio.timeout(60):
        while loading(book) or "mended" in names(book):  # noqa: ASYNC110 - the book tells nobody
            await asyncio.sleep(0.05)
    assert not book.troubles()


@pytest.mark.parametrize("harm", ["gone", "garbage", "other flow", "other program"])
async def test_a_spoiled_cache_costs_time_and_nothing_else(
    books: Books, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.write("hello.py", HELLO)
    version = (await books.open()).current("hello").version
    file = books.folder / "flows" / "compiled.json"
    assert os.stat(file).st_mode & 0o777 == 0o600
    match harm:
        case "gone":
            file.unlink()
        case "garbage":
            file.write_bytes(b"\xff{")
        case "other flow":
            file.write_text(file.read_text().replace("Hello", "H", 1))
        case _:
            monkeypatch.setattr(cache, "program", lambda: "another")
    book = await books.open()
    assert book.current("hello").version == version


async def test_what_is_cached_is_what_is_there(books: Books) -> None:
    books.write("hello.py", HELLO)
    path = books.write("more.yaml", HELLO_YAML)
    await books.open()
    file = books.folder / "flows" / "compiled.json"
    assert len(msgspec.json.decode(file.read_bytes())["files"]) == 2
    path.unlink()
    books.write("hello.py", HELLO + "\n")
    await books.open()
    assert len(msgspec.json.decode(file.read_bytes())["files"]) == 1
